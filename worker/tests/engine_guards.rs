//! Caps and approval, in virtual time: not one call goes out for a run that is not admitted, whatever way it came.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod engine_support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use engine_support::*;
use usher_shared::{
    config::{ApprovalConfig, ApprovalRequired, Caps, Role, Share, Submitter, TokenConfig},
    identity::{PersonalToken, Proof, approval_text, submission_text},
    store::Store,
    *,
};
use usher_worker::{Engine, EngineConfig, admit::Rules};

/// 2025-10-09T23:50:00Z, so that the day ends soon: a virtual hour is some seconds of looking whether there is something to do.
const LATE: Timestamp = Timestamp::from_millis(1_760_053_800_000);
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// A store and a configuration whose day is nearly over.
fn late(vendor: &Arc<Vendor>) -> (Arc<MemoryStore>, EngineConfig) {
    let clock = TokioClock::beginning(LATE);
    let store = Arc::new(MemoryStore::new(Arc::new(clock)));
    (store.clone(), config(store, clock, &[("zoom-main", vendor)]))
}

fn capped(per_run: Option<u64>, per_day: Option<u64>) -> Rules {
    let caps = Caps { users_per_run: per_run, users_per_day: per_day, ..Caps::default() };
    Rules { caps, ..Rules::default() }
}

fn guarded(config: EngineConfig, rules: Rules) -> EngineConfig {
    let mut config = config;
    config.accounts[0].rules = rules;
    config
}

fn listed(users: usize) -> Arc<Vendor> {
    let mut vendor = Arc::into_inner(Vendor::new(200.0, |_, _| Step::Done)).unwrap();
    vendor.listed = users;
    Arc::new(vendor)
}

fn people() -> BTreeMap<&'static str, PersonalToken> {
    ["ann", "bob"].map(|name| (name, PersonalToken::generate().unwrap())).into()
}

fn with_approval(people: &BTreeMap<&str, PersonalToken>, required: ApprovalRequired, rules: Rules) -> Rules {
    let token = |name: &str, role| TokenConfig {
        key: people[name].key().unwrap(),
        roles: vec![role],
        accounts: None,
    };
    let tokens = [("ann", Role::Submit), ("bob", Role::Approve)];
    Rules {
        approval: Some(ApprovalConfig { required, submitter: Submitter::Token, ..ApprovalConfig::default() }),
        tokens: tokens.into_iter().map(|(name, role)| (name.to_owned(), token(name, role))).collect(),
        ..rules
    }
}

/// A run that ann submits with her token.
async fn anns(store: &dyn Store, people: &BTreeMap<&str, PersonalToken>, run: u32) -> NewRun {
    let mut new = new_run(store, run).await;
    let text = submission_text(&new.id, &new.account, "ann", new.created_at);
    new.terms.proof = Some(Proof { by: "ann".into(), signature: people["ann"].sign(&text).unwrap() });
    new
}

async fn approve(store: &dyn Store, people: &BTreeMap<&str, PersonalToken>, run: &RunId, by: &str) {
    let plan = store.run(run).await.unwrap().unwrap().notes.plan.unwrap().hash;
    let at = store.now().await.unwrap();
    let signature = people[by].sign(&approval_text(run, &plan, by, at)).unwrap();
    let approval = Approval { by: by.into(), at, plan, signature };
    store.confirm(run, &Confirmation::Approve(approval)).await.unwrap();
}

async fn apply(store: &dyn Store, run: &RunId) {
    let plan = store.run(run).await.unwrap().unwrap().notes.plan.unwrap().hash;
    let go = Go { by: "test".into(), at: store.now().await.unwrap(), plan };
    store.confirm(run, &Confirmation::Apply(go)).await.unwrap();
}

