//! Tells what goes on in an account, about once a second while something does, for whoever reads the store.

use std::{convert::Infallible, time::Duration};

use tokio::time::Instant;
use usher_shared::{Action, HeldReason, LanePulse, Pulse, RunPhase, RunStatus};

use crate::{
    account::Account,
    limiter::LimiterStatus,
    metrics::{self, StoreCall},
    provider::{Call, Label},
};

/// How often it is told while there is something to tell.
const EVERY: Duration = Duration::from_secs(1);
/// How often an idle worker looks whether there is: what it looks at is its own memory.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A worker that ends waits no longer than this for its last word to be written.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Carries `working` out and tells of it meanwhile, and once more at its end, so that no display shows an old rate.
pub(crate) async fn telling<W: Future<Output = ()>>(account: &Account, working: W) {
    tokio::select! {
        () = working => {}
        never = tell(account) => match never {},
    }
    // Without lanes: a worker that works no more.
    let last = Pulse { lanes: Vec::new(), ..pulse(account) };
    if tokio::time::timeout(LAST_WORD, publish(account, &last)).await.is_err() {
        tracing::debug!(account = %account.name, "the last word of this worker could not be written in time");
    }
}

/// Tells at once when there is something to tell, again and again while there is, and once more afterwards; never ends.
async fn tell(account: &Account) -> Infallible {
    let mut told = false;
    loop {
        let began = Instant::now();
        let pulse = pulse(account);
        let something = is_worth_telling(&pulse) || has_work(account);
        if something || told {
            publish(account, &pulse).await;
        }
        told = something;
        tokio::time::sleep_until(began + if told { EVERY } else { LOOK_EVERY }).await;
    }
}

async fn publish(account: &Account, pulse: &Pulse) {
    if let Err(error) = account.store.publish_pulse(pulse).await {
        metrics::store_failed(&account.name, StoreCall::Pulse);
        tracing::debug!(account = %account.name, %error, "what goes on could not be told");
    }
}

/// What goes on in the account, as this worker sees it.
pub(crate) fn pulse(account: &Account) -> Pulse {
    Pulse {
        active_users: account.active_users(),
        policy: Some(account.agreed.clone()),
        account: account.name.clone(),
        worker: account.worker.clone(),
        at: account.now(),
        in_flight: account.slots.taken() as u64,
        lanes: lanes(account),
    }
}

/// The label of changes, and every other that something is known of.
fn lanes(account: &Account) -> Vec<LanePulse> {
    let changes = account.provider.label(Call::Apply(Action::Deactivate));
    all_lanes(account)
        .into_iter()
        .map(|(_, lane)| lane)
        .filter(|lane| lane.label == changes.0 || lane.refusals > 0 || is_busy(lane))
        .collect()
}

/// Every label, whether something is known of it or not.
pub(crate) fn all_lanes(account: &Account) -> Vec<(Label, LanePulse)> {
    let started = account.meter.rates();
    let changes = account.provider.label(Call::Apply(Action::Deactivate));
    let mut labels: Vec<Label> = account.provider.rates().into_iter().map(|rate| rate.label).collect();
    labels.extend(started.keys());
    labels.push(changes);
    labels.sort_unstable();
    labels.dedup();
    labels
        .into_iter()
        .map(|label| (label, lane(account, label, started.get(&label).copied().unwrap_or(0.0))))
        .collect()
}

fn lane(account: &Account, label: Label, started: f64) -> LanePulse {
    let LimiterStatus { plan, per_second, paused_for, refusals, day } = account.limiter.status(label);
    LanePulse {
        label: label.0.to_owned(),
        plan,
        allowed: per_second,
        started,
        refusals,
        paused_until: paused_for.map(|left| account.now().after(left)),
        day,
    }
}

fn is_busy(lane: &LanePulse) -> bool {
    lane.started > 0.0 || lane.paused_until.is_some()
}

/// Whether something goes on, or is held up after a refusal. A day's quota that is used up is worth telling only while
/// there is work that waits for it.
fn is_worth_telling(pulse: &Pulse) -> bool {
    pulse.in_flight > 0 || pulse.lanes.iter().any(is_busy)
}

/// Whether there is a run to be worked, even where its jobs wait for their time: its watchers want to know that somebody
/// is there. A run that a person has stopped, or that waits for a person, needs nobody.
pub(crate) fn has_work(account: &Account) -> bool {
    account.runs.borrow().iter().any(needs_somebody)
}

fn needs_somebody(run: &RunStatus) -> bool {
    if run.phase.is_over() {
        return false;
    }
    let notes = &run.notes;
    let waits = match notes.held.as_ref().map(|held| held.reason) {
        _ if run.phase == RunPhase::Admitted => false,
        Some(HeldReason::Planned) => notes.go.is_none(),
        Some(HeldReason::Approval | HeldReason::OverRunCap | HeldReason::OverDayCap) => {
            notes.approval.is_none()
        }
        Some(HeldReason::NotBefore) => run.phase == RunPhase::Sealed,
        Some(HeldReason::Unknown) | None => false,
    };
    run.cancelled || !(run.paused || waits)
}

#[cfg(test)]
mod tests {
    use usher_shared::{DayUse, Drawn, Timestamp};

    use super::*;

    fn with(in_flight: u64, lane: LanePulse) -> Pulse {
        Pulse {
            active_users: None,
            policy: None,
            account: "zoom-main".parse().unwrap(),
            worker: usher_shared::WorkerId::new("w"),
            at: Timestamp::from_millis(1_000),
            in_flight,
            lanes: vec![lane],
        }
    }

    fn day(used: u64, frees_at: i64) -> Option<DayUse> {
        let at = Timestamp::from_millis(0);
        let drawn = Drawn { granted: 0, used, at, frees_at: Timestamp::from_millis(frees_at) };
        Some(DayUse { calls: 100, urgent_only: 20, drawn })
    }

    #[test]
    fn an_idle_worker_has_nothing_to_tell_and_one_that_is_held_up_has() {
        let idle = LanePulse { plan: Some(80.0), allowed: Some(80.0), refusals: 3, ..LanePulse::default() };
        let until = Some(Timestamp::from_millis(5_000));
        let cases = [
            ("idle", with(0, idle.clone()), false),
            ("a lease is held", with(1, idle.clone()), true),
            ("calls were made", with(0, LanePulse { started: 0.5, ..idle.clone() }), true),
            ("a pause", with(0, LanePulse { paused_until: until, ..idle.clone() }), true),
            ("calls are left today", with(0, LanePulse { day: day(79, 5_000), ..idle.clone() }), false),
            (
                "none are left today, and nobody waits",
                with(0, LanePulse { day: day(80, 5_000), ..idle }),
                false,
            ),
        ];
        for (case, pulse, expected) in cases {
            assert_eq!(is_worth_telling(&pulse), expected, "{case}");
        }
    }
}
