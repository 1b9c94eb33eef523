//! The Zoom provider against a simulated account: what it asks, what it makes of the answers, and how it keeps its token.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod resolve_support;

use std::{io::Write, sync::Arc, time::Duration};

use futures::future::join_all;
use resolve_support::{OpenGate, SealedRun, account, request, run_id};
use tempfile::NamedTempFile;
use usher_shared::{
    Action, Clock, HoldReason, ManualClock, Outcome, ResolvedUser, RunPhase, Status, SystemClock, Timestamp,
    UserRef, UserState, Verdict, WorkerId,
    config::{ProtectedPattern, SecretSource, Value, ZoomConfig, ZoomPlan},
};
use usher_simulator::zoom::{
    AlreadyThere, Population, Settings, Status as SimStatus, Trouble, UserChange, ZoomSim,
};
use usher_worker::{
    provider::{Call, Cursor, PAGE_EXPIRED, Provider, ProviderOptions, Throttle, zoom::ZoomProvider},
    resolve::{Patience, Policy, Resolver, Way},
    verify::verify_run,
};

const OFF: Action = Action::Deactivate;
const ON: Action = Action::Activate;
/// So many Light and Medium calls a second that no test meets the limit by chance.
const FAST: Option<u32> = Some(100_000);

fn fast(directory: Population) -> Settings {
    let mut settings = Settings { directory, ..Settings::default() };
    (settings.limits.light, settings.limits.medium) = (FAST, FAST);
    settings
}

struct Account {
    sim: ZoomSim,
    _secret: NamedTempFile,
    config: ZoomConfig,
}

impl Account {
    async fn start(settings: Settings) -> Self {
        let mut secret = NamedTempFile::new().unwrap();
        writeln!(secret, "{}", settings.oauth.client_secret).unwrap();
        let config = |sim: &ZoomSim| ZoomConfig {
            approval: None,
            caps: Default::default(),
            base_url: sim.base_url().parse().unwrap(),
            token_url: sim.token_url().parse().unwrap(),
            account_id: Value::Plain(settings.oauth.account_id.clone()),
            client_id: Value::Plain(settings.oauth.client_id.clone()),
            client_secret: SecretSource::File(secret.path().to_owned()),
            plan: ZoomPlan::Business,
            light: None,
            medium: None,
            protected: vec![],
        };
        let sim = ZoomSim::start(settings.clone()).await.unwrap();
        Self { config: config(&sim), sim, _secret: secret }
    }

    fn provider(&self) -> ZoomProvider {
        self.provider_with(Duration::from_secs(10), Arc::new(SystemClock))
    }

    fn provider_with(&self, call_timeout: Duration, clock: Arc<dyn Clock>) -> ZoomProvider {
        let options = ProviderOptions { call_timeout, clock, ..ProviderOptions::default() };
        ZoomProvider::new(&account(), &self.config, options).unwrap()
    }

    fn one(&self, trouble: Trouble) -> ResolvedUser {
        let user = self.sim.users().into_iter().find(|user| user.trouble == trouble).unwrap();
        let before = UserState { status: Status::Active, license: None, role: None, groups: vec![] };
        ResolvedUser {
            id: user.id.as_deref().unwrap_or_default().to_owned(),
            email: Some(user.email.to_string()),
            before,
        }
    }
}

async fn apply(
    provider: &ZoomProvider,
    action: Action,
    user: &ResolvedUser,
) -> usher_worker::provider::Reply {
    provider.apply(action, &[user]).await.remove(0)
}

