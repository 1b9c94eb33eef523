//! What an ACL user needs, and how it is found out whether it has it.
//!
//! Commands are queued in a transaction that is discarded: the server checks the user's rights when it queues them, and
//! carries nothing out. So a user who may not ask about its rights (`ACL DRYRUN`) finds out all the same.

use redis::{RedisError, RedisResult, Value, aio::MultiplexedConnection};

/// A key of ours that is never there.
const KEY: &str = "usher:{doctor}:nothing";

/// What usher sends, as a rule names it, with words that the server takes; `K` is a key, `C` a channel.
///
/// Functions run with the rights of the user who calls them, so what they call is here, too.
pub const COMMANDS: [(&str, &[&str]); 43] = [
    ("ping", &[]),
    ("time", &[]),
    ("function|load", &["#!lua name=nothing\n"]),
    ("fcall", &["nothing", "1", "K"]),
    ("script|load", &["return 1"]),
    ("eval", &["return 1", "1", "K"]),
    ("evalsha", &["0000000000000000000000000000000000000000", "1", "K"]),
    ("publish", &["C", ""]),
    ("subscribe", &["C"]),
    ("exists", &["K"]),
    ("get", &["K"]),
    ("set", &["K", "1"]),
    ("unlink", &["K"]),
    ("pexpire", &["K", "1"]),
    ("hget", &["K", "f"]),
    ("hset", &["K", "f", "v"]),
    ("hsetnx", &["K", "f", "v"]),
    ("hmget", &["K", "f"]),
    ("hgetall", &["K"]),
    ("hdel", &["K", "f"]),
    ("hincrby", &["K", "f", "1"]),
    ("hlen", &["K"]),
    ("lpush", &["K", "v"]),
    ("rpush", &["K", "v"]),
    ("lpop", &["K"]),
    ("llen", &["K"]),
    ("lrange", &["K", "0", "1"]),
    ("sadd", &["K", "m"]),
    ("srem", &["K", "m"]),
    ("smembers", &["K"]),
    ("smismember", &["K", "m"]),
    ("zadd", &["K", "1", "m"]),
    ("zrem", &["K", "m"]),
    ("zcard", &["K"]),
    ("zscore", &["K", "m"]),
    ("zmscore", &["K", "m"]),
    ("zpopmin", &["K"]),
    ("zrange", &["K", "0", "1"]),
    ("zrevrange", &["K", "0", "1"]),
    ("zrangebyscore", &["K", "0", "1"]),
    ("multi", &[]),
    ("discard", &[]),
    ("info", &[]),
];

/// The keys and channels that usher uses.
const PATTERNS: &str = "~usher:* &usher:*";

/// The rules of a user who has what usher needs and nothing else: the end of `ACL SETUSER usher on >PASSWORD ...`.
///
/// The last three are for `usher doctor` and the warnings of a starting worker alone.
#[must_use]
pub fn rules() -> String {
    let commands: Vec<String> = COMMANDS.iter().map(|(name, _)| format!("+{name}")).collect();
    format!("{PATTERNS} -@all {}", commands.join(" "))
}

/// The rules that the user of this connection lacks; `None` where that can't be seen.
pub(super) async fn lacking(connection: &mut MultiplexedConnection) -> RedisResult<Option<Vec<String>>> {
    let mut dry_run = redis::pipe();
    dry_run.cmd("MULTI");
    let tried = || COMMANDS.iter().filter(|(name, _)| !matches!(*name, "multi" | "discard"));
    for (name, words) in tried() {
        for word in name.split('|').take(1) {
            dry_run.cmd(&word.to_uppercase());
        }
        for word in name.split('|').skip(1) {
            dry_run.arg(word.to_uppercase());
        }
        for word in *words {
            dry_run.arg(match *word {
                "K" | "C" => KEY,
                other => other,
            });
        }
    }
    dry_run.cmd("DISCARD");
    let replies: Vec<RedisResult<Value>> = dry_run.ignore_errors().query_async(connection).await?;
    let (Some(Ok(_)), Some(Ok(_))) = (replies.first(), replies.last()) else { return Ok(None) };
    let mut lacking: Vec<String> = Vec::new();
    for ((name, words), reply) in tried().zip(&replies[1..]) {
        let rule = match reply {
            Err(error) if is_no_right(error) => match &*error.to_string() {
                said if said.contains("channel") => "&usher:*".to_owned(),
                said if said.contains("keys") && words.contains(&"K") => "~usher:*".to_owned(),
                _ => format!("+{name}"),
            },
            _ => continue,
        };
        if !lacking.contains(&rule) {
            lacking.push(rule);
        }
    }
    Ok(Some(lacking))
}

/// Whether the server refuses for want of a right.
pub(super) fn is_no_right(error: &RedisError) -> bool {
    error.code() == Some("NOPERM") || {
        let said = error.to_string();
        // What a function may not do comes as an error of the function, which names no command.
        said.contains("executing the script can't") || said.contains("ACL failure in script")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redis::script::library;

    #[test]
    fn every_command_that_a_function_calls_is_among_the_rights() {
        let mut calls = 0;
        for part in library().split("call('").skip(1) {
            let command = part.split('\'').next().unwrap().to_lowercase();
            assert!(COMMANDS.iter().any(|(name, _)| *name == command), "{command}");
            calls += 1;
        }
        assert!(calls > 100, "the calls are written as call('...'): {calls}");
    }
}