async fn reopen(store: &dyn Store, run: &RunId, seqs: std::ops::Range<u64>) {
    let seqs: Vec<u64> = seqs.collect();
    for chunk in seqs.chunks(500) {
        store.reopen(run, chunk).await.unwrap();
    }
    store.resume(run).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_over_the_cap_makes_no_call_however_it_comes_and_one_at_the_cap_is_worked() {
    let vendor = listed(400);
    let (store, config) = one(&vendor);
    let engine = Engine::start(guarded(config, capped(Some(30), None))).await.unwrap();
    let over = submit(&*store, 1, "zoom-main", users(31)).await;
    let status = until_over(&*store, &over).await;
    assert_eq!(status.state(), RunState::Refused);
    assert_eq!(status.counters.of(Outcome::Cancelled), 31);
    let rows = store.outcomes(&over, 0, 10).await.unwrap();
    assert_eq!(rows[0].code.as_deref(), Some(Ending::OVER_CAP));
    assert!(rows[0].message.as_deref().unwrap().contains("31 users"), "{:?}", rows[0].message);
    // Tried again as it is: refused again.
    reopen(&*store, &over, 0..31).await;
    until(&*store, &over, |status| status.state() == RunState::Refused).await;
    // Half of it is under the cap, and the whole of it was not.
    assert_eq!(vendor.starts().len(), 0);
    reopen(&*store, &over, 0..10).await;
    let status = until_over(&*store, &over).await;
    assert_eq!(status.counters.of(Outcome::Applied), 10, "{:?}", status.counters);
    assert_eq!(vendor.starts().len(), 10);
    let at = submit(&*store, 2, "zoom-main", users(40)).await;
    assert_eq!(
        until_over(&*store, &at).await.counters.of(Outcome::Applied),
        30,
        "10 of 40 are there already"
    );
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_active_users_is_counted_by_the_vendor_s_listing_and_asked_for_where_it_was_not_read()
{
    let vendor = listed(100);
    let (store, config) = one(&vendor);
    let share_per_run = Some(Share::try_from("10%".to_owned()).unwrap());
    let rules = Rules { caps: Caps { share_per_run, ..Caps::default() }, ..Rules::default() };
    let engine = Engine::start(guarded(config, rules)).await.unwrap();
    let over = submit(&*store, 1, "zoom-main", users(11)).await;
    let status = until_over(&*store, &over).await;
    assert_eq!(status.state(), RunState::Refused);
    assert_eq!(status.notes.plan.as_ref().unwrap().active_users, Some(100));
    let pages = vendor.seen.lock().unwrap().pages;
    // A single user is looked up; the first page of the listing is asked for besides.
    let one = submit(&*store, 2, "zoom-main", users(1)).await;
    assert_eq!(until_over(&*store, &one).await.counters.of(Outcome::Applied), 1);
    assert_eq!(vendor.seen.lock().unwrap().pages, pages + 1);
    engine.shutdown().await;
    assert_eq!(vendor.starts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_share_nobody_can_tell_waits_and_says_so() {
    let vendor = Vendor::new(200.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    let share_per_run = Some(Share::try_from("10%".to_owned()).unwrap());
    let rules = Rules { caps: Caps { share_per_run, ..Caps::default() }, ..Rules::default() };
    let engine = Engine::start(guarded(config, rules)).await.unwrap();
    let run = submit(&*store, 1, "zoom-main", users(3)).await;
    let held = until_held(&*store, &run, HeldReason::Unknown).await;
    assert!(held.message.contains("users_per_run"), "{}", held.message);
    tokio::time::sleep(Duration::from_secs(600)).await;
    engine.shutdown().await;
    assert_eq!(vendor.starts().len(), 0);
    assert_eq!(store.calls("note"), 2, "the plan, and why it is held: once each");
}

#[tokio::test(start_paused = true)]
async fn the_day_s_cap_counts_distinct_users_over_all_runs_and_the_next_day_begins_anew() {
    let vendor = listed(400);
    let (store, config) = late(&vendor);
    let engine = Engine::start(guarded(config, capped(None, Some(50)))).await.unwrap();
    let first = submit(&*store, 1, "zoom-main", users(40)).await;
    assert_eq!(until_over(&*store, &first).await.counters.of(Outcome::Applied), 40);
    let second = submit(&*store, 2, "zoom-main", users(60).into_iter().skip(40)).await;
    let status = until_over(&*store, &second).await;
    assert_eq!(status.state(), RunState::Refused);
    let ending = status.notes.ending.unwrap();
    assert!(ending.message.contains("40 of them are used"), "{}", ending.message);
    // What was not counted for good leaves room; and who was counted once is free.
    let third = submit(&*store, 3, "zoom-main", users(50).into_iter().skip(40)).await;
    assert_eq!(until_over(&*store, &third).await.counters.of(Outcome::Applied), 10);
    vendor.change(|seen| seen.status.clear());
    let again = submit(&*store, 4, "zoom-main", users(50)).await;
    assert_eq!(until_over(&*store, &again).await.counters.of(Outcome::Applied), 50);
    tokio::time::sleep(TEN_MINUTES).await;
    // The first ten of them were decided by newer runs meanwhile.
    reopen(&*store, &second, 0..20).await;
    let status = until_over(&*store, &second).await;
    assert_eq!(status.counters.of(Outcome::Applied), 10, "{:?}", status.counters);
    assert_eq!(status.counters.of(Outcome::Superseded), 10);
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_over_the_day_s_cap_goes_on_by_itself_the_next_day_where_it_may_wait() {
    let vendor = listed(400);
    let (store, config) = late(&vendor);
    let people = people();
    let rules = with_approval(&people, ApprovalRequired::OverCap, capped(None, Some(50)));
    let engine = Engine::start(guarded(config, rules)).await.unwrap();
    let first = submit(&*store, 1, "zoom-main", users(40)).await;
    until_over(&*store, &first).await;
    let new = anns(&*store, &people, 2).await;
    let second = submit_run(&*store, new, Action::Deactivate, users(60).into_iter().skip(40)).await;
    let held = until_held(&*store, &second, HeldReason::OverDayCap).await;
    assert!(held.message.contains("by itself after 00:00 UTC"), "{}", held.message);
    let asked = store.calls("reserve");
    tokio::time::sleep(TEN_MINUTES / 2).await;
    assert_eq!(store.calls("reserve"), asked, "until then it is not tried");
    tokio::time::sleep(TEN_MINUTES / 2).await;
    assert_eq!(until_over(&*store, &second).await.counters.of(Outcome::Applied), 20);
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_approved_by_another_person_goes_on_and_its_drifted_users_do_not() {
    let vendor = listed(400);
    let (store, config) = one(&vendor);
    let people = people();
    let rules = with_approval(&people, ApprovalRequired::OverCap, capped(Some(30), None));
    let engine = Engine::start(guarded(config, rules)).await.unwrap();
    let new = anns(&*store, &people, 1).await;
    let run = submit_run(&*store, new, Action::Deactivate, users(100)).await;
    let held = until_held(&*store, &run, HeldReason::OverRunCap).await;
    assert!(held.message.contains("100 users") && held.message.contains("(bob may)"), "{}", held.message);
    // Time goes by: it is not looked up again and again meanwhile.
    let pages = vendor.seen.lock().unwrap().pages;
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    assert_eq!(vendor.seen.lock().unwrap().pages, pages);
    assert_eq!(vendor.starts().len(), 0);
    vendor.change(|seen| {
        for (n, name) in users(30).into_iter().enumerate() {
            match n % 3 {
                0 => assert_eq!(seen.status.insert(name, Status::Inactive), None),
                1 => drop(seen.admins.insert(name)),
                _ => drop(seen.gone.insert(name)),
            }
        }
    });
    approve(&*store, &people, &run, "ann").await;
    let same = |status: &RunStatus| {
        status.notes.held.as_ref().is_some_and(|held| held.message.contains("may not approve"))
    };
    until(&*store, &run, same).await;
    approve(&*store, &people, &run, "bob").await;
    let status = until(&*store, &run, |status| status.phase.is_over()).await;
    engine.shutdown().await;
    assert_eq!(status.counters.of(Outcome::Drifted), 30, "{:?}", status.counters);
    assert_eq!(status.counters.of(Outcome::Applied), 70);
    let rows = store.outcomes(&run, 0, 5_000).await.unwrap();
    for row in &rows[..30] {
        let words = row.message.as_deref().unwrap();
        assert_eq!((row.outcome, row.attempts), (Outcome::Drifted, 0));
        assert!(words.contains("changed since the plan: "), "{words}");
    }
    assert!(users(30).iter().all(|name| vendor.calls(name) == 0));
}

#[tokio::test(start_paused = true)]
async fn a_plan_changes_nobody_until_it_is_applied_and_then_only_who_is_still_as_planned() {
    let vendor = listed(400);
    let (store, config) = one(&vendor);
    let engine = Engine::start(config).await.unwrap();
    let mut new = new_run(&*store, 1).await;
    new.terms.plan = true;
    let run = submit_run(&*store, new, Action::Deactivate, users(60)).await;
    until_held(&*store, &run, HeldReason::Planned).await;
    assert_eq!(store.run(&run).await.unwrap().unwrap().state(), RunState::Planned);
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    let status = store.run(&run).await.unwrap().unwrap();
    let plan = status.notes.plan.unwrap();
    assert_eq!((plan.change, vendor.starts().len()), (60, 0));
    vendor.change(|seen| {
        seen.status.insert("user7@corp.example".into(), Status::Inactive);
    });
    apply(&*store, &run).await;
    let status = until_over(&*store, &run).await;
    engine.shutdown().await;
    assert_eq!((status.counters.of(Outcome::Drifted), status.counters.of(Outcome::Applied)), (1, 59));
    assert_eq!(status.notes.plan.unwrap().hash, plan.hash);
    assert_eq!(status.notes.held, None);
}

#[tokio::test(start_paused = true)]
async fn an_undo_of_one_s_own_run_passes_the_caps_and_one_that_does_more_does_not() {
    let vendor = listed(400);
    let (store, config) = one(&vendor);
    let people = people();
    let rules = with_approval(&people, ApprovalRequired::OverCap, capped(Some(30), Some(60)));
    let engine = Engine::start(guarded(config, rules)).await.unwrap();
    let new = anns(&*store, &people, 1).await;
    let run = submit_run(&*store, new, Action::Deactivate, users(50)).await;
    until_held(&*store, &run, HeldReason::OverRunCap).await;
    approve(&*store, &people, &run, "bob").await;
    assert_eq!(until_over(&*store, &run).await.counters.of(Outcome::Applied), 50);
    vendor.change(|seen| {
        for name in users(60).into_iter().skip(50) {
            seen.status.insert(name, Status::Inactive);
        }
    });
    let undo = |number, count| {
        let (store, people, run) = (&store, &people, &run);
        async move {
            let mut new = anns(&**store, people, number).await;
            (new.terms.undoes, new.terms.plan) = (Some(run.clone()), true);
            let undo = submit_run(&**store, new, Action::Activate, users(count)).await;
            until_held(&**store, &undo, HeldReason::Planned).await;
            apply(&**store, &undo).await;
            undo
        }
    };
    // Ten users more than the run changed: the caps apply, and somebody has to approve.
    let more = undo(2, 60).await;
    until_held(&*store, &more, HeldReason::OverRunCap).await;
    let made = vendor.starts().len();
    assert_eq!(made, 50);
    let exact = undo(3, 50).await;
    assert_eq!(until_over(&*store, &exact).await.counters.of(Outcome::Applied), 50);
    engine.shutdown().await;
}
