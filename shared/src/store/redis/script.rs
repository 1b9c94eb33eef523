//! The scripts: their texts, put together from their own file and the libraries it names, and how they are called.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind, Value};

use super::link::Link;

/// One script. Its file's head is its contract: KEYS, ARGV, replies, and the invariant it keeps.
#[derive(Debug)]
pub struct Script {
    text: String,
    hash: String,
}

const LIBRARIES: [(&str, &str); 5] = [
    ("lib_base", include_str!("lua/lib_base.lua")),
    ("lib_runs", include_str!("lua/lib_runs.lua")),
    ("lib_jobs", include_str!("lua/lib_jobs.lua")),
    ("lib_claims", include_str!("lua/lib_claims.lua")),
    ("lib_forget", include_str!("lua/lib_forget.lua")),
];

impl Script {
    /// Replaces each line `--@ name` by the library of that name.
    fn of(file: &str) -> Self {
        let mut text = String::with_capacity(16 * 1024);
        for line in file.lines() {
            let library =
                line.strip_prefix("--@ ").and_then(|name| LIBRARIES.iter().find(|(known, _)| *known == name));
            text.push_str(library.map_or(line, |(_, body)| body));
            text.push('\n');
        }
        Self { hash: redis::Script::new(&text).get_hash().to_owned(), text }
    }

    /// The whole text, as the server gets it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A call of this script on the account whose key prefix is given; further arguments are added to it.
    pub(super) fn call(&self, prefix: &str) -> Cmd {
        let mut command = Cmd::new();
        command.arg("EVALSHA").arg(&self.hash).arg(1).arg(prefix);
        command
    }

    /// Sends a call made by [`Script::call`]; loads the script where the server does not know it.
    pub(super) async fn send(&self, link: &Link, call: &Cmd) -> RedisResult<Value> {
        match link.send(call).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut load = Cmd::new();
                load.arg("SCRIPT").arg("LOAD").arg(&self.text);
                link.send(&load).await?;
                link.send(call).await
            }
            reply => reply,
        }
    }
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {
        $($(#[$doc])* pub static $name: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!(concat!("lua/", $file, ".lua"))));)*

        /// Every script by its file's name.
        pub static ALL: &[(&str, &LazyLock<Script>)] = &[$(($file, &$name)),*];
    };
}

scripts! {
    /// Opens a run.
    OPEN = "open";
    /// Adds requests to an open run.
    APPEND = "append";
    /// Makes a run visible.
    SEAL = "seal";
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
    /// Cancels a run, a chunk at a time.
    CANCEL = "cancel";
    /// Holds or releases an account.
    HOLD = "hold";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_whole_and_states_its_contract() {
        for (name, script) in ALL {
            let text = script.text();
            assert!(text.starts_with("#!lua"), "{name}");
            assert!(!text.contains("--@ "), "{name} names a library that there is not");
            for word in ["-- KEYS[1]", "-- ARGV", "-- replies", "-- keeps"] {
                assert!(text.contains(word), "{name} lacks {word:?}");
            }
        }
    }
}
