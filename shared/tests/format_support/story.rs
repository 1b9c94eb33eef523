//! What the stored fixtures hold: runs in every phase, leases, retries, waits, deaths, duplicates, claims; and what comes
//! of it all when it is worked to its end.

use std::{collections::BTreeMap, time::Duration};

use usher_shared::{store::*, *};

/// The time at which the story begins.
pub const BEGINS: Timestamp = Timestamp::from_millis(1_763_600_000_000);

const TTL: Duration = Duration::from_secs(15);
const SECOND: Duration = Duration::from_secs(1);

pub fn account() -> AccountName {
    "zoom-main".parse().unwrap()
}

/// Another tenant, on hold.
pub fn held_account() -> AccountName {
    "zoom-branch".parse().unwrap()
}

/// The runs, by what is to be said of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// Worked to its end.
    Done,
    /// Overtaken by `Worked` on one user; nothing of it has been worked.
    Older,
    /// In the middle of its work: something of everything.
    Worked,
    /// Half of it in the queue.
    HalfQueued,
    /// Sealed; its steward has resolved one request and is gone.
    Sealed,
    /// Resolved, not admitted.
    Resolved,
    /// Cancelled with a job in flight.
    Cancelling,
    /// Paused by a person.
    Paused,
    /// Never sealed.
    Open,
    /// Of the account that is on hold.
    Held,
}

impl Which {
    pub fn id(self) -> RunId {
        let letter = char::from(b"23456789ab"[self as usize]);
        format!("20251120-22222{letter}").parse().unwrap()
    }
}

/// A user as the vendor knows it.
pub fn user(name: &str) -> ResolvedUser {
    let before = UserState {
        status: Status::Active,
        license: Some("2".into()),
        role: Some("2".into()),
        groups: vec!["g1".into(), "g 2|é".into()],
    };
    ResolvedUser { id: format!("id-{name}"), email: Some(format!("{name}@corp.example")), before }
}

async fn draft(
    store: &dyn Store,
    which: Which,
    of: &AccountName,
    priority: Priority,
    users: &[&str],
) -> Seal {
    let run = NewRun {
        terms: Default::default(),
        id: which.id(),
        account: of.clone(),
        priority,
        reason: Some("left the company".into()),
        asked_by: "cli:alice@host".into(),
        source: Some("leavers.csv".into()),
        created_at: BEGINS,
    };
    store.open_run(&run).await.unwrap();
    let requests: Vec<Request> = (1..)
        .zip(users)
        .map(|(line, user)| Request {
            restore: None,
            line,
            user: user.parse().unwrap(),
            action: if which == Which::Done { Action::Activate } else { Action::Deactivate },
            reason: (line == 2).then(|| "said \"no\"\\".to_owned()),
        })
        .collect();
    store.append(&run.id, 0, &requests).await.unwrap();
    let total = requests.len() as u64;
    let by_action = requests.first().map(|request| (request.action, total)).into_iter().collect();
    let idempotency =
        Idempotency { key: format!("key of {which:?}"), digest: format!("{which:?}"), again_after_end: true };
    Seal { total, by_action, idempotency }
}

async fn seal(store: &dyn Store, which: Which, of: &AccountName, priority: Priority, names: &[&str]) {
    let users: Vec<String> = names
        .iter()
        .map(|name| if name.starts_with("id-") { (*name).to_owned() } else { format!("{name}@corp.example") })
        .collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let seal = draft(store, which, of, priority, &users).await;
    store.seal(&which.id(), &seal).await.unwrap();
}

async fn resolve(store: &dyn Store, which: Which, names: &[&str], exceptions: &BTreeMap<u64, Resolution>) {
    let steward = store.take_steward(&which.id(), &WorkerId::new("w0"), TTL).await.unwrap().unwrap();
    let resolved: Vec<_> = (0..)
        .zip(names)
        .map(|(seq, name)| {
            let exception = exceptions.get(&seq).cloned();
            (seq, exception.unwrap_or_else(|| Resolution::Change(user(name))))
        })
        .collect();
    store.resolve(&steward, &resolved).await.unwrap();
    store.finish_resolving(steward).await.unwrap();
}

