//! Urgent work first, and what it leaves to the others: one lease in ten while it is a flood, all of them otherwise.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Fixture,
    samples::{Submission, account, ask, returned, worker},
    steps::Steps,
};
use crate::{
    Priority, RunId,
    store::{Lease, LeaseAsk, Leased, SHARE_OF_OTHERS},
};

/// Leases that a share is counted over.
const ROUND: usize = 100;
/// Of them, those that are not for urgent work.
const OTHERS: usize = ROUND / SHARE_OF_OTHERS as usize;

/// A run of so many users that no other run has.
async fn flood(steps: &Steps<'_>, name: &str, size: usize, priority: Priority) -> RunId {
    let users: Vec<String> = (0..size).map(|n| format!("{name}{n}@corp.example")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    steps.queue(&Submission::of(&users).priority(priority)).await
}

fn count<'l>(leases: impl IntoIterator<Item = &'l Lease>) -> BTreeMap<Priority, usize> {
    let mut counts = BTreeMap::new();
    for lease in leases {
        *counts.entry(lease.priority).or_default() += 1;
    }
    counts
}

/// Leases `wanted` times, so many at once.
async fn lease_many(steps: &Steps<'_>, wanted: usize, at_once: usize) -> Vec<Lease> {
    let mut leases = Vec::new();
    while leases.len() < wanted {
        let leased = steps.lease(&LeaseAsk { leases: at_once.min(wanted - leases.len()), ..ask("w1") }).await;
        assert!(!leased.leases.is_empty(), "nothing to lease after {}: {leased:?}", leases.len());
        leases.extend(leased.leases);
    }
    leases
}

pub async fn a_flood_of_urgent_work_leaves_bulk_one_lease_in_ten(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    flood(&steps, "urgent", 4 * ROUND, Priority::Urgent).await;
    flood(&steps, "bulk", 4 * ROUND, Priority::Bulk).await;
    for at_once in [1, 3, 20, ROUND] {
        let counts = count(&lease_many(&steps, ROUND, at_once).await);
        let expected = BTreeMap::from([(Priority::Urgent, ROUND - OTHERS), (Priority::Bulk, OTHERS)]);
        assert_eq!(counts, expected, "{at_once} at once");
    }
}

pub async fn normal_and_bulk_take_turns_in_the_share_of_the_others(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for (name, priority) in
        [("bulk", Priority::Bulk), ("normal", Priority::Normal), ("urgent", Priority::Urgent)]
    {
        flood(&steps, name, 4 * ROUND, priority).await;
    }
    for at_once in [1, 3, 20, ROUND] {
        let counts = count(&lease_many(&steps, ROUND, at_once).await);
        let expected = BTreeMap::from([
            (Priority::Urgent, ROUND - OTHERS),
            (Priority::Normal, OTHERS / 2),
            (Priority::Bulk, OTHERS / 2),
        ]);
        assert_eq!(counts, expected, "{at_once} at once");
    }
}

pub async fn the_share_is_counted_over_all_workers(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    flood(&steps, "urgent", 4 * ROUND, Priority::Urgent).await;
    flood(&steps, "bulk", 4 * ROUND, Priority::Bulk).await;
    let mut leases = Vec::new();
    // Each asks too rarely for a tenth of its own.
    while leases.len() < ROUND {
        let asks: Vec<LeaseAsk> = (0..4)
            .map(|n| LeaseAsk { leases: 1 + n % 2 * 3, worker: worker(&format!("w{n}")), ..ask("w") })
            .collect();
        let asked = asks.iter().zip(0..).map(|(ask, n)| {
            let store = if n % 2 == 0 { &steps.store } else { &second };
            store.lease(ask)
        });
        for leased in futures::future::join_all(asked).await {
            leases.extend(leased.unwrap().leases);
        }
        steps.check_counters().await;
    }
    assert_eq!(leases.len(), ROUND);
    let expected = BTreeMap::from([(Priority::Urgent, ROUND - OTHERS), (Priority::Bulk, OTHERS)]);
    assert_eq!(count(&leases), expected);
}

