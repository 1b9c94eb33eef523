//! The limiter's scripts, and their replies in words.

use std::{sync::LazyLock, time::Duration};

use redis::{Script, ScriptInvocation, aio::ConnectionLike};

use crate::{
    decide::RatePause,
    limiter::{
        HORIZON,
        lane::micros,
        pause::{LONGEST_UNSAID_US, STREAK_ENDS_US, UNSAID_US},
    },
};

static RESERVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("../lua/adapt.lua"), include_str!("../lua/reserve.lua")))
});
static REFUSE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("../lua/adapt.lua"), include_str!("../lua/refuse.lua")))
});
static ROOM: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("../lua/adapt.lua"), include_str!("../lua/room.lua"))));

/// What `reserve.lua` answers. Times are microseconds from its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reserved {
    /// The pause that the starts were given after.
    pub epoch: u64,
    /// Thousandths of a call a second.
    pub rate: u64,
    /// How long a pause still lasts.
    pub left: u64,
    /// When to ask again, where there is no start.
    pub wait: u64,
    /// The earliest first.
    pub starts: Vec<u64>,
}

/// What `refuse.lua` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub epoch: u64,
    /// Microseconds that the pause still lasts.
    pub left: u64,
    /// Thousandths of a call a second; 0 where the refusal taught nothing.
    pub rate: u64,
}

/// What reserves up to `n` starts. `heard`: the epoch of the last pause that this process heard of, 0 where of none. `now` is for
/// tests: empty, it is Redis' own time.
pub(super) fn reserve<'a>(
    key: &'a str,
    n: usize,
    full: f64,
    accepted_in: Option<u64>,
    heard: u64,
    now: &str,
) -> ScriptInvocation<'a> {
    let mut call = RESERVE.key(key);
    // `None` would be no argument at all.
    let accepted_in = accepted_in.map(|epoch| epoch.to_string()).unwrap_or_default();
    call.arg(n).arg(full).arg(micros(HORIZON)).arg(accepted_in).arg(now).arg(heard);
    call
}

/// What takes note of a refusal.
pub(super) struct Refusal<'a> {
    pub epoch: u64,
    pub pause: RatePause,
    pub accepted: bool,
    pub channel: &'a str,
    pub label: &'a str,
    pub full: f64,
}

impl Refusal<'_> {
    pub fn call<'a>(&self, key: &'a str, now: &str) -> ScriptInvocation<'a> {
        let said = match self.pause {
            RatePause::Said(wait) | RatePause::Day(wait) => micros(wait).to_string(),
            RatePause::Unsaid => String::new(),
        };
        let full = if self.pause.teaches().is_some() { self.full } else { 0.0 };
        let mut call = REFUSE.key(key);
        call.arg(said)
            .arg(self.epoch)
            .arg(u8::from(self.accepted))
            .arg(UNSAID_US)
            .arg(LONGEST_UNSAID_US)
            .arg(STREAK_ENDS_US)
            .arg(self.channel)
            .arg(self.label)
            .arg(full)
            .arg(now);
        call
    }
}

/// What takes note of the room that the vendor told of.
pub(super) fn room<'a>(key: &'a str, room: u32, full: f64, now: &str) -> ScriptInvocation<'a> {
    let mut call = ROOM.key(key);
    call.arg(room).arg(full).arg(now);
    call
}

pub(super) fn reserved(reply: &[u64]) -> redis::RedisResult<Reserved> {
    match reply {
        [epoch, rate, left, wait, starts @ ..] => {
            Ok(Reserved { epoch: *epoch, rate: *rate, left: *left, wait: *wait, starts: starts.to_vec() })
        }
        _ => Err((redis::ErrorKind::UnexpectedReturnType, "a reply of reserve.lua").into()),
    }
}

pub(super) fn refused(reply: &[u64]) -> redis::RedisResult<Refused> {
    match reply {
        [epoch, left, rate] => Ok(Refused { epoch: *epoch, left: *left, rate: *rate }),
        _ => Err((redis::ErrorKind::UnexpectedReturnType, "a reply of refuse.lua").into()),
    }
}

/// Runs a script whose reply is a list of whole numbers.
pub(super) async fn numbers(
    call: &ScriptInvocation<'_>,
    connection: &mut impl ConnectionLike,
) -> redis::RedisResult<Vec<u64>> {
    call.invoke_async(connection).await
}

/// How long Redis is given for an answer before the connection is given up.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
