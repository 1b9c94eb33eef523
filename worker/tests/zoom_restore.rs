//! Activations that give back what was taken, worked by an engine against a simulated account: the users are as before, or the
//! outcome says what is missing.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

#[allow(unused_imports, reason = "this file uses a part of it")]
mod engine_support;
#[allow(unused_imports, reason = "this file uses a part of it")]
mod token_support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use engine_support::{run_id, until_over};
use token_support::{Vendor, account};
use usher_shared::{
    ACTIVATED_AS_BASIC, Action, Attempt, HoldReason, NewRun, Outcome, OutcomeRow, PARTLY_RESTORED, Priority,
    Request, Restore, RunId, RunStatus, SystemClock, Verdict, WorkerId,
    config::WorkerConfig,
    store::{Idempotency, Seal, Store, memory::MemoryStore},
};
use usher_simulator::zoom::{AlreadyThere, Settings, SimUser, Status, Trouble, UserChange};
use usher_worker::{
    AccountSetup, Engine, EngineConfig, RunEnd,
    boot_clock::SystemBootClock,
    provider::{Provider, ProviderOptions, zoom::ZoomProvider},
};

const ROLE: &str = "RfieldTeam";

/// A simulated account whose deactivations take everything, a store, and how often runs were submitted.
struct Scene {
    vendor: Vendor,
    store: Arc<MemoryStore>,
    runs: u32,
}

impl Scene {
    async fn start(users: u32, change: impl FnOnce(&mut Settings)) -> Self {
        let vendor = Vendor::start(|settings| {
            settings.directory.users = users;
            settings.directory.licensed_share = 1.0;
            settings.rules.deactivation_drops_groups = true;
            settings.rules.deactivation_drops_role = true;
            change(settings);
        })
        .await;
        let scene = Self { vendor, store: Arc::new(MemoryStore::new(Arc::new(SystemClock))), runs: 0 };
        let groups = scene.vendor.sim.groups();
        for (n, user) in scene.plain().into_iter().enumerate() {
            let role_id = (n % 3 == 0).then(|| ROLE.into());
            let group_ids = Some(groups.iter().take(n % 4).cloned().collect());
            let change = UserChange { role_id, group_ids, ..UserChange::default() };
            scene.vendor.sim.update_user(&user.email, change).unwrap();
        }
        scene
    }

    fn plain(&self) -> Vec<SimUser> {
        self.vendor.sim.users().into_iter().filter(|user| user.trouble == Trouble::None).collect()
    }

    /// Somebody whom a deactivation has left without licence, role and groups, and what to give back.
    fn stripped(&self) -> (SimUser, Restore) {
        let before =
            self.plain().into_iter().find(|user| &*user.role_id == ROLE && !user.group_ids.is_empty());
        let before = before.unwrap();
        let restore = restore_of(&before);
        let taken = UserChange {
            status: Some(Status::Inactive),
            user_type: Some(1),
            role_id: Some("2".into()),
            group_ids: Some(vec![]),
            ..UserChange::default()
        };
        self.vendor.sim.update_user(&before.email, taken).unwrap();
        (before, restore)
    }

    fn config(&self) -> EngineConfig {
        let options = ProviderOptions { call_timeout: Duration::from_secs(1), ..ProviderOptions::default() };
        let provider = Arc::new(ZoomProvider::new(&account(), &self.vendor.config, options).unwrap());
        let setup = AccountSetup { name: account(), provider, protected: vec![], rules: Default::default() };
        EngineConfig {
            clock: Arc::new(SystemClock),
            boot_clock: Arc::new(SystemBootClock::new()),
            config: WorkerConfig { lease_seconds: 2.0, ..WorkerConfig::default() },
            ..EngineConfig::new(self.store.clone(), vec![setup], WorkerId::new("test:1"))
        }
    }

    async fn submit(
        &mut self,
        action: Action,
        users: impl IntoIterator<Item = (String, Option<Restore>)>,
    ) -> RunId {
        self.runs += 1;
        let id = run_id(self.runs);
        let new = NewRun {
            id: id.clone(),
            account: account(),
            priority: Priority::Normal,
            reason: None,
            asked_by: "test".into(),
            source: None,
            created_at: self.store.now().await.unwrap(),
            terms: Default::default(),
        };
        self.store.open_run(&new).await.unwrap();
        let requests: Vec<Request> = (1..)
            .zip(users)
            .map(|(line, (user, restore))| Request {
                line,
                user: user.parse().unwrap(),
                action,
                reason: None,
                restore,
            })
            .collect();
        self.store.append(&id, 0, &requests).await.unwrap();
        let total = requests.len() as u64;
        let seal = Seal {
            total,
            by_action: BTreeMap::from([(action, total)]),
            idempotency: Idempotency { key: id.to_string(), digest: "0".into(), again_after_end: true },
        };
        self.store.seal(&id, &seal).await.unwrap();
        id
    }