async fn queue(store: &dyn Store, which: Which, of: &AccountName, priority: Priority, names: &[&str]) {
    seal(store, which, of, priority, names).await;
    resolve(store, which, names, &BTreeMap::new()).await;
    store.admit(&which.id()).await.unwrap();
    assert_eq!(store.promote(&which.id(), CHUNK).await.unwrap(), 0);
}

fn ask(worker: &str, leases: usize, only: Which) -> LeaseAsk {
    LeaseAsk {
        account: account(),
        worker: WorkerId::new(worker),
        leases,
        batch: 1,
        ttl: TTL,
        only_run: Some(only.id()),
        urgent_only: false,
        idle: false,
    }
}

fn attempt(at: Timestamp, verdict: Verdict) -> Attempt {
    let ended_at = at.after(Duration::from_millis(87));
    let http = Some(if verdict == Verdict::Transient { 503 } else { 204 });
    Attempt { began_at: at, ended_at, calls: 1, http, verdict, code: None, worker: WorkerId::new("w1") }
}

fn report(seq: u64, at: Timestamp, verdict: Verdict, then: Then) -> JobReport {
    let throttled = u32::from(verdict == Verdict::Throttled);
    JobReport { seq, attempt: Some(attempt(at, verdict)), throttled, then }
}

fn finish(outcome: Outcome) -> Then {
    Then::Finish { outcome, code: None, message: None }
}

/// Writes the story into an empty store. It ends with two leases alive.
pub async fn write(store: &dyn Store, clock: &ManualClock) {
    let (normal, bulk) = (Priority::Normal, Priority::Bulk);
    assert_eq!(clock.now(), BEGINS);
    queue(store, Which::Done, &account(), Priority::Urgent, &["done0", "done1"]).await;
    let leased = store.lease(&ask("w1", 2, Which::Done)).await.unwrap();
    let outcomes = [(Verdict::Applied, Outcome::Applied), (Verdict::AlreadyApplied, Outcome::AlreadyApplied)];
    for (lease, (verdict, outcome)) in leased.leases.into_iter().zip(outcomes) {
        let seq = lease.jobs[0].seq;
        store.finish(lease, vec![report(seq, BEGINS, verdict, finish(outcome))]).await.unwrap();
    }
    queue(store, Which::Older, &account(), normal, &["older0", "both", "older2"]).await;
    in_the_middle(store, clock).await;

    let names = ["half0", "half1", "half2", "half3", "half4"];
    seal(store, Which::HalfQueued, &account(), bulk, &names).await;
    resolve(store, Which::HalfQueued, &names, &BTreeMap::new()).await;
    store.admit(&Which::HalfQueued.id()).await.unwrap();
    assert_eq!(store.promote(&Which::HalfQueued.id(), 3).await.unwrap(), 2);

    seal(store, Which::Sealed, &account(), normal, &["sealed0", "sealed1"]).await;
    let gone = store.take_steward(&Which::Sealed.id(), &WorkerId::new("w0"), TTL).await.unwrap().unwrap();
    store.resolve(&gone, &[(0, Resolution::Change(user("sealed0")))]).await.unwrap();

    seal(store, Which::Resolved, &account(), normal, &["resolved0", "resolved1"]).await;
    resolve(store, Which::Resolved, &["resolved0", "resolved1"], &BTreeMap::new()).await;

    queue(store, Which::Cancelling, &account(), normal, &["cancelling0", "cancelling1", "cancelling2"]).await;
    assert_eq!(store.lease(&ask("w1", 1, Which::Cancelling)).await.unwrap().leases.len(), 1);
    assert_eq!(store.cancel(&Which::Cancelling.id(), 1).await.unwrap(), 2);

    queue(store, Which::Paused, &account(), normal, &["paused0", "paused1"]).await;
    store.pause(&Which::Paused.id()).await.unwrap();

    draft(store, Which::Open, &account(), normal, &["open0@corp.example", "open1@corp.example"]).await;

    queue(store, Which::Held, &held_account(), normal, &["held0"]).await;
    let message = "the account's token may not do this".to_owned();
    let hold = Hold { reason: HoldReason::Scope, message, since: clock.now(), until: None };
    store.hold(&held_account(), &hold).await.unwrap();

    let drawn = store.draw_quota(&account(), "light", QuotaWindow::UtcDay, 7, 10).await.unwrap();
    assert_eq!(drawn.granted, 7);
    let claimed = store.claim_refresh(&account(), &WorkerId::new("w1"), None, TTL).await.unwrap();
    let Refresh::Yours(claim) = claimed else { panic!("{claimed:?}") };
    store.shelve_token(claim, &[0, 1, 2, 255], Duration::from_secs(3_600)).await.unwrap();
}

