//! The scripts: one library of Redis functions, put together from the files of lua/, and how they are called.
//!
//! Functions rather than EVAL: what a script defines for itself is then made once and not at each call, which was more
//! than half of a short script's time. The library's name holds a digest of its text, and so do the functions' names:
//! processes of two versions work side by side, each with its own.
//! A library that no process uses any more (some 90 KB) stays: nothing says who uses which, and to delete one is a right that
//! usher's user need not have.

use std::{fmt::Write as _, sync::LazyLock};

use redis::{Cmd, RedisError, RedisResult, Value};
use sha2::{Digest, Sha256};

use super::link::Link;

/// One script. The head of its file is its contract: KEYS, ARGV, replies, and the invariant it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    name: &'static str,
    body: &'static str,
}

/// What the scripts share, in the order in which it builds on one another.
const SHARED: [&str; 6] = [
    include_str!("lua/lib_base.lua"),
    include_str!("lua/lib_runs.lua"),
    include_str!("lua/lib_jobs.lua"),
    include_str!("lua/lib_claims.lua"),
    include_str!("lua/lib_again.lua"),
    include_str!("lua/lib_forget.lua"),
];

/// The first line of a script that runs although the server's memory is full.
const ALLOW_OOM: &str = "-- allow-oom\n";

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {
        $($(#[$doc])* pub const $name: Script =
            Script { name: $file, body: include_str!(concat!("lua/", $file, ".lua")) };)*

        /// Every script.
        pub const ALL: &[Script] = &[$($name),*];
    };
}

scripts! {
    /// Opens a run.
    OPEN = "open";
    /// Adds requests to an open run.
    APPEND = "append";
    /// Makes a run visible.
    SEAL = "seal";
    /// Takes an idempotency key, or gives it up.
    CLAIM = "claim";
    /// Forgets an open run.
    DISCARD = "discard";
    /// Takes, renews or ends a stewardship.
    STEWARD = "steward";
    /// Records what requests resolved to.
    RESOLVE = "resolve";
    /// Numbers a run.
    ADMIT = "admit";
    /// Puts pending jobs into the queue.
    PROMOTE = "promote";
    /// Leases due jobs.
    LEASE = "lease";
    /// Lengthens a lease.
    RENEW = "renew";
    /// Finishes leases.
    FINISH = "finish";
    /// Pauses, resumes, changes the priority of a run.
    STEER = "steer";
    /// Ends the rest of a run, a chunk at a time.
    END = "end";
    /// Has finished jobs tried again.
    REOPEN = "reopen";
    /// Forgets a run, a chunk at a time.
    PRUNE = "prune";
    /// Writes a note on a run.
    NOTE = "note";
    /// Lets a resolved run go on.
    CONFIRM = "confirm";
    /// Counts users towards the cap of a day.
    RESERVE = "reserve";
    /// Keeps the list of protected users.
    PROTECT = "protect";
    /// Holds or releases an account.
    HOLD = "hold";
    /// Draws from a day's quota, or gives back.
    QUOTA = "quota";
    /// Keeps what workers tell, and tells it.
    PULSE = "pulse";
    /// The token that a fleet shares.
    TOKEN = "token";
    /// Appends to the audit, and seals it.
    AUDIT = "audit";
    /// Messages to others.
    OUTBOX = "outbox";
}

struct Library {
    /// Eight digits of the text's digest.
    digest: String,
    text: String,
}

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let mut source = SHARED.concat();
    for script in ALL {
        let flags = if script.body.starts_with(ALLOW_OOM) { "{ 'allow-oom' }" } else { "{}" };
        // Writing to a String can't fail.
        let _ = write!(
            source,
            "define('usher_DIGEST_{}', {flags}, function()\n{}end)\n",
            script.name, script.body
        );
    }
    let digest: String = Sha256::digest(&source).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let text = format!("#!lua name=usher_{digest}\n{}", source.replace("DIGEST", &digest));
    Library { digest, text }
});

/// The library's text, as the server gets it.
#[must_use]
pub fn library() -> &'static str {
    &LIBRARY.text
}

impl Script {
    /// The name of its file.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Its text, the contract at its head.
    #[must_use]
    pub fn body(self) -> &'static str {
        self.body
    }

    /// The name of its function.
    #[must_use]
    pub fn function(self) -> String {
        format!("usher_{}_{}", LIBRARY.digest, self.name)
    }

    /// A call of this script on the account whose key prefix is given; further arguments are added to it.
    pub(super) fn call(self, prefix: &str) -> Cmd {
        let mut command = Cmd::new();
        command.arg("FCALL").arg(self.function()).arg(1).arg(prefix);
        command
    }

    /// Sends a call made by [`Script::call`]; loads the library where the server does not know it.
    pub(super) async fn send(self, link: &Link, call: &Cmd) -> RedisResult<Value> {
        match link.send(call).await {
            Err(error) if is_unknown_function(&error) => {
                let mut load = Cmd::new();
                load.arg("FUNCTION").arg("LOAD").arg(library());
                match link.send(&load).await {
                    // Another process was quicker: the same name is the same text.
                    Err(error) if error.to_string().contains("already exists") => {}
                    loaded => drop(loaded?),
                }
                link.send(call).await
            }
            reply => reply,
        }
    }
}

fn is_unknown_function(error: &RedisError) -> bool {
    error.to_string().contains("Function not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_states_its_contract() {
        for script in ALL {
            for word in ["-- KEYS[1]", "-- ARGV", "-- replies", "-- keeps"] {
                assert!(script.body.contains(word), "{} lacks {word:?}", script.name);
            }
        }
    }

    #[test]
    fn the_scripts_go_by_the_same_numbers_as_the_store() {
        let format = format!("local FORMAT = '{}'\n", super::super::FORMAT);
        let still = format!("local STANDS_STILL = {} ", crate::store::STANDS_STILL.as_millis());
        assert!(library().contains(&format) && library().contains(&still), "{format} {still}");
    }

    #[test]
    fn the_library_names_itself_and_its_functions_by_its_digest() {
        let text = library();
        assert!(text.starts_with(&format!("#!lua name=usher_{}\n", LIBRARY.digest)));
        for script in ALL {
            assert!(text.contains(&format!("define('{}'", script.function())), "{}", script.name);
        }
    }
}