#[tokio::test]
async fn users_are_deactivated_and_activated_and_every_troubled_kind_is_told_as_documented() {
    let directory = Population {
        users: 3,
        admins: 1,
        pending: 1,
        upcoming_event: 1,
        force_locked: 1,
        zoom_rooms: 1,
        activation_not_approved: 1,
        already_inactive: 1,
        ..Population::default()
    };
    let account = Account::start(fast(directory)).await;
    let provider = account.provider();
    let plain = account.one(Trouble::None);
    assert_eq!(apply(&provider, OFF, &plain).await.verdict, Verdict::Applied);
    assert_eq!(account.sim.user(&plain.id).unwrap().status, SimStatus::Inactive);
    let back = apply(&provider, ON, &plain).await;
    assert_eq!((back.verdict, back.http), (Verdict::Applied, Some(204)));
    assert_eq!(account.sim.user(&plain.id).unwrap().status, SimStatus::Active);
    for (trouble, action, verdict, code) in [
        (Trouble::Admin, OFF, Verdict::Rejected, "200"),
        (Trouble::Owner, OFF, Verdict::Rejected, "200"),
        (Trouble::ZoomRoom, OFF, Verdict::Rejected, "200"),
        (Trouble::UpcomingEvent, OFF, Verdict::Rejected, "300"),
        (Trouble::ForceLocked, OFF, Verdict::Rejected, "1000"),
        (Trouble::ActivationNotApproved, ON, Verdict::Rejected, "3412"),
        (Trouble::Pending, OFF, Verdict::NotFound, "1001"),
    ] {
        let reply = apply(&provider, action, &account.one(trouble)).await;
        assert_eq!((reply.verdict, reply.code.as_deref()), (verdict, Some(code)), "{trouble:?}");
        assert!(reply.message.is_some() && !reply.may_have_applied && reply.halt.is_none());
    }
    let nobody = ResolvedUser { id: "nobody/../../x?y#z".into(), email: None, before: plain.before.clone() };
    assert_eq!(apply(&provider, OFF, &nobody).await.verdict, Verdict::NotFound);
    for code in [1001, 1010] {
        account.sim.change_settings(|settings| settings.rules.unknown_user_code = code).unwrap();
        let gone =
            ResolvedUser { id: "KDcuGIm1QgePTO8WbOqwIQ".into(), email: None, before: plain.before.clone() };
        assert_eq!(apply(&provider, OFF, &gone).await.verdict, Verdict::NotFound);
        let user: UserRef = "nobody@corp.example".parse().unwrap();
        assert_eq!(provider.look_up(&user).await, Ok(None));
    }
    assert_eq!(account.sim.report().tokens_issued, 1, "one token for all of it");
}

#[tokio::test]
async fn already_there_is_success_however_it_is_said() {
    let account =
        Account::start(fast(Population { users: 1, already_inactive: 1, ..Population::default() })).await;
    let (provider, user) = (account.provider(), account.one(Trouble::AlreadyInactive));
    assert_eq!(apply(&provider, OFF, &user).await.verdict, Verdict::Applied);
    for code in [300, 2034, 5] {
        account
            .sim
            .change_settings(|settings| settings.rules.already_there = AlreadyThere::Refused(code))
            .unwrap();
        assert_eq!(apply(&provider, OFF, &user).await.verdict, Verdict::AlreadyApplied, "{code}");
    }
}