/// A run with a job in each state that a job can be in.
async fn in_the_middle(store: &dyn Store, clock: &ManualClock) {
    let names = [
        "applied",
        "rejected",
        "retried",
        "snoozed",
        "deadly",
        "inflight",
        "ready6",
        "ready7",
        "nobody",
        "owner",
        "id-applied",
        "both",
    ];
    let run = Which::Worked.id();
    seal(store, Which::Worked, &account(), Priority::Normal, &names).await;
    let settled = |outcome, code: &str, message: &str, user| Resolution::Settled {
        outcome,
        code: Some(code.to_owned()),
        message: Some(message.to_owned()),
        user,
    };
    let owner = ResolvedUser {
        before: UserState { role: Some("0".into()), ..user("owner").before },
        ..user("owner")
    };
    let exceptions = BTreeMap::from([
        (8, settled(Outcome::NotFound, "not_found", "the account has no such user", None)),
        (9, settled(Outcome::Protected, "owner", "the user is owner of the account", Some(owner))),
        (10, Resolution::Duplicate { of_line: 1 }),
    ]);
    resolve(store, Which::Worked, &names, &exceptions).await;
    store.admit(&run).await.unwrap();
    assert_eq!(store.promote(&run, CHUNK).await.unwrap(), 0);

    let mut leases = store.lease(&ask("w1", 5, Which::Worked)).await.unwrap().leases;
    // The last of them dies with its worker.
    drop(leases.pop());
    let at = clock.now();
    let odd = Then::Finish {
        outcome: Outcome::Rejected,
        code: Some("1\u{1f}2".into()),
        message: Some("\"é\"\n\\ \u{1d}'--".into()),
    };
    let snooze = Then::Snooze { until: at.after(SECOND * 90), reason: SnoozeReason::Throttled };
    let decisions = [
        (Verdict::Applied, finish(Outcome::Applied)),
        (Verdict::Rejected, odd),
        (Verdict::Transient, Then::Retry { at: at.after(SECOND * 600) }),
        (Verdict::Throttled, snooze),
    ];
    for (lease, (verdict, then)) in leases.into_iter().zip(decisions) {
        let seq = lease.jobs[0].seq;
        store.finish(lease, vec![report(seq, at, verdict, then)]).await.unwrap();
    }
    // A second death, and the first of another job, which then is leased again and lives as the story ends.
    clock.advance(TTL);
    assert_eq!(store.lease(&ask("w2", 2, Which::Worked)).await.unwrap().leases.len(), 2);
    clock.advance(TTL);
    let leased = store.lease(&ask("w3", 1, Which::Worked)).await.unwrap();
    assert_eq!((leased.leases[0].jobs[0].seq, leased.alone_waiting), (5, 1));
}

