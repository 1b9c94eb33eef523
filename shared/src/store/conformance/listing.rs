//! Which accounts and runs there are: by pages, and those that ended since a moment.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Fixture,
    samples::{Submission, account, other_account},
    steps::Steps,
};
use crate::{
    AccountName, Protection, RunId, RunPhase, RunStatus, Timestamp,
    audit::{AuditEvent, AuditKind},
    config::ProtectedPattern,
};

fn ids(statuses: Vec<RunStatus>) -> Vec<RunId> {
    statuses.into_iter().map(|status| status.run.id).collect()
}

/// All runs, by pages of that size.
async fn pages(steps: &Steps<'_>, size: usize) -> Vec<RunId> {
    let mut found: Vec<RunId> = Vec::new();
    loop {
        let page = ids(steps.store.runs(found.last(), size).await.unwrap());
        let last = page.len() < size;
        found.extend(page);
        if last {
            return found;
        }
    }
}

pub async fn accounts_are_those_that_had_a_sealed_run(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    assert_eq!(steps.store.accounts().await.unwrap(), Vec::<AccountName>::new());
    // Neither a rule nor a draft makes one.
    let protection = Protection {
        pattern: ProtectedPattern::new("role:7").unwrap(),
        reason: None,
        by: "cli:alice@host".into(),
        at: steps.now(),
    };
    steps.store.protect(&other_account(), &protection).await.unwrap();
    let (run, seal) = steps.draft(&Submission::of_size(1)).await;
    assert_eq!(steps.store.accounts().await.unwrap(), Vec::<AccountName>::new());
    steps.seal(&run, &seal).await;
    assert_eq!(steps.store.accounts().await.unwrap(), [account()]);
    steps.submit(&Submission::of_size(1).to(other_account())).await;
    let second = fixture.second_handle().await;
    assert_eq!(second.accounts().await.unwrap(), [other_account(), account()]);
}

pub async fn an_account_whose_runs_were_all_forgotten_is_still_one(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&Submission::of_size(1)).await;
    steps.work_to_the_end("w1").await;
    steps.pass(Duration::from_secs(1)).await;
    while steps.store.prune(steps.now()).await.unwrap().is_some() {}
    assert_eq!(steps.store.runs(None, 9).await.unwrap(), []);
    assert_eq!(steps.store.accounts().await.unwrap(), [account()]);
}

pub async fn pages_of_runs_together_are_all_runs_in_their_order(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for moment in 0..3 {
        for _ in 0..=moment {
            steps.submit(&Submission::of_size(1)).await;
            steps.submit(&Submission::of_size(1).to(other_account())).await;
        }
        steps.pass(Duration::from_secs(1)).await;
    }
    let all = steps.store.runs(None, 100).await.unwrap();
    let order: Vec<_> = all.iter().map(|status| (status.run.created_at, status.run.id.clone())).collect();
    assert!(order.is_sorted_by(|one, next| one > next), "{order:?}");
    let all = ids(all);
    assert_eq!(all.len(), 12);
    for size in [1, 2, 5, 12, 13] {
        assert_eq!(pages(&steps, size).await, all, "by {size}");
    }
}

/// More of one moment than any page holds.
pub async fn runs_that_were_opened_at_once_are_told_apart_by_pages_too(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for _ in 0..130 {
        let (run, seal) = steps.draft(&Submission::of_size(1)).await;
        steps.store.seal(&run, &seal).await.unwrap();
    }
    let all = ids(steps.store.runs(None, 1_000).await.unwrap());
    assert_eq!(all.len(), 130);
    assert!(all.is_sorted_by(|one, next| one.as_str() > next.as_str()), "{all:?}");
    assert_eq!(pages(&steps, 7).await, all);
    assert_eq!(ids(steps.store.runs(Some(&all[99]), 1_000).await.unwrap()), all[100..]);
}

pub async fn open_runs_are_on_no_page_and_begin_none(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let first = steps.submit(&Submission::of_size(1)).await;
    let (draft, _) = steps.draft(&Submission::of_size(1)).await;
    let last = steps.submit(&Submission::of_size(1)).await;
    let mut sealed = [first, last];
    sealed.sort_by(|one, other| other.as_str().cmp(one.as_str()));
    assert_eq!(pages(&steps, 1).await, sealed);
    assert_eq!(steps.store.runs(Some(&draft), 9).await.unwrap(), []);
    let never = steps.new_run(&Submission::of_size(1)).id;
    assert_eq!(steps.store.runs(Some(&never), 9).await.unwrap(), []);
    assert_eq!(steps.store.runs(Some(&sealed[0]), 0).await.unwrap(), []);
}

