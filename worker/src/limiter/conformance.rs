//! What every limiter promises, whatever it keeps its state in. Real time, for a fleet's limiter lives by its server's
//! clock; so what is compared are the starts that were given out, never how long a test took.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use usher_shared::Priority;

use super::{HORIZON, Limiter, Permit, Withdrawn, full_rate, period};
use crate::{decide::RatePause, provider::Label};

pub(super) const PACED: Label = Label("paced");
pub(super) const OTHER: Label = Label("other");
pub(super) const UNPACED: Label = Label("unpaced");
/// Calls a second under [`PACED`] and [`OTHER`].
pub(super) const PLAN: f64 = 400.0;
/// Starts come as the time from an answer, which takes a moment itself.
const BLUR: Duration = Duration::from_millis(8);

/// Holds a limiter against every promise. `fresh` makes one that nobody has called under yet.
pub(super) async fn keeps_its_promises(fresh: impl AsyncFn() -> Arc<dyn Limiter>) {
    paces(&*fresh().await).await;
    looks_no_further_ahead_than_the_horizon(&*fresh().await).await;
    a_named_wait_withdraws_and_holds_back(&*fresh().await).await;
    a_refusal_without_a_wait_pauses_briefly_and_cuts_the_rate(&*fresh().await).await;
    calls_refused_together_count_once(&*fresh().await).await;
    a_refusal_for_the_day_teaches_nothing_about_the_rate(&*fresh().await).await;
    a_vendor_without_room_slows_it_down(&*fresh().await).await;
    an_unpaced_label_still_pauses(&*fresh().await).await;
    labels_are_apart(&*fresh().await).await;
    an_acquire_that_is_dropped_blocks_nobody(&*fresh().await).await;
}

async fn take(limiter: &dyn Limiter, label: Label, n: usize) -> Vec<Permit> {
    limiter.acquire(label, n, Priority::Normal).await.unwrap()
}

async fn paces(limiter: &dyn Limiter) {
    let mut starts = vec![];
    while starts.len() < 200 {
        let permits = take(limiter, PACED, 16).await;
        assert!(!permits.is_empty() && permits.len() <= 16);
        assert!(permits.windows(2).all(|pair| pair[1].starts_at - pair[0].starts_at >= period_of_plan()));
        for mut permit in permits {
            permit.start().await.unwrap();
            starts.push(permit.starts_at);
        }
    }
    let (first, last) = (starts[0], starts[starts.len() - 1]);
    let calls = u32::try_from(starts.len() - 1).unwrap();
    assert!(last - first + BLUR >= period_of_plan() * calls, "faster than the plan");
    assert!(take(limiter, PACED, 0).await.is_empty());
}

async fn looks_no_further_ahead_than_the_horizon(limiter: &dyn Limiter) {
    for _ in 0..5 {
        for permit in take(limiter, PACED, 10_000).await {
            assert!(permit.starts_at <= Instant::now() + HORIZON + BLUR);
        }
    }
}

async fn a_named_wait_withdraws_and_holds_back(limiter: &dyn Limiter) {
    let mut permits = take(limiter, PACED, 10).await;
    let refused_at = Instant::now();
    let wait = Duration::from_millis(300);
    limiter.throttled(&permits[0], RatePause::Said(wait)).await;
    assert!(limiter.status(PACED).paused_for.is_some());
    for permit in &mut permits {
        assert!(!permit.is_live());
        assert_eq!(permit.start().await, Err(Withdrawn));
    }
    let next = take(limiter, PACED, 10).await;
    assert!(next.iter().all(|permit| permit.is_live() && permit.starts_at + BLUR >= refused_at + wait));
    assert_eq!(limiter.status(PACED).refusals, 1);
}

async fn a_refusal_without_a_wait_pauses_briefly_and_cuts_the_rate(limiter: &dyn Limiter) {
    let permit = take(limiter, PACED, 1).await.remove(0);
    let before = limiter.status(PACED);
    assert_eq!((before.plan, before.paused_for), (Some(PLAN), None));
    limiter.throttled(&permit, RatePause::Unsaid).await;
    take(limiter, PACED, 1).await;
    let after = limiter.status(PACED);
    assert_eq!(after.plan, Some(PLAN), "the plan is what it is");
    let left = after.per_second.unwrap() / before.per_second.unwrap();
    assert!((0.97..0.98).contains(&left), "{left} of the rate was left");
}

async fn calls_refused_together_count_once(limiter: &dyn Limiter) {
    let permits = take(limiter, PACED, 20).await;
    for permit in &permits {
        limiter.throttled(permit, RatePause::Unsaid).await;
    }
    take(limiter, PACED, 1).await;
    let status = limiter.status(PACED);
    assert_eq!(status.refusals, permits.len() as u64, "each is counted for people");
    assert!(status.per_second.unwrap() > 0.97 * full_rate(PLAN).unwrap(), "and cuts once");
}

async fn a_refusal_for_the_day_teaches_nothing_about_the_rate(limiter: &dyn Limiter) {
    let permit = take(limiter, PACED, 1).await.remove(0);
    limiter.throttled(&permit, RatePause::Day(Duration::from_millis(100))).await;
    assert!(!permit.is_live());
    take(limiter, PACED, 1).await;
    assert!((limiter.status(PACED).per_second.unwrap() - full_rate(PLAN).unwrap()).abs() < 0.01);
}

async fn a_vendor_without_room_slows_it_down(limiter: &dyn Limiter) {
    let permit = take(limiter, PACED, 1).await.remove(0);
    limiter.accepted(&permit, Some(0));
    // Told in the background where the limiter is a fleet's.
    for _ in 0..400 {
        if limiter.status(PACED).per_second.unwrap() < full_rate(PLAN).unwrap() - 1.0 {
            assert!(permit.is_live(), "nothing was refused, so nothing is withdrawn");
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the rate was not lowered");
}

async fn an_unpaced_label_still_pauses(limiter: &dyn Limiter) {
    let permits = take(limiter, UNPACED, 300).await;
    assert_eq!(permits.len(), 300);
    assert!(permits.iter().all(|permit| permit.starts_at <= Instant::now()));
    assert_eq!((limiter.status(UNPACED).plan, limiter.status(UNPACED).per_second), (None, None));
    let refused_at = Instant::now();
    limiter.throttled(&permits[0], RatePause::Said(Duration::from_millis(200))).await;
    assert!(!permits[1].is_live());
    assert!(take(limiter, UNPACED, 1).await[0].starts_at + BLUR >= refused_at + Duration::from_millis(200));
}

async fn labels_are_apart(limiter: &dyn Limiter) {
    let permit = take(limiter, PACED, 1).await.remove(0);
    limiter.throttled(&permit, RatePause::Said(Duration::from_secs(60))).await;
    let other = take(limiter, OTHER, 1).await.remove(0);
    assert!(other.is_live() && other.starts_at <= Instant::now() + BLUR);
}

async fn an_acquire_that_is_dropped_blocks_nobody(limiter: &dyn Limiter) {
    for _ in 0..20 {
        let _ = tokio::time::timeout(Duration::from_millis(1), take(limiter, PACED, 4)).await;
    }
    assert!(!take(limiter, PACED, 4).await.is_empty());
}

fn period_of_plan() -> Duration {
    // A limiter that counts in whole microseconds may round each start down by one.
    period(full_rate(PLAN).unwrap()) - Duration::from_micros(1)
}

/// The rates that the suite is about.
pub(super) fn rates() -> Vec<crate::provider::Rate> {
    [PACED, OTHER].map(|label| crate::provider::Rate { label, per_second: PLAN, per_day: None }).to_vec()
}
