//! A run's requests become users of the directory: by pages or one by one, over refusals, failures and races, and what can't
//! be resolved is not changed. Against the Zoom simulator where Zoom matters, against a scripted provider where the
//! order of events does. Time is virtual with the scripted one.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod resolve_support;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use resolve_support::{OpenGate, SealedRun, request, run_id};
use usher_shared::{
    Action, HoldReason, Outcome, ResolvedUser, RunPhase, Status, UserRef, UserState, Verdict, WorkerId,
    config::ProtectedPattern,
    store::{Store, StoreError},
};
use usher_worker::{
    provider::{Access, Call, Cursor, Label, PAGE_EXPIRED, Page, Provider, Rate, Reply, Throttle},
    resolve::{Asked, Patience, Policy, Progress, ResolveError, Resolved, Resolver, Way},
};

const OFF: Action = Action::Deactivate;

fn user(id: &str, email: &str, status: Status) -> ResolvedUser {
    let before = UserState { status, license: None, role: Some("2".into()), groups: vec![] };
    ResolvedUser { id: id.into(), email: Some(email.into()), before }
}

fn numbered(n: u64) -> ResolvedUser {
    user(&format!("id{n}"), &format!("u{n}@x.example"), Status::Active)
}

/// A directory whose answers are written down beforehand: pages in the order in which they are asked for.
#[derive(Debug, Default)]
struct Script {
    pages: Mutex<VecDeque<Result<Page, Reply>>>,
    cursors: Mutex<Vec<Cursor>>,
    users: Vec<ResolvedUser>,
    /// What look-ups answer first.
    stumbles: Mutex<VecDeque<Reply>>,
    looked_up: AtomicU64,
}

#[async_trait]
impl Provider for Script {
    fn rates(&self) -> Vec<Rate> {
        vec![]
    }
    fn label(&self, _call: Call) -> Label {
        Label("any")
    }
    fn batch(&self) -> usize {
        1
    }
    fn page_size(&self) -> u64 {
        2
    }
    fn listings(&self) -> Vec<Cursor> {
        ["active", "inactive"].map(|listing| Cursor { listing, page: None }).into()
    }
    fn call_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }
    fn protected_role(&self, user: &ResolvedUser) -> Option<&'static str> {
        (user.before.role.as_deref() == Some("1")).then_some("admin")
    }
    fn blocked(&self, user: &ResolvedUser, _action: Action) -> Option<(&'static str, &'static str)> {
        (user.before.status == Status::Pending).then_some(("pending", "never signed in"))
    }
    async fn apply(&self, _action: Action, users: &[&ResolvedUser]) -> Vec<Reply> {
        panic!("a resolve changed {users:?}")
    }
    async fn look_up(&self, user: &UserRef) -> Result<Option<ResolvedUser>, Reply> {
        self.looked_up.fetch_add(1, Ordering::SeqCst);
        if let Some(reply) = self.stumbles.lock().unwrap().pop_front() {
            return Err(reply);
        }
        let named = |found: &&ResolvedUser| found.id == user.key() || found.email == Some(user.key());
        Ok(self.users.iter().find(named).cloned())
    }
    async fn list(&self, cursor: &Cursor) -> Result<Page, Reply> {
        self.cursors.lock().unwrap().push(cursor.clone());
        self.pages.lock().unwrap().pop_front().unwrap_or_else(|| Ok(page(vec![], None)))
    }
    async fn access(&self) -> Result<Access, Reply> {
        Err(Reply::of(Verdict::Unknown))
    }
}