pub async fn a_page_tells_of_each_run_what_the_run_tells_itself(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let worked = steps.queue(&Submission::of_size(3)).await;
    steps.work_to_the_end("w1").await;
    steps.pass(Duration::from_secs(1)).await;
    let newest = steps.submit(&Submission::of_size(2)).await;
    let page = steps.store.runs(Some(&newest), 9).await.unwrap();
    assert_eq!(page, [steps.status(&worked).await]);
}

pub async fn runs_that_ended_come_in_the_order_in_which_they_ended(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let ended = |since: Timestamp, limit: usize| {
        let store = steps.store.clone();
        async move { ids(store.ended(&account(), since, limit).await.unwrap()) }
    };
    let began = steps.now();
    assert_eq!(ended(began, 9).await, []);
    let [one, two, three] = [
        steps.queue(&Submission::of_size(1)).await,
        steps.queue(&Submission::of_size(1)).await,
        steps.queue(&Submission::of_size(1)).await,
    ];
    let mut when = BTreeMap::new();
    for run in [&two, &three, &one] {
        steps.pass(Duration::from_secs(1)).await;
        assert_eq!(steps.cancel(run, 10).await, 0);
        when.insert(run.clone(), steps.now());
    }
    assert_eq!(ended(began, 9).await, [two.clone(), three.clone(), one.clone()]);
    assert_eq!(ended(began, 2).await, [two, three.clone()]);
    // From that very moment on.
    assert_eq!(ended(when[&three], 9).await, [three, one.clone()]);
    assert_eq!(ended(when[&one].after(Duration::from_millis(1)), 9).await, []);
    let told = steps.store.ended(&account(), when[&one], 9).await.unwrap();
    assert_eq!(told, [steps.status(&one).await]);
    assert_eq!((told[0].phase, told[0].finished_at), (RunPhase::Cancelled, Some(when[&one])));
    assert_eq!(steps.store.ended(&other_account(), began, 9).await.unwrap(), []);
}

pub async fn runs_that_ended_at_once_come_by_their_ids(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for _ in 0..5 {
        let run = steps.queue(&Submission::of_size(1)).await;
        steps.cancel(&run, 10).await;
    }
    let ended = ids(steps.store.ended(&account(), steps.now(), 9).await.unwrap());
    assert_eq!(ended.len(), 5);
    assert!(ended.is_sorted_by(|one, next| one.as_str() < next.as_str()), "{ended:?}");
}

pub async fn a_run_that_is_tried_again_has_not_ended_until_it_ends_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let began = steps.now();
    let run = steps.queue(&Submission::of_size(2)).await;
    steps.cancel(&run, 10).await;
    assert_eq!(ids(steps.store.ended(&account(), began, 9).await.unwrap()), std::slice::from_ref(&run));
    assert_eq!(steps.reopen(&run, &[0, 1]).await, 2);
    assert_eq!(steps.store.ended(&account(), began, 9).await.unwrap(), []);
    steps.pass(Duration::from_secs(5)).await;
    assert_eq!(steps.cancel(&run, 10).await, 0);
    assert_eq!(ids(steps.store.ended(&account(), steps.now(), 9).await.unwrap()), [run]);
}

pub async fn a_forgotten_run_is_not_among_those_that_ended(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let began = steps.now();
    let run = steps.queue(&Submission::of_size(1)).await;
    steps.cancel(&run, 10).await;
    steps.pass(Duration::from_secs(1)).await;
    while steps.store.prune(steps.now()).await.unwrap().is_some() {}
    assert_eq!(steps.store.ended(&account(), began, 9).await.unwrap(), []);
    assert_eq!(steps.store.runs(Some(&run), 9).await.unwrap(), []);
}

pub async fn the_last_entry_of_the_audit_is_known_sealed_or_not(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let event = AuditEvent {
        what: AuditKind::Paused,
        by: "cli:alice@host".into(),
        from: None,
        account: None,
        run: None,
        plan: None,
        detail: None,
    };
    assert_eq!(steps.store.audit_last().await.unwrap(), 0);
    for number in 1..=3 {
        steps.store.tell(&event).await.unwrap();
        assert_eq!(steps.store.audit_last().await.unwrap(), number);
    }
    assert!(steps.store.seal_audit(None, &["a".repeat(64)]).await.unwrap());
    assert_eq!(fixture.second_handle().await.audit_last().await.unwrap(), 3);
}
