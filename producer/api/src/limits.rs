//! How much a caller may ask for at a time.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use usher_shared::config::Config;

use crate::problem::{Kind, Problem};

/// Addresses kept apart; all others share one count, so that the table does not grow without end.
const ADDRESSES: usize = 10_000;

/// A caller who has to wait is told a whole second at least.
const SHORTEST_WAIT: u64 = 1;

type PerAddress = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock, NoOpMiddleware>;

/// What callers may ask for at a time.
pub struct Limits {
    /// By the name of the token.
    calls: HashMap<String, DefaultDirectRateLimiter>,
    /// Nobody guesses one of 2^256 tokens: it is the log and the processor that are spared.
    unknown: PerAddress,
    streams: Arc<Semaphore>,
    streams_at_most: u32,
    clock: DefaultClock,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").field("streams", &self.streams.available_permits()).finish_non_exhaustive()
    }
}

impl Limits {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        let a_second = NonZeroU32::new(config.serve.calls_per_second).unwrap_or(NonZeroU32::MIN);
        let a_minute = NonZeroU32::new(config.serve.unknown_calls_per_minute).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(a_second)
            .allow_burst(a_second.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
        Self {
            calls: config.tokens.keys().map(|name| (name.clone(), RateLimiter::direct(quota))).collect(),
            unknown: RateLimiter::hashmap(Quota::per_minute(a_minute)),
            streams: Arc::new(Semaphore::new(config.serve.streams)),
            streams_at_most: u32::try_from(config.serve.streams).unwrap_or(u32::MAX),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a call of the token of this name.
    pub fn call(&self, name: &str) -> Result<(), Problem> {
        let Some(limiter) = self.calls.get(name) else { return Ok(()) };
        limiter.check().map_err(|not_until| {
            Problem::new(
                Kind::TooManyCalls,
                format!("the token {name} makes more calls than [serve] calls_per_second allows"),
            )
            .retry_after(self.wait(not_until.wait_time_from(self.clock.now())))
        })
    }

    /// Counts a call whose token is not known. Known ones are never kept out by it: they may share an address, such as a
    /// proxy's, with whoever guesses.
    pub fn unknown(&self, from: Option<IpAddr>) -> Result<(), Problem> {
        let mut key = from.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), whole);
        if self.unknown.len() >= ADDRESSES {
            self.unknown.retain_recent();
            if self.unknown.len() >= ADDRESSES {
                key = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        self.unknown.check_key(&key).map_err(|not_until| {
            Problem::new(
                Kind::TooManyCalls,
                "too many calls from this address had no token that is known here",
            )
            .retry_after(self.wait(not_until.wait_time_from(self.clock.now())))
        })
    }

    /// Takes a place among the submissions that are streamed in.
    pub fn stream(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            Problem::new(
                Kind::Unavailable,
                "as many submissions are being streamed in as [serve] streams allows; send it again in a moment",
            )
            .retry_after(2)
        })
    }

    /// Waits until no submission is being streamed in.
    pub async fn streams_ended(&self) {
        let all = self.streams_at_most;
        // Closed by nobody.
        drop(self.streams.acquire_many(all).await);
    }

    fn wait(&self, wait: std::time::Duration) -> u64 {
        wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX).max(SHORTEST_WAIT)
    }
}

/// Whoever has one address of a /64 has all of them.
fn whole(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Limits {
        Limits::new(&toml::from_str(text).unwrap())
    }

    #[test]
    fn a_token_has_a_burst_of_twice_its_rate_and_takes_nothing_from_another() {
        let key = |_| usher_shared::identity::PersonalToken::generate().unwrap().key().unwrap();
        let [ann, bob] = [0, 1].map(key);
        let limits = limits(&format!(
            "[serve]\ncalls_per_second = 2\n[tokens.ann]\nkey = \"{ann}\"\nroles = [\"read\"]\n\
             [tokens.bob]\nkey = \"{bob}\"\nroles = [\"read\"]\n"
        ));
        let taken = (0..10).filter(|_| limits.call("ann").is_ok()).count();
        // A tenth of a second on a slow machine lets none more through.
        assert_eq!(taken, 4);
        assert_eq!(limits.call("ann").unwrap_err().kind(), Kind::TooManyCalls);
        assert!(limits.call("bob").is_ok());
    }

    #[test]
    fn guesses_are_counted_by_address_and_their_table_does_not_grow_without_end() {
        let limits = limits("");
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let taken = (0..100).filter(|_| limits.unknown(Some(one)).is_ok()).count();
        assert_eq!(taken, 30);
        assert!(limits.unknown(Some("2001:db8::2".parse().unwrap())).is_err(), "of the same /64");
        assert!(limits.unknown(Some("2001:db8:0:1::1".parse().unwrap())).is_ok());
        for n in 0..(ADDRESSES as u32 + 5_000) {
            let _ = limits.unknown(Some(IpAddr::V4(n.into())));
        }
        assert!(limits.unknown.len() <= ADDRESSES + 1, "{}", limits.unknown.len());
    }
}