/// Where the story left each run, and what it says of it: counters, what it cost, single jobs.
pub async fn check(store: &dyn Store) {
    let counted = async |which: Which| {
        let status = store.run(&which.id()).await.unwrap().unwrap();
        assert!(status.counters.add_up(), "{which:?}: {:?}", status.counters);
        let Counters { total, pending, queued, leased, finished, duplicates, .. } = status.counters;
        (status.phase, [total, pending, queued, leased, finished, duplicates])
    };
    use RunPhase::{Admitted, Finished, Resolved, Sealed};
    assert_eq!(counted(Which::Done).await, (Finished, [2, 0, 0, 0, 2, 0]));
    assert_eq!(counted(Which::Older).await, (Admitted, [3, 0, 3, 0, 0, 0]));
    assert_eq!(counted(Which::Worked).await, (Admitted, [11, 0, 6, 1, 4, 1]));
    assert_eq!(counted(Which::HalfQueued).await, (Admitted, [5, 2, 3, 0, 0, 0]));
    assert_eq!(counted(Which::Sealed).await, (Sealed, [2, 2, 0, 0, 0, 0]));
    assert_eq!(counted(Which::Resolved).await, (Resolved, [2, 2, 0, 0, 0, 0]));
    assert_eq!(counted(Which::Cancelling).await, (Admitted, [3, 0, 1, 1, 1, 0]));
    assert_eq!(counted(Which::Paused).await, (Admitted, [2, 0, 2, 0, 0, 0]));
    assert_eq!(counted(Which::Held).await, (Admitted, [1, 0, 1, 0, 0, 0]));
    assert_eq!(store.run(&Which::Open.id()).await.unwrap(), None);

    let worked = store.run(&Which::Worked.id()).await.unwrap().unwrap();
    assert_eq!(worked.run.reason.as_deref(), Some("left the company"));
    let Effort { attempts, calls, throttled, retries, lost, .. } = worked.effort;
    assert_eq!((attempts, calls, throttled, retries, lost), (7, 4, 1, 1, 3));
    let rows = store.outcomes(&Which::Worked.id(), 0, 100).await.unwrap();
    let ends: Vec<_> = rows.iter().map(|row| (row.seq, row.outcome, row.code.as_deref())).collect();
    assert_eq!(
        ends,
        [
            (0, Outcome::Applied, None),
            (1, Outcome::Rejected, Some("1\u{1f}2")),
            (8, Outcome::NotFound, Some("not_found")),
            (9, Outcome::Protected, Some("owner"))
        ]
    );
    assert_eq!(rows[0].resolved, Some(user("applied")));
    assert_eq!(rows[1].message.as_deref(), Some("\"é\"\n\\ \u{1d}'--"));
    assert_eq!(rows[1].reason.as_deref(), Some("said \"no\"\\"));
    let verdicts = async |seq| {
        let attempts = store.attempts(&Which::Worked.id(), seq).await.unwrap();
        attempts.iter().map(|attempt| attempt.verdict).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(2).await, [Verdict::Transient]);
    assert_eq!(verdicts(3).await, [Verdict::Throttled]);
    assert_eq!(verdicts(4).await, [Verdict::Lost, Verdict::Lost]);
    assert_eq!(verdicts(5).await, [Verdict::Lost]);
    let duplicates = store.duplicates(&Which::Worked.id()).await.unwrap();
    assert_eq!(duplicates, [(11, "id-applied".to_owned(), 1)]);

    let held = store.run(&Which::Held.id()).await.unwrap().unwrap().hold.unwrap();
    assert_eq!(held.reason, HoldReason::Scope);
    assert_eq!(store.draw_quota(&account(), "light", QuotaWindow::UtcDay, 0, 10).await.unwrap().used, 7);
    let token = store.token(&account()).await.unwrap().unwrap();
    assert_eq!((token.generation, token.sealed.as_slice()), (1, [0, 1, 2, 255].as_slice()));
}

/// Everybody to be leased, whoever asks.
fn anything(of: AccountName) -> LeaseAsk {
    LeaseAsk { account: of, leases: 10, only_run: None, idle: true, ..ask("w9", 10, Which::Worked) }
}

/// What may be leased just now, by run; given back.
pub async fn leasable(store: &dyn Store) -> Vec<RunId> {
    let leased = store.lease(&anything(account())).await.unwrap();
    let mut runs: Vec<RunId> = leased.leases.iter().map(|lease| lease.run.clone()).collect();
    for lease in leased.leases {
        store.finish(lease, vec![]).await.unwrap();
    }
    runs.dedup();
    runs
}

/// Hours later a new worker comes and works all there is to its end. Meanwhile one user has become an admin.
pub async fn work_to_the_end(store: &dyn Store, clock: &ManualClock) {
    clock.advance(SECOND * 2 * 3_600);
    store.resume(&Which::Paused.id()).await.unwrap();
    assert!(store.release(&held_account()).await.unwrap());
    assert_eq!(store.expire_open_runs().await.unwrap(), 1);
    for _ in 0..200 {
        let mut left = 0;
        for of in [account(), held_account()] {
            for lease in store.lease(&anything(of.clone())).await.unwrap().leases {
                assert_ne!(lease.jobs[0].user.key(), user("ready6").key(), "touched by old knowledge");
                let seq = lease.jobs[0].seq;
                let applied = report(seq, clock.now(), Verdict::Applied, finish(Outcome::Applied));
                store.finish(lease, vec![applied]).await.unwrap();
            }
            for status in store.unfinished(&of).await.unwrap() {
                assert!(status.counters.add_up(), "{status:?}");
                left += 1;
                move_on(store, &status, clock.now()).await;
            }
        }
        if left == 0 {
            return;
        }
        clock.advance(SECOND);
    }
    panic!("it does not end: {:?}", store.unfinished(&account()).await);
}