#[tokio::test]
async fn the_directory_is_read_to_its_end_over_all_listings() {
    let directory =
        Population { users: 650, admins: 2, pending: 3, already_inactive: 301, ..Population::default() };
    let account = Account::start(fast(directory)).await;
    let provider = account.provider();
    let mut seen = Vec::new();
    let mut pages = 0;
    for mut cursor in provider.listings() {
        loop {
            let page = provider.list(&cursor).await.unwrap();
            pages += 1;
            assert!(page.total.is_some());
            seen.extend(page.users);
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
    }
    assert_eq!((seen.len(), pages), (957, 3 + 2 + 1));
    assert_eq!(account.sim.report().calls_of("GET /users"), pages, "{:?}", account.sim.report().calls);
    for user in account.sim.users() {
        let listed = seen.iter().find(|listed| listed.email.as_deref() == Some(&user.email)).unwrap();
        assert_eq!(listed.id, user.id.as_deref().unwrap_or_default());
        assert_eq!(listed.before.status.to_string(), user.status.name());
        assert_eq!(listed.before.role.as_deref(), Some(&*user.role_id));
        assert_eq!(listed.before.license, Some(user.user_type.to_string()));
        assert_eq!(
            listed.before.groups.iter().map(String::as_str).collect::<Vec<_>>(),
            user.group_ids.iter().map(AsRef::as_ref).collect::<Vec<&str>>()
        );
    }
    for trouble in [Trouble::None, Trouble::Owner, Trouble::Admin, Trouble::Pending, Trouble::AlreadyInactive]
    {
        let name = account.one(trouble).email.unwrap();
        let looked_up = provider.look_up(&name.parse().unwrap()).await.unwrap().unwrap();
        let listed = seen.iter().find(|listed| listed.email.as_ref() == Some(&name)).unwrap();
        assert_eq!(
            (&looked_up.id, looked_up.before.status),
            (&listed.id, listed.before.status),
            "{trouble:?}"
        );
        let protected = matches!(trouble, Trouble::Owner | Trouble::Admin);
        assert_eq!(provider.protected_role(&looked_up).is_some(), protected, "{trouble:?}");
        for action in Action::ALL {
            assert_eq!(provider.blocked(&looked_up, action).is_some(), trouble == Trouble::Pending);
        }
    }
}

#[tokio::test]
async fn an_expired_page_token_is_told_by_its_code() {
    let account = Account::start(fast(Population { users: 700, ..Population::default() })).await;
    let provider = account.provider();
    let first = provider.list(&provider.listings()[0]).await.unwrap();
    assert!(first.next.is_some());
    let stale = Cursor { listing: "active", page: Some("no-such-token".into()) };
    let reply = provider.list(&stale).await.unwrap_err();
    assert_eq!(reply.code.as_deref(), Some(PAGE_EXPIRED), "{reply:?}");
}

#[tokio::test]
async fn a_hundred_calls_at_once_share_one_token_and_one_refusal() {
    let account = Account::start(fast(Population { users: 100, ..Population::default() })).await;
    let provider = account.provider();
    let emails: Vec<UserRef> = account.sim.users().iter().map(|user| user.email.parse().unwrap()).collect();
    let found = join_all(emails.iter().map(|user| provider.look_up(user))).await;
    assert!(found.iter().all(|user| matches!(user, Ok(Some(_)))));
    assert_eq!(account.sim.report().tokens_issued, 1);

    let mut wrong = account.config.clone();
    wrong.client_id = Value::Plain("somebody-else".into());
    let wrong = ZoomProvider::new(&resolve_support::account(), &wrong, ProviderOptions::default()).unwrap();
    account.sim.reset();
    let refused = join_all(emails.iter().map(|user| wrong.look_up(user))).await;
    for reply in refused {
        let reply = reply.unwrap_err();
        assert_eq!(reply.halt, Some(HoldReason::Credentials));
        assert!(reply.message.unwrap().contains("client_id"));
    }
    let report = account.sim.report();
    let asked: u64 = report
        .calls
        .iter()
        .filter(|(route, _)| route.contains("oauth"))
        .flat_map(|(_, by)| by.values())
        .sum();
    assert_eq!(asked, 1, "{:?}", report.calls);
}

#[tokio::test]
async fn a_dead_token_is_replaced_once_and_a_newer_one_is_not_thrown_away() {
    let account = Account::start(fast(Population { users: 40, ..Population::default() })).await;
    let provider = account.provider();
    let emails: Vec<UserRef> = account.sim.users().iter().map(|user| user.email.parse().unwrap()).collect();
    provider.look_up(&emails[0]).await.unwrap();
    account.sim.kill_tokens();
    for reply in join_all(emails.iter().map(|user| provider.look_up(user))).await {
        if let Err(reply) = reply {
            assert_eq!((reply.verdict, reply.code.as_deref()), (Verdict::Unauthorized, Some("124")));
        }
    }
    let again = join_all(emails.iter().map(|user| provider.look_up(user))).await;
    assert!(again.iter().all(Result::is_ok));
    assert_eq!(account.sim.report().tokens_issued, 2, "one for the start, one for all the 401s");
}

#[tokio::test]
async fn a_token_is_replaced_before_it_ends_by_the_clock() {
    let mut settings = fast(Population { users: 1, ..Population::default() });
    settings.oauth.expires_in = 600;
    settings.oauth.one_live_token = true;
    let account = Account::start(settings).await;
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_795_176_000_000)));
    let provider = account.provider_with(Duration::from_secs(10), clock.clone());
    let user: UserRef = account.one(Trouble::None).email.unwrap().parse().unwrap();
    for (step, issued) in [(0, 1), (539, 1), (1, 2), (539, 2), (1, 3)] {
        clock.advance(Duration::from_secs(step));
        provider.look_up(&user).await.unwrap();
        assert_eq!(account.sim.report().tokens_issued, issued, "after {step} s more");
    }
}