    /// Works a run to its end.
    async fn work(&self, run: &RunId) -> RunStatus {
        let engine =
            Engine::start(EngineConfig { only_run: Some(run.clone()), ..self.config() }).await.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(60), engine.run_until_over()).await.unwrap();
        let RunEnd::Over(status) = end else { panic!("{end:?}") };
        engine.shutdown().await;
        *status
    }

    async fn give_back(
        &mut self,
        user: &SimUser,
        restore: &Restore,
    ) -> (OutcomeRow, Vec<Attempt>, RunStatus) {
        let run = self.submit(Action::Activate, [(user.email.to_string(), Some(restore.clone()))]).await;
        let status = self.work(&run).await;
        (self.rows(&run).await.remove(0), self.store.attempts(&run, 0).await.unwrap(), status)
    }

    async fn rows(&self, run: &RunId) -> Vec<OutcomeRow> {
        self.store.outcomes(run, 0, 5_000).await.unwrap()
    }

    fn now_of(&self, user: &SimUser) -> SimUser {
        self.vendor.sim.user(&user.email).unwrap()
    }
}

fn restore_of(user: &SimUser) -> Restore {
    Restore {
        license: Some(user.user_type.to_string()),
        role: Some(user.role_id.to_string()),
        groups: user.group_ids.iter().map(ToString::to_string).collect(),
    }
}

#[tokio::test]
async fn whoever_was_deactivated_and_is_given_back_what_was_there_is_as_before() {
    let mut scene = Scene::start(60, |settings| settings.directory.seats = Some(61)).await;
    let before = scene.plain();
    let off =
        scene.submit(Action::Deactivate, before.iter().map(|user| (user.email.to_string(), None))).await;
    scene.work(&off).await;
    assert!(scene.plain().iter().all(|user| user.user_type == 1 && user.group_ids.is_empty()));
    scene.vendor.sim.reset();
    let back: Vec<_> = scene
        .rows(&off)
        .await
        .into_iter()
        .map(|row| {
            let was = row.resolved.unwrap().before;
            (row.user.to_string(), Some(Restore { license: was.license, role: was.role, groups: was.groups }))
        })
        .collect();
    let on = scene.submit(Action::Activate, back).await;
    let status = scene.work(&on).await;
    assert_eq!(status.counters.of(Outcome::Applied), 60, "{:?}", status.counters);
    assert_eq!(scene.plain(), before);
    let report = scene.vendor.sim.report();
    assert_eq!((report.max_concurrent_per_user, report.throttled.len()), (1, 0), "{:?}", report.throttled);
    // Only what was missing was given: a role to every third, none of it twice.
    let groups: u64 = before.iter().map(|user| user.group_ids.len() as u64).sum();
    assert_eq!(report.calls_with("PATCH /users/{userId}", 204), 60);
    assert_eq!(report.calls_with("POST /roles/{roleId}/members", 201), 20);
    assert_eq!(report.calls_with("POST /groups/{groupId}/members", 201), groups);
    // All of it a second time changes nothing.
    scene.vendor.sim.reset();
    let again = scene
        .submit(Action::Activate, before.iter().map(|u| (u.email.to_string(), Some(restore_of(u)))))
        .await;
    let status = scene.work(&again).await;
    assert_eq!(status.counters.of(Outcome::AlreadyApplied), 60, "{:?}", status.counters);
    assert!(scene.vendor.sim.report().changes.iter().all(|change| !change.changed));
}