/// What a steward does for a run.
async fn move_on(store: &dyn Store, status: &RunStatus, now: Timestamp) {
    let run = &status.run.id;
    let worker = WorkerId::new("w9");
    if status.cancelled {
        store.cancel(run, CHUNK).await.unwrap();
    } else if status.phase == RunPhase::Sealed {
        let steward = store.take_steward(run, &worker, TTL).await.unwrap().unwrap();
        let requests = store.requests(run, 0, CHUNK).await.unwrap();
        let name = |request: &Request| request.user.as_str().split('@').next().unwrap().to_owned();
        let resolved: Vec<_> =
            requests.iter().map(|(seq, request)| (*seq, Resolution::Change(user(&name(request))))).collect();
        store.resolve(&steward, &resolved).await.unwrap();
        store.finish_resolving(steward).await.unwrap();
    } else if status.stood_still(now).is_some() {
        let Some(steward) = store.take_steward(run, &worker, TTL).await.unwrap() else { return };
        let remaining = store.remaining(run, 0, CHUNK).await.unwrap();
        let resolved: Vec<_> = remaining
            .into_iter()
            .map(|job| match job.user.id.as_str() {
                "id-ready6" => {
                    let (code, message) = (Some("admin".to_owned()), None);
                    (job.seq, Resolution::Settled { outcome: Outcome::Protected, code, message, user: None })
                }
                _ => (job.seq, Resolution::Change(job.user)),
            })
            .collect();
        store.resolve(&steward, &resolved).await.unwrap();
        store.finish_resolving(steward).await.unwrap();
    } else if status.phase == RunPhase::Resolved {
        store.admit(run).await.unwrap();
    } else if status.counters.pending > 0 {
        store.promote(run, CHUNK).await.unwrap();
    }
}

/// What became of everything.
pub async fn check_the_end(store: &dyn Store) {
    use Outcome::{AlreadyApplied, Applied, Cancelled, NotFound, Protected, Rejected, Superseded};
    let ends = [
        (Which::Done, vec![Applied, AlreadyApplied]),
        (Which::Older, vec![Applied, Superseded, Applied]),
        (
            Which::Worked,
            vec![
                Applied, Rejected, Applied, Applied, Applied, Applied, Protected, Applied, NotFound,
                Protected, Applied,
            ],
        ),
        (Which::HalfQueued, vec![Applied; 5]),
        (Which::Sealed, vec![Applied; 2]),
        (Which::Resolved, vec![Applied; 2]),
        (Which::Cancelling, vec![Cancelled; 3]),
        (Which::Paused, vec![Applied; 2]),
        (Which::Held, vec![Applied]),
    ];
    for (which, expected) in ends {
        let rows = store.outcomes(&which.id(), 0, 100).await.unwrap();
        let outcomes: Vec<Outcome> = rows.iter().map(|row| row.outcome).collect();
        assert_eq!(outcomes, expected, "{which:?}");
        let status = store.run(&which.id()).await.unwrap().unwrap();
        assert!(status.phase.is_over() && status.counters.add_up(), "{which:?}: {status:?}");
        let mut attempts = 0;
        for row in &rows {
            let listed = store.attempts(&which.id(), row.seq).await.unwrap();
            assert_eq!(listed.len(), row.attempts as usize, "{which:?} {row:?}");
            attempts += listed.len() as u64;
        }
        assert_eq!(status.effort.attempts, attempts, "{which:?}");
    }
    let superseded = store.outcomes(&Which::Older.id(), 1, 1).await.unwrap().remove(0);
    assert_eq!(superseded.code.as_deref(), Some(Which::Worked.id().as_str()));
    let deadly = store.attempts(&Which::Worked.id(), 4).await.unwrap();
    assert_eq!(deadly.len(), 3);
    let again = NewRun {
        terms: Default::default(),
        id: Which::Open.id(),
        account: account(),
        priority: Priority::Normal,
        reason: None,
        asked_by: "test".into(),
        source: None,
        created_at: BEGINS,
    };
    store.open_run(&again).await.expect("what was never sealed is forgotten, its id free");
}
