//! What Redis' errors mean to a caller, and to whoever reads the log.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::rights;
use crate::store::StoreError;

/// Codes of a server that will take the call later: loading, busy with a script, failing over.
const PASSING: [&str; 9] =
    ["LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "MOVED", "ASK", "NOREPLICAS"];

/// What an operator does about an error of the server, by its code.
const ADVICE: [(&str, &str); 4] = [
    ("LOADING", "Redis was started again and is loading its data; work goes on once it has"),
    (
        "READONLY",
        "this Redis is a replica and takes no writes: a failover is under way, or the address leads to the wrong server",
    ),
    (
        "OOM",
        "Redis has reached its maxmemory: raise it, and work goes on (its maxmemory-policy has to stay noeviction)",
    ),
    (
        "MISCONF",
        "Redis can't save to its disk and takes no writes: make room there or give it the right to write, and work goes on",
    ),
];

/// What is said of a user who may not do what usher does; the server's own words say which command or key it is.
const NO_RIGHT: &str = "the user of the store's address lacks rights: `usher doctor` names them";

/// An error of the server in words that say what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub(super) struct Advised {
    words: String,
    source: RedisError,
}

impl Advised {
    /// The error's own words, and what to do about it.
    pub(super) fn with(advice: &str, source: RedisError) -> Self {
        Self { words: format!("{source}; {advice}"), source }
    }
}

/// The error in words that say what to do, where there is something to do.
pub(super) fn advised(error: RedisError) -> Box<dyn std::error::Error + Send + Sync> {
    if rights::is_no_right(&error) {
        return Box::new(Advised::with(NO_RIGHT, error));
    }
    match ADVICE.into_iter().find(|(code, _)| error.code() == Some(code)) {
        // The server's own words name a script's digest and line.
        Some((code, advice)) => Box::new(Advised { words: format!("{code}: {advice}"), source: error }),
        None => Box::new(error),
    }
}

/// Sorts an error: what passes is [`StoreError::Unavailable`], what is stored wrongly [`StoreError::Corrupt`], and
/// whatever else the server says (OOM, MISCONF, NOPERM, ...) [`StoreError::Refused`].
pub fn sort(error: RedisError) -> StoreError {
    let code = error.code().map(ToOwned::to_owned);
    match (error.kind(), code.as_deref()) {
        _ if rights::is_no_right(&error) => StoreError::Refused(advised(error)),
        (_, Some("TOONEW")) => {
            let found = error.detail().and_then(|detail| detail.trim().parse().ok()).unwrap_or(u64::MAX);
            StoreError::TooNew { found, supported: super::FORMAT }
        }
        (_, Some(code)) if PASSING.contains(&code) => StoreError::Unavailable(advised(error)),
        (_, Some("WRONGTYPE")) => StoreError::Corrupt("a key of another type".into(), error.to_string()),
        (ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed, _) => {
            StoreError::Refused(advised(error))
        }
        (ErrorKind::UnexpectedReturnType, _) => StoreError::Corrupt("a reply".into(), error.to_string()),
        _ => StoreError::Unavailable(advised(error)),
    }
}

/// Whether the connection on which this happened is to be left for a new one.
pub fn spoils_connection(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed | ErrorKind::Client => true,
        // After a failover the address leads to another server.
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown) => true,
        _ => false,
    }
}

/// Whether the server may have carried out the call although it was answered like this.
pub(super) fn is_ambiguous(error: &RedisError) -> bool {
    !matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn said(line: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        match value {
            Value::ServerError(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_person_can_do_about_is_said_in_words() {
        let words =
            sort(said("OOM command not allowed when used memory > 'maxmemory'. script: 1f")).to_string();
        assert!(words.contains("OOM: Redis has reached its maxmemory: raise it"), "{words}");
        let words = sort(said("READONLY You can't write against a read only replica.")).to_string();
        assert!(words.contains("READONLY: this Redis is a replica"), "{words}");
        let words = sort(said("LOADING Redis is loading the dataset in memory")).to_string();
        assert!(words.contains("LOADING: Redis was started again"), "{words}");
        let words = sort(said("NOPERM this user has no permissions to run 'fcall'")).to_string();
        assert!(words.contains("'fcall'"), "{words}");
    }

    #[test]
    fn what_passes_is_unavailable_and_what_the_server_will_not_do_is_refused() {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script.",
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down",
            "CLUSTERDOWN Hash slot not served",
            "TRYAGAIN Multiple keys request during rehashing of slot",
        ] {
            assert!(matches!(sort(said(line)), StoreError::Unavailable(_)), "{line}");
        }
        for line in [
            "OOM command not allowed when used memory > 'maxmemory'.",
            "MISCONF Errors writing to the AOF file: No space left on device",
            "NOPERM this user has no permissions to run the 'evalsha' command",
            "NOAUTH Authentication required.",
            "ERR unknown command",
        ] {
            let error = sort(said(line));
            assert!(matches!(error, StoreError::Refused(_)) && error.is_retryable(), "{line}");
            assert!(!is_ambiguous(&said(line)));
        }
        assert!(matches!(sort(said("WRONGTYPE Operation against a key")), StoreError::Corrupt(..)));
        let cut = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        assert!(is_ambiguous(&cut) && spoils_connection(&cut));
        assert!(matches!(sort(cut), StoreError::Unavailable(_)));
    }
}
