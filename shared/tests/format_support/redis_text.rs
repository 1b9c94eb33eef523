//! What lies in a Redis as the commands that put it there, one a line, in the quoting of `redis-cli`.
//!
//! Commands and not `RESTORE`: those payloads belong to one version of the server each.

use std::fmt::Write as _;

use redis::{Cmd, Value, aio::MultiplexedConnection};

/// Every key of the store, in order.
pub async fn write(connection: &mut MultiplexedConnection) -> String {
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("usher:*").query_async(connection).await.unwrap();
    keys.sort();
    let mut text = String::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(connection).await.unwrap();
        let read = match kind.as_str() {
            "string" => redis::cmd("GET").arg(&key).take(),
            "hash" => redis::cmd("HGETALL").arg(&key).take(),
            "list" => redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).take(),
            "set" => redis::cmd("SMEMBERS").arg(&key).take(),
            "zset" => redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).arg("WITHSCORES").take(),
            other => panic!("{key} is a {other}"),
        };
        let found: Value = read.query_async(connection).await.unwrap();
        for arguments in arguments(&kind, found) {
            let command = match kind.as_str() {
                "string" => "SET",
                "hash" => "HSET",
                "list" => "RPUSH",
                "set" => "SADD",
                _ => "ZADD",
            };
            line(&mut text, command, &key, &arguments);
        }
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(connection).await.unwrap();
        if left > 0 {
            // To the second: how long the writing took is nobody's business.
            let seconds = (left as u64).div_ceil(1_000);
            line(&mut text, "PEXPIRE", &key, &[format!("{seconds}000").into_bytes()]);
        }
    }
    // The names of connections' asks are random.
    let random = text.split(":ask:").skip(1).filter_map(|rest| rest.split_once('-')).map(|(name, _)| name);
    let random: std::collections::BTreeSet<String> = random.map(ToOwned::to_owned).collect();
    random.iter().fold(text, |text, name| text.replace(name, &"0".repeat(name.len())))
}

fn arguments(kind: &str, found: Value) -> Vec<Vec<Vec<u8>>> {
    let bytes = |value: Value| match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.into_bytes(),
        Value::Int(number) => number.to_string().into_bytes(),
        Value::Double(number) => number.to_string().into_bytes(),
        other => panic!("{other:?}"),
    };
    let parts: Vec<Vec<u8>> = match found {
        Value::Array(parts) => parts.into_iter().map(bytes).collect(),
        Value::Set(parts) => parts.into_iter().map(bytes).collect(),
        Value::Map(parts) => parts.into_iter().flat_map(|(key, value)| [bytes(key), bytes(value)]).collect(),
        single => vec![bytes(single)],
    };
    let pairs = |parts: &[Vec<u8>]| parts.chunks(2).map(<[_]>::to_vec).collect::<Vec<_>>();
    match kind {
        "hash" => {
            let mut fields = pairs(&parts);
            fields.sort();
            fields
        }
        "zset" => pairs(&parts).into_iter().map(|pair| pair.into_iter().rev().collect()).collect(),
        "set" => {
            let mut members: Vec<_> = parts.into_iter().map(|member| vec![member]).collect();
            members.sort();
            members
        }
        _ => parts.into_iter().map(|part| vec![part]).collect(),
    }
}

fn line(text: &mut String, command: &str, key: &str, arguments: &[Vec<u8>]) {
    text.push_str(command);
    for argument in std::iter::once(key.as_bytes()).chain(arguments.iter().map(Vec::as_slice)) {
        text.push(' ');
        quote(argument, text);
    }
    text.push('\n');
}

fn quote(bytes: &[u8], text: &mut String) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_:{}.@,-".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        text.extend(bytes.iter().map(|byte| char::from(*byte)));
        return;
    }
    text.push('"');
    for byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}").unwrap(),
        }
    }
    text.push('"');
}

/// Carries the commands out. Lines that begin with `#` say something to people.
pub async fn load(connection: &mut MultiplexedConnection, text: &str) {
    let mut pipe = redis::pipe();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        pipe.add_command(command(line));
    }
    let _: Vec<Value> = pipe.query_async(connection).await.unwrap();
}

fn command(line: &str) -> Cmd {
    let mut command = Cmd::new();
    let mut rest = line.as_bytes();
    while let Some(first) = rest.first() {
        let argument;
        match first {
            b' ' => {
                rest = &rest[1..];
                continue;
            }
            b'"' => (argument, rest) = unquote(&rest[1..]),
            _ => {
                let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
                argument = rest[..end].to_vec();
                rest = &rest[end..];
            }
        }
        command.arg(argument);
    }
    command
}

/// What stands up to the closing quote, and what comes behind it.
fn unquote(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut plain = Vec::new();
    loop {
        match rest {
            [b'"', behind @ ..] => return (plain, behind),
            [b'\\', b'x', high, low, behind @ ..] => {
                let digits = [*high, *low];
                plain.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = behind;
            }
            [b'\\', byte, behind @ ..] | [byte, behind @ ..] => {
                plain.push(*byte);
                rest = behind;
            }
            [] => panic!("a quote that does not end"),
        }
    }
}