#[tokio::test]
async fn missing_scopes_are_named_by_the_check_and_halt_the_account_at_a_call() {
    let mut settings = fast(Population { users: 1, ..Population::default() });
    settings.oauth.scopes = vec!["user:read:list_users:admin".into()];
    let account = Account::start(settings).await;
    let provider = account.provider();
    let access = provider.access().await.unwrap();
    assert_eq!(access.granted, ["user:read:list_users:admin"]);
    assert_eq!(access.missing.keys().copied().collect::<Vec<_>>(), ["activate", "deactivate", "look up"]);
    let user = account.one(Trouble::None);
    for status in [400, 401] {
        account.sim.change_settings(|settings| settings.rules.missing_scope_status = status).unwrap();
        let reply = apply(&provider, OFF, &user).await;
        assert_eq!((reply.verdict, reply.halt), (Verdict::Forbidden, Some(HoldReason::Scope)));
        assert!(reply.message.unwrap().contains("user:update:status:admin"));
    }
    // The scope is added in the marketplace: the next call gets a new token, and with it the scope.
    account
        .sim
        .change_settings(|settings| settings.oauth.scopes.push("user:update:status:admin".into()))
        .unwrap();
    assert_eq!(apply(&provider, OFF, &user).await.verdict, Verdict::Applied);
}

#[tokio::test]
async fn refusals_by_second_day_and_user_are_told_apart() {
    let mut settings = fast(Population { users: 3, ..Population::default() });
    settings.limits.light = Some(1);
    let account = Account::start(settings).await;
    let provider = account.provider();
    let user: UserRef = account.one(Trouble::None).email.unwrap().parse().unwrap();
    let replies = join_all((0..8).map(|_| provider.look_up(&user))).await;
    let refused: Vec<_> = replies.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|reply| reply.verdict == Verdict::Throttled));
    assert!(refused.iter().any(|reply| reply.throttle == Some(Throttle::PerSecond)), "{refused:?}");

    account
        .sim
        .change_settings(|settings| {
            settings.limits.light = FAST;
            settings.limits.light_per_day = Some(1);
        })
        .unwrap();
    provider.look_up(&user).await.unwrap();
    let reply = provider.look_up(&user).await.unwrap_err();
    assert_eq!(reply.throttle, Some(Throttle::PerDay));
    assert!(reply.retry_at.is_some_and(|at| at > SystemClock.now()), "{reply:?}");

    account
        .sim
        .change_settings(|settings| {
            settings.limits.light_per_day = None;
            settings.limits.per_user_per_day = Some(1);
        })
        .unwrap();
    let user = account.one(Trouble::None);
    apply(&provider, OFF, &user).await;
    assert_eq!(apply(&provider, OFF, &user).await.throttle, Some(Throttle::PerUserDay));
}

#[tokio::test]
async fn a_lost_reply_and_a_rubbish_one_may_have_applied_and_are_never_called_applied() {
    for (name, set) in [
        ("lost", (|settings: &mut Settings| settings.faults.lost = 1.0) as fn(&mut Settings)),
        ("rubbish", |settings| settings.faults.rubbish = 1.0),
        ("hangs", |settings| settings.faults.hangs = 1.0),
        ("errors", |settings| settings.faults.errors = 1.0),
        ("errors_applied", |settings| settings.faults.errors_applied = 1.0),
    ] {
        let mut settings = fast(Population { users: 1, ..Population::default() });
        set(&mut settings);
        let account = Account::start(settings).await;
        let provider = account.provider_with(Duration::from_secs(2), Arc::new(SystemClock));
        provider.access().await.unwrap();
        let reply = apply(&provider, OFF, &account.one(Trouble::None)).await;
        assert_eq!((reply.verdict, reply.may_have_applied), (Verdict::Transient, true), "{name}: {reply:?}");
    }
}

#[tokio::test]
async fn no_secret_stands_in_what_the_provider_shows() {
    let account = Account::start(fast(Population { users: 1, ..Population::default() })).await;
    let provider = account.provider();
    provider.access().await.unwrap();
    let shown = format!("{provider:?} {provider:#?}");
    assert!(!shown.contains("sim-secret") && !shown.contains("Bearer"), "{shown}");
}