#[tokio::test]
async fn without_a_free_seat_the_user_is_activated_as_basic_and_the_outcome_says_so() {
    for code in [2033, 2034, 2038, 3412] {
        let mut scene = Scene::start(4, |settings| {
            (settings.directory.seats, settings.rules.no_seat_code) = (Some(1), code);
        })
        .await;
        let (before, restore) = scene.stripped();
        let (row, attempts, _) = scene.give_back(&before, &restore).await;
        assert_eq!((row.outcome, row.code.as_deref()), (Outcome::NoSeat, Some(ACTIVATED_AS_BASIC)));
        assert!(row.changed_in_part());
        let message = row.message.unwrap();
        assert!(message.starts_with("activated as Basic: no seat of type 2 was free"), "{message}");
        assert!(message.contains(&code.to_string()), "{message}");
        assert_eq!(
            (attempts.len(), attempts[0].verdict),
            (1, Verdict::NoSeat),
            "not tried again: {attempts:?}"
        );
        let now = scene.now_of(&before);
        assert_eq!((now.status, now.user_type), (Status::Active, 1));
        assert_eq!(
            (now.role_id, now.group_ids),
            (before.role_id.clone(), before.group_ids.clone()),
            "the rest is given back"
        );
        // Once more: the user is there as Basic already, so nothing changes, and an undo has nothing to take back.
        let (row, ..) = scene.give_back(&before, &restore).await;
        assert_eq!((row.outcome, row.code), (Outcome::NoSeat, Some(code.to_string())));
    }
}

#[tokio::test]
async fn a_group_that_is_gone_is_named_and_the_rest_is_given_back() {
    let mut scene = Scene::start(4, |_| {}).await;
    let (before, mut restore) = scene.stripped();
    restore.groups.insert(0, "GoneForGood".into());
    let (row, ..) = scene.give_back(&before, &restore).await;
    assert_eq!((row.outcome, row.code.as_deref()), (Outcome::Rejected, Some(PARTLY_RESTORED)));
    let message = row.message.unwrap();
    assert!(message.starts_with("activated: group GoneForGood is not given back:"), "{message}");
    assert!(message.contains("(4130)"), "{message}");
    assert_eq!(scene.now_of(&before), before);
}

#[tokio::test]
async fn nobody_is_made_an_admin_whatever_the_request_says() {
    let mut scene = Scene::start(4, |_| {}).await;
    let (before, mut restore) = scene.stripped();
    restore.role = Some("1".into());
    let (row, ..) = scene.give_back(&before, &restore).await;
    assert_eq!((row.outcome, row.code.as_deref()), (Outcome::Rejected, Some(PARTLY_RESTORED)));
    assert_eq!(&*scene.now_of(&before).role_id, "2");
    assert_eq!(scene.vendor.sim.report().calls_of("POST /roles/{roleId}/members"), 0);
}

/// Whichever call of the job is refused: no attempt is spent, and nobody takes our own change for somebody else's.
#[tokio::test]
async fn a_refusal_for_the_rate_at_any_step_spends_no_attempt_and_forgets_no_change() {
    for call in 2..=6 {
        let mut scene = Scene::start(4, |settings| {
            settings.limits.inject_429 = vec![format!("second@{call}").parse().unwrap()];
            settings.rules.already_there = AlreadyThere::Refused(300);
        })
        .await;
        let (before, restore) = scene.stripped();
        let (row, attempts, status) = scene.give_back(&before, &restore).await;
        assert_eq!(row.outcome, Outcome::Applied, "call {call}: {row:?} {attempts:?}");
        assert_eq!(scene.now_of(&before), before, "call {call}");
        assert_eq!((attempts.len(), attempts[0].http), (2, Some(429)), "call {call}: {attempts:?}");
        let expected = if call == 2 { (Verdict::Throttled, 1) } else { (Verdict::Transient, call - 1) };
        assert_eq!((attempts[0].verdict, attempts[0].calls), expected, "call {call}");
        assert_eq!(
            (status.effort.throttled, status.effort.retries),
            (1, 0),
            "call {call}: {:?}",
            status.effort
        );
    }
}

#[tokio::test]
async fn a_missing_scope_holds_the_account_and_names_itself_and_its_grant_lets_the_job_go_on() {
    for (scope, route) in [
        ("user:update:user:admin", "PATCH /users/{userId}"),
        ("role:write:member:admin", "POST /roles/{roleId}/members"),
        ("group:write:member:admin", "POST /groups/{groupId}/members"),
    ] {
        let mut scene = Scene::start(4, |settings| {
            settings.oauth.scopes.retain(|granted| granted != scope);
            settings.rules.already_there = AlreadyThere::Refused(300);
        })
        .await;
        let access = scene.vendor.worker("w", None).access().await.unwrap();
        assert!(access.missing.is_empty(), "{scope} is needed to give back alone");
        assert_eq!(access.missing_to_restore.values().next().unwrap()[0], scope);
        let (before, restore) = scene.stripped();
        let run = scene.submit(Action::Activate, [(before.email.to_string(), Some(restore))]).await;
        let engine =
            Engine::start(EngineConfig { only_run: Some(run.clone()), ..scene.config() }).await.unwrap();
        let RunEnd::Held(hold, _) = engine.run_until_over().await else { panic!() };
        assert_eq!(hold.reason, HoldReason::Scope);
        assert!(hold.message.contains(scope), "{}", hold.message);
        assert_eq!(scene.now_of(&before).status, Status::Active);
        scene.vendor.sim.change_settings(|settings| settings.oauth.scopes.push(scope.into())).unwrap();
        assert!(scene.store.release(&account()).await.unwrap());
        let status =
            tokio::time::timeout(Duration::from_secs(30), until_over(&*scene.store, &run)).await.unwrap();
        engine.shutdown().await;
        assert_eq!(status.counters.of(Outcome::Applied), 1, "{scope}: {:?}", status.counters);
        assert_eq!(scene.now_of(&before), before);
        assert_eq!(scene.vendor.sim.report().calls_with(route, 400), 1);
    }
}

