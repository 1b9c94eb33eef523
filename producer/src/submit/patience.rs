//! How long a producer waits for a store that does not answer.

use std::{future::Future, time::Duration};

use usher_shared::store::StoreError;

/// How long a producer waits for a store that does not answer: a call that may go through later is made again, after
/// pauses that double. Somebody waits for the answer, so this ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Calls in all, the first included; at least one is made.
    pub calls: u32,
    /// The pause before the second call.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Patience {
    /// Twelve calls over 13.2 s: a Redis that is restarted is back by then.
    fn default() -> Self {
        Self { calls: 12, first_pause: Duration::from_millis(50), longest_pause: Duration::from_secs(2) }
    }
}

impl Patience {
    /// The pause after the call of this number, from 1; `None` after the last.
    fn pause(&self, call: u32) -> Option<Duration> {
        let doubled = self.first_pause.saturating_mul(2_u32.saturating_pow(call.saturating_sub(1)));
        (call < self.calls).then(|| doubled.min(self.longest_pause))
    }

    /// Calls until the store answers, or refuses for good, or patience ends.
    pub(super) async fn call<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut call = 1;
        loop {
            match attempt().await {
                Err(error) if error.is_retryable() => match self.pause(call) {
                    Some(pause) => {
                        tracing::debug!(%error, call, ?pause, "the store does not answer, trying again");
                        tokio::time::sleep(pause).await;
                        call += 1;
                    }
                    None => return Err(error),
                },
                answer => return answer,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let patience = Patience::default();
        let pauses: Vec<_> = (1..).map_while(|call| patience.pause(call)).map(|p| p.as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000, 2000]);
        assert_eq!(Patience { calls: 0, ..patience }.pause(1), None);
    }
}