/// The unit is the lease: one call of a vendor.
pub async fn the_share_is_counted_in_leases_whatever_their_size(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    flood(&steps, "urgent", 450, Priority::Urgent).await;
    flood(&steps, "bulk", 100, Priority::Bulk).await;
    let mut leases = Vec::new();
    for leases_at_once in [4, 16] {
        leases.extend(steps.lease(&LeaseAsk { leases: leases_at_once, batch: 20, ..ask("w1") }).await.leases);
    }
    assert_eq!(count(&leases), BTreeMap::from([(Priority::Urgent, 18), (Priority::Bulk, 2)]));
    assert!(leases.iter().all(|lease| lease.jobs.len() == 20), "{leases:?}");
}

pub async fn without_urgent_work_normal_comes_strictly_before_bulk(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    flood(&steps, "bulk", 60, Priority::Bulk).await;
    flood(&steps, "normal", 60, Priority::Normal).await;
    let counts = count(&lease_many(&steps, 60, 7).await);
    assert_eq!(counts, BTreeMap::from([(Priority::Normal, 60)]));
    let counts = count(&lease_many(&steps, 60, 7).await);
    assert_eq!(counts, BTreeMap::from([(Priority::Bulk, 60)]));
}

pub async fn without_other_work_all_is_urgent(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    flood(&steps, "urgent", 60, Priority::Urgent).await;
    let counts = count(&lease_many(&steps, 60, 7).await);
    assert_eq!(counts, BTreeMap::from([(Priority::Urgent, 60)]));
}

/// Work that may not start now takes nothing from work that may.
pub async fn others_that_may_not_start_take_no_share(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let paused = flood(&steps, "paused", 20, Priority::Normal).await;
    steps.store.pause(&paused).await.unwrap();
    flood(&steps, "waiting", 1, Priority::Bulk).await;
    let lease = steps.lease_one("w1").await;
    steps.finish(lease, vec![returned(0, steps.now().after(Duration::from_secs(60)))]).await;
    flood(&steps, "urgent", 60, Priority::Urgent).await;
    let counts = count(&lease_many(&steps, 60, 7).await);
    assert_eq!(counts, BTreeMap::from([(Priority::Urgent, 60)]));
}

/// Where urgent work falls short of what was asked, the others have the rest.
pub async fn what_urgent_work_does_not_need_goes_to_the_others(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    flood(&steps, "bulk", 60, Priority::Bulk).await;
    flood(&steps, "urgent", 5, Priority::Urgent).await;
    let leased = steps.lease(&LeaseAsk { leases: 50, ..ask("w1") }).await;
    let expected = BTreeMap::from([(Priority::Urgent, 5), (Priority::Bulk, 45)]);
    assert_eq!(count(&leased.leases), expected);
}

/// The first lease under a new flood is urgent: the others have had theirs.
pub async fn an_urgent_job_takes_the_next_lease(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    flood(&steps, "bulk", 60, Priority::Bulk).await;
    lease_many(&steps, 25, 5).await;
    let urgent = flood(&steps, "urgent", 1, Priority::Urgent).await;
    assert_eq!(steps.lease_one("w2").await.run, urgent);
}

async fn urgent_alone(steps: &Steps<'_>, leases: usize) -> Leased {
    steps.lease(&LeaseAsk { leases, batch: 5, urgent_only: true, idle: true, ..ask("w1") }).await
}