fn page(users: Vec<ResolvedUser>, next: Option<(&'static str, &str)>) -> Page {
    let next = next.map(|(listing, page)| Cursor { listing, page: Some(page.into()) });
    Page { users, next, total: Some(4) }
}

async fn resolve(
    sealed: &SealedRun,
    provider: &dyn Provider,
    gate: &OpenGate,
) -> Result<Resolved, ResolveError> {
    let policy = Policy {
        protected: vec![ProtectedPattern::new("*@service.corp.example").unwrap()],
        ..Policy::default()
    };
    resolve_under(sealed, provider, gate, &policy).await
}

async fn resolve_under(
    sealed: &SealedRun,
    provider: &dyn Provider,
    gate: &OpenGate,
    policy: &Policy,
) -> Result<Resolved, ResolveError> {
    let seen = AtomicU64::new(0);
    let total = sealed.requests;
    let progress = |progress: Progress| {
        assert!(progress.resolved <= progress.total && progress.total == total);
        assert!(seen.swap(progress.resolved, Ordering::SeqCst) <= progress.resolved, "never backwards");
    };
    let worker = WorkerId::new("test:1:a");
    let resolver = Resolver {
        store: &sealed.store,
        provider,
        gate,
        policy,
        worker: &worker,
        patience: Patience::default(),
        count_active: false,
        stewardship: Duration::from_secs(30),
        progress: &progress,
    };
    let resolved = resolver.resolve(&sealed.status().await).await?;
    assert_eq!(seen.load(Ordering::SeqCst), total);
    Ok(resolved)
}

async fn five() -> SealedRun {
    SealedRun::of((0..5).map(|n| request(n + 2, &format!("u{n}@x.example"), OFF)).collect()).await
}

#[tokio::test(start_paused = true)]
async fn a_resolve_can_be_spawned() {
    let sealed = Arc::new(five().await);
    let script = Arc::new(Script { users: (0..5).map(numbered).collect(), ..Script::default() });
    let task = tokio::spawn(async move {
        resolve(&sealed, &*script, &OpenGate::default()).await.map(|done| done.change)
    });
    assert_eq!(task.await.unwrap().unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn someone_who_moves_between_listings_while_they_are_read_is_looked_up_before_called_not_found() {
    let script = Script {
        // u3 is on no page: it was deactivated when the active ones had passed it and the inactive ones had been read.
        pages: Mutex::new(
            vec![
                Ok(page(vec![numbered(0), numbered(1)], Some(("active", "2")))),
                Ok(page(vec![numbered(2)], None)),
                Ok(page(vec![], None)),
            ]
            .into(),
        ),
        users: vec![user("id3", "u3@x.example", Status::Inactive)],
        ..Script::default()
    };
    let (sealed, gate) = (five().await, OpenGate::default());
    let resolved = resolve(&sealed, &script, &gate).await.unwrap();
    assert_eq!(
        sealed.words(),
        ["change id0", "change id1", "change id2", "change id3", "not_found not_found"]
    );
    assert_eq!((resolved.way, resolved.calls, resolved.change), (Way::Listing, 5, 4));
    assert_eq!(resolved.settled[&Outcome::NotFound], 1);
    assert_eq!(sealed.status().await.phase, RunPhase::Resolved);
}

#[tokio::test(start_paused = true)]
async fn an_expired_page_token_begins_that_listing_again_and_nobody_counts_twice() {
    let expired = Reply { code: Some(PAGE_EXPIRED.into()), ..Reply::of(Verdict::Rejected) };
    let script = Script {
        pages: Mutex::new(
            vec![
                Ok(page(vec![numbered(0), numbered(1)], Some(("active", "2")))),
                Err(expired),
                Ok(page(vec![numbered(0), numbered(1)], Some(("active", "2b")))),
                Ok(page(vec![numbered(2), numbered(3), numbered(4)], None)),
            ]
            .into(),
        ),
        ..Script::default()
    };
    let (sealed, gate) = (five().await, OpenGate::default());
    let resolved = resolve(&sealed, &script, &gate).await.unwrap();
    assert_eq!((resolved.change, resolved.calls), (5, 4));
    let pages: Vec<_> = script.cursors.lock().unwrap().iter().map(|cursor| cursor.page.clone()).collect();
    assert_eq!(pages, [None, Some("2".into()), None, Some("2b".into())]);
    assert!(
        script.cursors.lock().unwrap().iter().all(|cursor| cursor.listing == "active"),
        "all were found by then"
    );
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_names_the_same_page_for_ever_is_not_asked_for_ever() {
    let same = || Ok(page(vec![], Some(("active", "2"))));
    let script = Script { pages: Mutex::new((0..1000).map(|_| same()).collect()), ..Script::default() };
    let sealed = five().await;
    let error = resolve(&sealed, &script, &OpenGate::default()).await.unwrap_err();
    assert!(
        matches!(&error, ResolveError::Asked(Asked::Vendor { reply, .. }) if reply.code.as_deref() == Some("page_repeated")),
        "{error}"
    );
    assert!(script.cursors.lock().unwrap().len() < 10);
    assert_eq!(sealed.status().await.phase, RunPhase::Sealed);
}

#[tokio::test(start_paused = true)]
async fn refusals_and_failures_are_waited_out_and_reported_to_the_gate() {
    let throttled = Reply { throttle: Some(Throttle::PerSecond), ..Reply::of(Verdict::Throttled) };
    let mut pages: VecDeque<_> = (0..30).map(|_| Err(throttled.clone())).collect();
    pages.extend((0..7).map(|_| Err(Reply::of(Verdict::Transient))));
    pages.push_back(Ok(page((0..5).map(numbered).collect(), None)));
    let script = Script { pages: Mutex::new(pages), ..Script::default() };
    let (sealed, gate) = (five().await, OpenGate::default());
    assert_eq!(resolve(&sealed, &script, &gate).await.unwrap().change, 5);
    assert_eq!(gate.replies.lock().unwrap().len(), 37);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_fails_at_every_try_leaves_the_run_sealed_and_its_reply_with_the_caller() {
    let pages = (0..100).map(|_| Err(Reply { http: Some(503), ..Reply::of(Verdict::Transient) })).collect();
    let script = Script { pages: Mutex::new(pages), ..Script::default() };
    let (sealed, gate) = (five().await, OpenGate::default());
    let error = resolve(&sealed, &script, &gate).await.unwrap_err();
    assert!(matches!(error, ResolveError::Asked(Asked::Vendor { reply, .. }) if reply.http == Some(503)));
    assert_eq!(gate.calls_of(Call::List), Patience::default().tries as usize);
    assert_eq!((sealed.status().await.phase, sealed.words()[0].as_str()), (RunPhase::Sealed, "nothing"));
}

#[tokio::test(start_paused = true)]
async fn a_halt_is_handed_to_the_caller_at_once() {
    let halt = Reply { halt: Some(HoldReason::Scope), ..Reply::of(Verdict::Forbidden) };
    let script = Script { pages: Mutex::new(vec![Err(halt)].into()), ..Script::default() };
    let gate = OpenGate::default();
    let error = resolve(&five().await, &script, &gate).await.unwrap_err();
    assert!(
        matches!(error, ResolveError::Asked(Asked::Vendor { reply, .. }) if reply.halt == Some(HoldReason::Scope))
    );
    assert_eq!(gate.calls_of(Call::List), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_the_vendor_refuses_fails_alone() {
    let refusal = Reply {
        code: Some("300".into()),
        message: Some("Invalid user id.".into()),
        ..Reply::of(Verdict::Rejected)
    };
    let script =
        Script { users: vec![numbered(1)], stumbles: Mutex::new(vec![refusal].into()), ..Script::default() };
    let sealed = SealedRun::of(vec![request(1, "odd~name", OFF), request(2, "id1", OFF)]).await;
    let resolved = resolve(&sealed, &script, &OpenGate::default()).await.unwrap();
    assert_eq!(sealed.words(), ["rejected 300", "change id1"]);
    assert_eq!((resolved.way, resolved.calls), (Way::LookUps, 2));
}

#[tokio::test(start_paused = true)]
async fn one_user_by_two_names_is_one_job_also_when_each_is_looked_up() {
    let script = Script { users: vec![numbered(1)], ..Script::default() };
    let sealed = SealedRun::of(vec![request(7, "U1@X.example", OFF), request(9, "id1", OFF)]).await;
    let resolved = resolve(&sealed, &script, &OpenGate::default()).await.unwrap();
    assert_eq!(sealed.words(), ["change id1", "duplicate of 7"]);
    assert_eq!((resolved.change, resolved.duplicates), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_moment_costs_no_call_and_a_lost_finish_is_found_done() {
    let script = Script {
        pages: Mutex::new(vec![Ok(page((0..5).map(numbered).collect(), None))].into()),
        ..Script::default()
    };
    let (sealed, gate) = (five().await, OpenGate::default());
    for call in ["take_steward", "requests", "resolve"] {
        sealed.store.fail(call, [0, 1].map(|_| StoreError::Unavailable("planted".into())));
    }
    sealed.store.lose_answer("finish_resolving");
    assert_eq!(resolve(&sealed, &script, &gate).await.unwrap().calls, 1);
    assert_eq!(sealed.status().await.phase, RunPhase::Resolved);
}

#[tokio::test(start_paused = true)]
async fn a_lapsed_stewardship_writes_nothing_more() {
    let hang = Reply { throttle: Some(Throttle::PerDay), ..Reply::of(Verdict::Throttled) };
    let script =
        Script { pages: Mutex::new((0..10_000).map(|_| Err(hang.clone())).collect()), ..Script::default() };
    let (sealed, gate) = (five().await, OpenGate::default());
    let somebody_else = async {
        sealed.renewed().await;
        sealed.clock.advance(Duration::from_secs(31));
        let other = WorkerId::new("test:2:b");
        assert!(
            sealed.store.take_steward(&run_id(), &other, Duration::from_secs(30)).await.unwrap().is_some()
        );
        std::future::pending::<()>().await
    };
    let error = tokio::select! {
        resolved = resolve(&sealed, &script, &gate) => resolved.unwrap_err(),
        () = somebody_else => unreachable!(),
    };
    assert!(matches!(error, ResolveError::Store(StoreError::LeaseLapsed(_))), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_or_cancel_stops_a_resolve_that_waits() {
    let hang = Reply { throttle: Some(Throttle::PerDay), ..Reply::of(Verdict::Throttled) };
    for cancel in [false, true] {
        let script = Script {
            pages: Mutex::new((0..10_000).map(|_| Err(hang.clone())).collect()),
            ..Script::default()
        };
        let (sealed, gate) = (five().await, OpenGate::default());
        let operator = async {
            sealed.renewed().await;
            if cancel {
                sealed.store.cancel(&run_id(), 1).await.unwrap();
            } else {
                sealed.store.pause(&run_id()).await.unwrap();
            }
            std::future::pending::<()>().await
        };
        let error = tokio::select! {
            resolved = resolve(&sealed, &script, &gate) => resolved.unwrap_err(),
            () = operator => unreachable!(),
        };
        assert!(matches!(error, ResolveError::Stopped(_)), "{error}");
        let again = resolve(&sealed, &script, &gate).await.unwrap_err();
        assert!(matches!(again, ResolveError::Elsewhere(_)), "{again}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_ends_it() {
    let gate = OpenGate { closes_after: Some(0), ..OpenGate::default() };
    let error = resolve(&five().await, &Script::default(), &gate).await.unwrap_err();
    assert!(matches!(error, ResolveError::Asked(Asked::Closed(_))), "{error}");
}

#[tokio::test(start_paused = true)]
async fn many_that_no_listing_has_are_listed_once_more_rather_than_looked_up_each() {
    let requests: Vec<_> = (0..200).map(|n| request(n + 1, &format!("u{n}@x.example"), OFF)).collect();
    let (sealed, gate) = (SealedRun::of(requests).await, OpenGate::default());
    let script = Script {
        pages: Mutex::new(
            vec![
                Ok(page(vec![numbered(0)], None)),
                Ok(page(vec![], None)),
                Ok(page(vec![numbered(0)], None)),
                // It was on no page of the first reading.
                Ok(page(vec![numbered(199)], None)),
            ]
            .into(),
        ),
        ..Script::default()
    };
    let resolved = resolve(&sealed, &script, &gate).await.unwrap();
    assert_eq!((resolved.change, resolved.settled[&Outcome::NotFound], resolved.calls), (2, 198, 4));
    assert_eq!(script.looked_up.load(Ordering::SeqCst), 0);
}
