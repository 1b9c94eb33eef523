//! What Redis' errors mean to a caller.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::StoreError;

/// Codes of a server that will take the call later: loading, busy with a script, failing over.
const PASSING: [&str; 9] =
    ["LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "MOVED", "ASK", "NOREPLICAS"];

/// Sorts an error: what passes is [`StoreError::Unavailable`], what is stored wrongly [`StoreError::Corrupt`], and
/// whatever else the server says (OOM, MISCONF, NOPERM, ...) [`StoreError::Refused`].
pub(super) fn sort(error: RedisError) -> StoreError {
    let code = error.code().map(ToOwned::to_owned);
    match (error.kind(), code.as_deref()) {
        (_, Some(code)) if PASSING.contains(&code) => StoreError::Unavailable(Box::new(error)),
        (_, Some("WRONGTYPE")) => StoreError::Corrupt("a key of another type".into(), error.to_string()),
        (ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed, _) => {
            StoreError::Refused(Box::new(error))
        }
        (ErrorKind::UnexpectedReturnType, _) => StoreError::Corrupt("a reply".into(), error.to_string()),
        _ => StoreError::Unavailable(Box::new(error)),
    }
}

/// Whether the connection on which this happened is to be left for a new one.
pub(super) fn spoils_connection(error: &RedisError) -> bool {
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