pub async fn who_asks_for_urgent_jobs_alone_is_given_nothing_else(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    flood(&steps, "bulk", 30, Priority::Bulk).await;
    flood(&steps, "normal", 30, Priority::Normal).await;
    // Not even where nothing urgent is there; and no time is told at which that would change.
    let nothing = urgent_alone(&steps, 20).await;
    assert_eq!((nothing.leases.len(), nothing.next_due, nothing.alone_waiting), (0, None, 0));
    let urgent = flood(&steps, "urgent", 40, Priority::Urgent).await;
    let leased = urgent_alone(&steps, 20).await;
    assert_eq!(leased.leases.iter().map(|lease| lease.jobs.len()).sum::<usize>(), 40);
    assert!(leased.leases.iter().all(|lease| lease.run == urgent), "{leased:?}");
    assert!(urgent_alone(&steps, 20).await.leases.is_empty());
    let counts = count(&lease_many(&steps, 60, 20).await);
    assert_eq!(counts, BTreeMap::from([(Priority::Normal, 30), (Priority::Bulk, 30)]));
}

pub async fn who_asks_for_urgent_jobs_alone_hears_when_the_next_comes_due(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    flood(&steps, "bulk", 10, Priority::Bulk).await;
    flood(&steps, "urgent", 1, Priority::Urgent).await;
    let mut leased = urgent_alone(&steps, 1).await;
    let due = steps.now().after(Duration::from_secs(30));
    steps.finish(leased.leases.remove(0), vec![returned(0, due)]).await;
    assert_eq!(urgent_alone(&steps, 1).await.next_due, Some(due));
    // What else waits, and has come due long since, is no reason to look again at once.
    let lease = steps.lease_one("w1").await;
    assert_eq!(lease.priority, Priority::Bulk);
    let seq = lease.jobs[0].seq;
    steps.finish(lease, vec![returned(seq, steps.now().after(Duration::from_secs(10)))]).await;
    for _ in 0..2 {
        steps.pass(Duration::from_secs(14)).await;
        let leased = urgent_alone(&steps, 1).await;
        assert_eq!((leased.leases.len(), leased.next_due), (0, Some(due)));
    }
    steps.pass(Duration::from_secs(2)).await;
    assert_eq!(urgent_alone(&steps, 1).await.leases.len(), 1);
}

/// Two deaths of a worker make a job run alone; whether it may at all is another matter.
pub async fn who_asks_for_urgent_jobs_alone_does_not_wait_for_others_that_run_alone(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    flood(&steps, "bulk", 1, Priority::Bulk).await;
    for _ in 0..2 {
        let lease = steps.lease_one("w1").await;
        steps.pass(lease.ttl).await;
    }
    assert_eq!(steps.lease(&ask("w1")).await.alone_waiting, 1);
    let leased = urgent_alone(&steps, 1).await;
    assert_eq!((leased.leases.len(), leased.alone_waiting, leased.next_due), (0, 0, None));
    let leased = steps.lease(&LeaseAsk { account: account(), idle: true, ..ask("w1") }).await;
    assert_eq!(leased.leases.len(), 1);
}

/// What bulk was leased while nothing urgent was there counts as its share.
pub async fn others_that_were_leased_uncontested_have_had_their_share(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    flood(&steps, "bulk", 20, Priority::Bulk).await;
    flood(&steps, "urgent", SHARE_OF_OTHERS as usize - 1, Priority::Urgent).await;
    lease_many(&steps, SHARE_OF_OTHERS as usize + 3, 1).await;
    let urgent = flood(&steps, "more", 1, Priority::Urgent).await;
    assert_eq!(steps.lease_one("w2").await.run, urgent);
}

/// A flood of urgent work leaves its share to a job that must run alone, too: it is not put off for ever.
pub async fn what_must_run_alone_has_a_share_as_well(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let kills = flood(&steps, "kills", 1, Priority::Bulk).await;
    for _ in 0..2 {
        let lease = steps.lease_one("w1").await;
        steps.pass(lease.ttl).await;
    }
    flood(&steps, "urgent", 40, Priority::Urgent).await;
    let mut given = Vec::new();
    for _ in 0..SHARE_OF_OTHERS {
        given.push(steps.lease(&LeaseAsk { idle: true, ..ask("idle") }).await.leases.remove(0).run);
    }
    assert_eq!(given.iter().position(|run| *run == kills), Some(SHARE_OF_OTHERS as usize - 1));
}
