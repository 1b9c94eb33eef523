//! Calls at times that are fixed beforehand, whether or not the ones before are answered.
//!
//! Each call's latency is measured from the time at which it was meant to start: a server that stands still for a second
//! makes the calls of that second late, and they are counted as late (no coordinated omission).

use std::{future::Future, pin::Pin, time::Duration};

use anyhow::{Context as _, Result};
use tokio::time::Instant;

/// When calls start, and over which connection.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Calls a second, over all connections.
    pub rate: f64,
    /// So many calls.
    pub calls: usize,
    /// They take turns; each carries one call at a time.
    pub connections: usize,
}

impl Schedule {
    /// When a call is meant to start, after the beginning.
    pub fn start_of(self, call: usize) -> Duration {
        Duration::from_secs_f64(call as f64 / self.rate)
    }

    /// The calls of one connection, in their order.
    pub fn calls_of(self, connection: usize) -> impl Iterator<Item = usize> {
        (connection..self.calls).step_by(self.connections)
    }
}

/// How one call went.
#[derive(Clone, Debug)]
pub struct Timed<T> {
    /// Its number in the schedule.
    pub call: usize,
    /// From the time at which it was meant to start until its answer was read.
    pub latency: Duration,
    /// From the time at which it was meant to start until it did: its connection was busy, or this program late.
    pub late: Duration,
    /// What came of it.
    pub answer: T,
}

/// One connection: makes one call after the other.
pub type Caller<T> = Box<dyn FnMut(usize) -> Pin<Box<dyn Future<Output = Result<T>> + Send>> + Send>;

/// Makes all calls, a caller for each connection; returns them by number. The first that fails ends it.
pub async fn run<T: Send + 'static>(schedule: Schedule, callers: Vec<Caller<T>>) -> Result<Vec<Timed<T>>> {
    // All of them are there before the first call is due.
    let begin = Instant::now() + Duration::from_millis(500);
    let mut tasks = tokio::task::JoinSet::new();
    for (connection, mut call) in callers.into_iter().enumerate() {
        tasks.spawn(async move {
            let mut timed = vec![];
            for number in schedule.calls_of(connection) {
                let intended = begin + schedule.start_of(number);
                tokio::time::sleep_until(intended).await;
                let late = intended.elapsed();
                let answer = call(number).await.with_context(|| format!("call {number}"))?;
                timed.push(Timed { call: number, latency: intended.elapsed(), late, answer });
            }
            Ok::<_, anyhow::Error>(timed)
        });
    }
    let mut all = vec![];
    while let Some(ended) = tasks.join_next().await {
        all.extend(ended??);
    }
    all.sort_by_key(|timed| timed.call);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule { rate: 10.0, calls: 20, connections: 4 };

    #[test]
    fn every_call_is_one_connections() {
        let mut calls: Vec<usize> = (0..4).flat_map(|connection| SCHEDULE.calls_of(connection)).collect();
        calls.sort_unstable();
        assert_eq!(calls, (0..20).collect::<Vec<_>>());
        assert_eq!(SCHEDULE.start_of(15), Duration::from_millis(1_500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stands_still_makes_every_call_of_that_time_late() {
        let schedule = Schedule { connections: 1, ..SCHEDULE };
        // The sixth call takes a second; all others 10 ms. Ten more calls are due in that second, and wait for it.
        let caller: Caller<()> = Box::new(|number| {
            let takes = if number == 5 { 1_000 } else { 10 };
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(takes)).await;
                Ok(())
            })
        });
        let timed = run(schedule, vec![caller]).await.unwrap();
        let latencies: Vec<u128> = timed.iter().map(|timed| timed.latency.as_millis()).collect();
        assert_eq!(latencies[..8], [10, 10, 10, 10, 10, 1_000, 910, 820]);
        assert_eq!(timed.iter().filter(|timed| timed.late > Duration::from_millis(5)).count(), 10);
        assert_eq!(latencies[19], 10, "it has caught up");
    }
}