#[tokio::test]
async fn a_worker_that_dies_between_two_steps_leaves_nothing_undone() {
    let mut scene = Scene::start(4, |settings| {
        settings.faults.latency_ms = "60..60".parse().unwrap();
        settings.rules.already_there = AlreadyThere::Refused(300);
    })
    .await;
    let (before, restore) = scene.stripped();
    let run = scene.submit(Action::Activate, [(before.email.to_string(), Some(restore))]).await;
    let engine = Engine::start(EngineConfig { only_run: Some(run.clone()), ..scene.config() }).await.unwrap();
    // The licence is there, and neither the role nor a group is: their calls take longer than a look takes.
    while scene.now_of(&before).user_type != 2 {
        tokio::task::yield_now().await;
    }
    engine.abort().await;
    assert_eq!(&*scene.now_of(&before).role_id, "2");
    let status = scene.work(&run).await;
    assert_eq!(status.counters.of(Outcome::Applied), 1, "{:?}", status.counters);
    assert_eq!(status.effort.lost, 1);
    assert_eq!(scene.now_of(&before), before);
}

#[tokio::test]
async fn a_worker_that_is_asked_to_stop_between_two_steps_hands_the_job_on() {
    let mut scene = Scene::start(4, |settings| {
        settings.faults.latency_ms = "60..60".parse().unwrap();
        settings.rules.already_there = AlreadyThere::Refused(300);
    })
    .await;
    let (before, restore) = scene.stripped();
    let run = scene.submit(Action::Activate, [(before.email.to_string(), Some(restore))]).await;
    let engine = Engine::start(EngineConfig { only_run: Some(run.clone()), ..scene.config() }).await.unwrap();
    while scene.now_of(&before).user_type != 2 {
        tokio::task::yield_now().await;
    }
    engine.shutdown().await;
    assert_eq!(&*scene.now_of(&before).role_id, "2", "no call was begun after it");
    let status = scene.work(&run).await;
    assert_eq!(status.counters.of(Outcome::Applied), 1, "{:?}", status.counters);
    assert_eq!((status.effort.lost, status.effort.retries), (0, 0), "{:?}", status.effort);
    let attempts = scene.store.attempts(&run, 0).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].verdict), (2, Verdict::Transient), "{attempts:?}");
    assert_eq!(scene.now_of(&before), before);
}

#[tokio::test]
async fn failures_at_any_step_are_retried_until_all_is_given_back() {
    let mut scene = Scene::start(30, |settings| {
        (settings.faults.errors, settings.faults.errors_applied, settings.faults.lost) = (0.05, 0.05, 0.05);
        settings.rules.already_there = AlreadyThere::Refused(300);
    })
    .await;
    let (before, restore) = scene.stripped();
    let others = scene.plain().into_iter().filter(|user| user.email != before.email);
    let others = others.map(|user| (user.email.to_string(), Some(restore_of(&user)))).collect::<Vec<_>>();
    let all = others.into_iter().chain([(before.email.to_string(), Some(restore))]).collect::<Vec<_>>();
    let run = scene.submit(Action::Activate, all).await;
    let status = scene.work(&run).await;
    assert!(
        status.counters.finished == 30 && status.effort.retries > 0,
        "{:?} {:?}",
        status.counters,
        status.effort
    );
    let row = scene.rows(&run).await.into_iter().find(|row| row.user.as_str() == &*before.email).unwrap();
    assert_eq!(row.outcome, Outcome::Applied, "{row:?}");
    assert_eq!(scene.now_of(&before), before);
}