#[tokio::test]
async fn a_run_is_resolved_worked_and_verified_against_the_directory() {
    let directory =
        Population { users: 700, admins: 2, pending: 2, already_inactive: 310, ..Population::default() };
    let account = Account::start(fast(directory)).await;
    let (provider, users) = (account.provider(), account.sim.users());
    let of = |trouble: Trouble| users.iter().find(move |user| user.trouble == trouble).unwrap();
    let plain: Vec<_> = users.iter().filter(|user| user.trouble == Trouble::None).collect();
    let id = |user: &usher_simulator::zoom::SimUser| user.id.as_deref().unwrap().to_owned();
    let mut requests = vec![
        request(2, &plain[0].email.to_uppercase(), OFF),
        request(3, &id(plain[0]), OFF),
        request(4, &id(plain[1]), OFF),
        request(5, &id(of(Trouble::Admin)), OFF),
        request(6, &id(of(Trouble::Owner)), OFF),
        request(7, &of(Trouble::Pending).email, OFF),
        request(8, &id(of(Trouble::AlreadyInactive)), OFF),
        request(9, "nobody@corp.example", OFF),
        request(10, &plain[1].email, ON),
    ];
    requests.extend((0..300u64).zip(&plain[2..]).map(|(n, user)| request(n + 11, &user.email, OFF)));
    let (sealed, gate) = (SealedRun::of(requests).await, OpenGate::default());
    // By id in the file, by address in the rule: protection goes by the user.
    let policy =
        Policy { protected: vec![ProtectedPattern::new(&plain[1].email).unwrap()], ..Policy::default() };
    let worker = WorkerId::new("test:1:a");
    let resolver = Resolver {
        store: &sealed.store,
        provider: &provider,
        gate: &gate,
        policy: &policy,
        worker: &worker,
        patience: Patience::default(),
        count_active: false,
        stewardship: Duration::from_secs(60),
        progress: &|_| (),
    };
    let resolved = resolver.resolve(&sealed.status().await).await.unwrap();
    assert_eq!(sealed.status().await.phase, RunPhase::Resolved);
    assert_eq!(resolved.way, Way::Listing);
    let words = sealed.words();
    let expected = [
        format!("change {}", id(plain[0])),
        "duplicate of 2".into(),
        format!("protected {}", plain[1].email),
        "protected admin".into(),
        "protected owner".into(),
        "rejected pending".into(),
        format!("change {}", id(of(Trouble::AlreadyInactive))),
        "not_found not_found".into(),
        "rejected contradiction".into(),
    ];
    assert_eq!(words[..9], expected);
    assert_eq!(resolved.change, 302);
    assert_eq!((gate.calls_of(Call::List), gate.calls_of(Call::LookUp)), (3 + 2 + 1, 1));

    for row in sealed.work().await.iter().filter(|row| row.outcome == Outcome::Applied) {
        let change = UserChange { status: Some(SimStatus::Inactive), ..UserChange::default() };
        account.sim.update_user(&row.resolved.as_ref().unwrap().id, change).unwrap();
    }
    let verified = verify_run(&sealed.store, &provider, &gate, &run_id()).await.unwrap();
    assert_eq!((verified.disagreements.len(), verified.changed_by_others.len()), (0, 0), "{verified:?}");
    assert_eq!(verified.checked, 302 + 4);

    // Behind the run's back: one comes back, one is gone, and a protected one is deactivated by hand.
    let status = |status| UserChange { status: Some(status), ..UserChange::default() };
    account.sim.update_user(&id(plain[0]), status(SimStatus::Active)).unwrap();
    account.sim.remove_user(&id(plain[5])).unwrap();
    account.sim.update_user(&id(plain[1]), status(SimStatus::Inactive)).unwrap();
    let verified = verify_run(&sealed.store, &provider, &gate, &run_id()).await.unwrap();
    let found: Vec<_> =
        verified.disagreements.iter().map(|one| (one.line, one.expected, one.found)).collect();
    assert_eq!(found, [(2, Status::Inactive, Some(Status::Active)), (14, Status::Inactive, None)]);
    let others: Vec<_> =
        verified.changed_by_others.iter().map(|one| (one.line, one.outcome, one.found)).collect();
    assert_eq!(others, [(4, Outcome::Protected, Some(Status::Inactive))]);
    account.sim.shutdown().await;
}
