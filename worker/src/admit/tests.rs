use std::{collections::BTreeMap, time::Duration};

use usher_shared::{
    Action, Approval, Counters, Effort, Go, NewRun, Outcome, OutcomeRow, Priority, ResolvedUser, RunNotes,
    RunPhase, Status, UserState,
    config::{Role, Share, Submitter},
    identity::{PersonalToken, Proof, approval_text, submission_text},
    plan::PlanHasher,
};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_763_600_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn before(by: Duration) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() - by.as_millis() as i64)
}

fn run() -> RunStatus {
    RunStatus {
        notes: RunNotes::default(),
        run: NewRun {
            terms: Default::default(),
            id: "20261120-k3f9zm".parse().unwrap(),
            account: "zoom-main".parse().unwrap(),
            priority: Priority::Normal,
            reason: None,
            asked_by: "cli:ann@host".into(),
            source: None,
            created_at: before(HOUR),
        },
        phase: RunPhase::Resolved,
        paused: false,
        cancelled: false,
        admission: None,
        by_action: BTreeMap::new(),
        counters: Counters::default(),
        effort: Effort::default(),
        sealed_at: None,
        finished_at: None,
        fresh_at: Some(NOW),
        hold: None,
    }
}

fn plan(change: u64, active_users: Option<u64>) -> PlanNote {
    let hash = PlanHasher::new(&"zoom-main".parse().unwrap()).finish();
    PlanNote { hash, at: before(HOUR / 2), change, active_users }
}

fn facts() -> Facts {
    Facts { undo: Undo::Unseen, day_is_full: None, now: NOW }
}

fn caps(run: Option<u64>, share: Option<&str>, day: Option<u64>) -> Rules {
    let share_per_run = share.map(|share| Share::try_from(share.to_owned()).unwrap());
    Rules { caps: Caps { users_per_run: run, share_per_run, users_per_day: day }, ..Rules::default() }
}

/// The decision in a word, and its message.
fn said(admission: &Admission) -> (String, String) {
    match admission {
        Admission::Admit => ("admit".into(), String::new()),
        Admission::LookAtUndo => ("look".into(), String::new()),
        Admission::Reserve(UNCAPPED) => ("count".into(), String::new()),
        Admission::Reserve(cap) => (format!("reserve {cap}"), String::new()),
        Admission::Hold(reason, message) => (format!("{reason:?}"), message.clone()),
        Admission::Refuse(ending) => {
            assert_eq!(
                (ending.outcome, ending.code.as_deref()),
                (Outcome::Cancelled, Some(Ending::OVER_CAP))
            );
            ("refuse".into(), ending.message.clone())
        }
    }
}

#[test]
fn a_cap_lets_as_many_through_as_it_says_and_refuses_one_more() {
    let cases = [
        (caps(None, None, None), 1_000_000, None, "admit"),
        (caps(Some(250), None, None), 250, None, "admit"),
        (caps(Some(250), None, None), 251, None, "refuse"),
        (caps(None, Some("10%"), None), 0, None, "admit"),
        (caps(None, Some("10%"), None), 1, None, "Unknown"),
        (caps(None, Some("10%"), None), 301, Some(3_019), "admit"),
        (caps(None, Some("10%"), None), 302, Some(3_019), "refuse"),
        (caps(None, Some("10%"), None), 1, Some(9), "refuse"),
        (caps(Some(5), Some("10%"), None), 6, None, "refuse"),
        (caps(Some(5), Some("10%"), None), 5, None, "Unknown"),
        (caps(None, None, Some(500)), 500, None, "reserve 500"),
        (caps(None, None, Some(500)), 501, None, "reserve 500"),
        (caps(None, None, Some(500)), 0, None, "admit"),
        (caps(Some(5), None, Some(500)), 6, None, "refuse"),
    ];
    for (rules, change, active, expected) in cases {
        let (word, message) = said(&admission(&run(), &plan(change, active), &rules, &facts()));
        assert_eq!(word, expected, "{change} of {active:?} under {:?}: {message}", rules.caps);
    }
}

#[test]
fn a_refusal_says_the_figures_and_what_to_do() {
    let refused = |rules: &Rules, facts: &Facts| {
        let (word, message) = said(&admission(&run(), &plan(412, Some(3_000)), rules, facts));
        assert_eq!(word, "refuse");
        message
    };
    let message = refused(&caps(Some(250), None, None), &facts());
    for words in [
        "run 20261120-k3f9zm would change 412 users",
        "account zoom-main allows 250 a run",
        "split the file",
        "accounts.zoom-main.caps.users_per_run",
        "usher retry 20261120-k3f9zm",
    ] {
        assert!(message.contains(words), "{message}");
    }
    let message = refused(&caps(None, Some("10%"), None), &facts());
    assert!(message.contains("10% of its 3000 active users, which is 300"), "{message}");
    let full = Facts { day_is_full: Some(180), ..facts() };
    let message = refused(&caps(None, None, Some(500)), &full);
    assert!(message.contains("500 a day") && message.contains("180 of them are used"), "{message}");
    assert!(message.contains("wait for 00:00 UTC"), "{message}");
    assert!(!refused(&caps(None, None, Some(400)), &full).contains("wait for"), "no day has room for it");
}

#[test]
fn a_plan_waits_until_somebody_says_to_apply_this_very_plan() {
    let mut run = run();
    run.run.terms.plan = true;
    let plan = plan(3, None);
    let word = |run: &RunStatus| said(&admission(run, &plan, &Rules::default(), &facts()));
    let (reason, message) = word(&run);
    assert_eq!(reason, "Planned");
    assert!(message.contains("usher apply 20261120-k3f9zm"), "{message}");
    let go = Go { by: "cli:ann@host".into(), at: NOW, plan: plan.hash.clone() };
    run.notes.go = Some(go.clone());
    assert_eq!(word(&run).0, "admit");
    let another = PlanHasher::new(&"zoom-test".parse().unwrap()).finish();
    run.notes.go = Some(Go { plan: another.clone(), ..go.clone() });
    assert_eq!(word(&run).0, "Planned", "another plan was meant");
    run.notes.go = Some(Go { plan: another, at: before(HOUR), ..go });
    assert_eq!(word(&run).0, "admit", "it was applied before, and is tried again");
}

#[test]
fn a_run_whose_time_has_not_come_is_held() {
    let mut run = run();
    run.run.terms.not_before = Some(NOW.after(HOUR));
    let hold = admission(&run, &plan(1, None), &Rules::default(), &facts());
    assert_eq!(said(&hold).0, "NotBefore");
    run.run.terms.not_before = Some(NOW);
    assert_eq!(admission(&run, &plan(1, None), &Rules::default(), &facts()), Admission::Admit);
}

/// Three people: ann submits, bob approves, eve does both.
struct People(BTreeMap<&'static str, PersonalToken>);

impl People {
    fn new() -> Self {
        Self(["ann", "bob", "eve"].map(|name| (name, PersonalToken::generate().unwrap())).into())
    }

    fn rules(&self, required: ApprovalRequired, submitter: Submitter) -> Rules {
        let roles = [("ann", vec![Role::Submit]), ("bob", vec![Role::Approve]), ("eve", vec![Role::Approve])];
        let token = |(name, roles): (&str, Vec<Role>)| {
            let config = TokenConfig { key: self.0[name].key().unwrap(), roles, accounts: None };
            (name.to_owned(), config)
        };
        Rules {
            approval: Some(ApprovalConfig { required, valid_hours: 24.0, submitter }),
            tokens: roles.into_iter().map(token).collect(),
            ..caps(Some(250), None, None)
        }
    }

    fn proof(&self, run: &RunStatus, by: &str) -> Proof {
        let text = submission_text(&run.run.id, &run.run.account, by, run.run.created_at);
        Proof { by: by.into(), signature: self.0[by].sign(&text).unwrap() }
    }

    fn approval(&self, run: &RunStatus, plan: &PlanNote, by: &str, at: Timestamp) -> Approval {
        let text = approval_text(&run.run.id, &plan.hash, by, at);
        let signature = self.0[by].sign(&text).unwrap();
        Approval { by: by.into(), at, plan: plan.hash.clone(), signature }
    }

    /// A run that ann submitted, with a token.
    fn run(&self) -> RunStatus {
        let mut run = run();
        run.run.terms.proof = Some(self.proof(&run, "ann"));
        run
    }
}

#[test]
fn an_approved_run_is_admitted_and_every_way_to_fail_has_its_own_words() {
    let people = People::new();
    let plan = plan(3, None);
    let always = people.rules(ApprovalRequired::Always, Submitter::Token);
    let decide = |run: &RunStatus, rules: &Rules| said(&admission(run, &plan, rules, &facts()));
    let good = |run: &RunStatus| people.approval(run, &plan, "bob", before(HOUR / 4));
    let with = |change: &dyn Fn(&mut RunStatus)| {
        let mut run = people.run();
        run.notes.approval = Some(good(&run));
        change(&mut run);
        run
    };
    assert_eq!(decide(&with(&|_| {}), &always).0, "admit");
    let approve = |run: &mut RunStatus, change: &dyn Fn(&mut Approval)| {
        change(run.notes.approval.as_mut().unwrap());
    };
    let another = PlanHasher::new(&"zoom-test".parse().unwrap()).finish();
    let late = people.approval(&people.run(), &plan, "bob", before(HOUR * 25));
    let early = people.approval(&people.run(), &plan, "bob", NOW.after(HOUR));
    let skewed = people.approval(&people.run(), &plan, "bob", NOW.after(Duration::from_secs(60)));
    let by_ann = people.approval(&people.run(), &plan, "ann", NOW);
    let by_eve = people.approval(&people.run(), &plan, "eve", NOW);
    let eves_proof = people.proof(&people.run(), "eve");
    let cases: [(RunStatus, &str); 12] = [
        (with(&|run| run.notes.approval = None), "by another person lets it go on (bob, eve may)"),
        (with(&|run| approve(run, &|it| it.by = "joe".into())), "add [tokens.joe]"),
        (with(&|run| run.notes.approval = Some(by_ann.clone())), "may not approve for account zoom-main"),
        (with(&|run| approve(run, &|it| it.plan = another.clone())), "look at it, then `usher approve"),
        (with(&|run| approve(run, &|it| it.by = "eve".into())), "is not signed by eve's token"),
        (with(&|run| approve(run, &|it| it.at = NOW)), "is not signed by bob's token"),
        (with(&|run| run.notes.approval = Some(late.clone())), "good for 24 hours and is too old"),
        (with(&|run| run.notes.approval = Some(early.clone())), "still to come"),
        (
            with(&|run| {
                run.run.terms.proof = Some(eves_proof.clone());
                run.notes.approval = Some(by_eve.clone());
            }),
            "nobody approves a run of their own",
        ),
        (with(&|run| run.run.terms.proof = None), "no token proves who asked for it"),
        (
            with(&|run| run.run.terms.proof.as_mut().unwrap().by = "joe".into()),
            "a token named joe, which the workers' usher.toml does not have",
        ),
        (with(&|run| run.run.created_at = NOW), "is not signed by ann's token"),
    ];
    for (run, words) in cases {
        let (word, message) = decide(&run, &always);
        assert_eq!(word, "Approval", "{message}");
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!(decide(&with(&|run| run.notes.approval = Some(skewed.clone())), &always).0, "admit");
    let anyone = people.rules(ApprovalRequired::Always, Submitter::Anyone);
    let unproved = |by: &str| with(&|run| (run.run.terms.proof, run.run.asked_by) = (None, by.into()));
    assert_eq!(decide(&unproved("cli:ann@host"), &anyone).0, "admit");
    for own in ["cli:bob@host", "cli:Bob@host", "token:bob", "bob"] {
        assert!(decide(&unproved(own), &anyone).1.contains("a run of their own"), "{own}");
    }
}

#[test]
fn an_approval_lets_a_run_over_its_caps_pass_and_without_one_it_waits() {
    let people = People::new();
    let mut rules = people.rules(ApprovalRequired::OverCap, Submitter::Token);
    rules.caps.users_per_day = Some(500);
    let (small, large) = (plan(250, None), plan(412, None));
    let mut run = people.run();
    let decide = |run: &RunStatus, plan: &PlanNote, facts: Facts| said(&admission(run, plan, &rules, &facts));
    assert_eq!(decide(&run, &small, facts()).0, "reserve 500");
    let (word, message) = decide(&run, &large, facts());
    assert_eq!(word, "OverRunCap");
    assert!(message.contains("412 users") && message.contains("usher approve"), "{message}");
    let full = Facts { day_is_full: Some(300), ..facts() };
    let (word, message) = decide(&run, &small, full);
    assert_eq!(word, "OverDayCap");
    assert!(message.contains("300 of them are used") && message.contains("00:00 UTC"), "{message}");
    run.notes.approval = Some(people.approval(&run, &large, "bob", NOW));
    for plan in [&small, &large] {
        assert_eq!(decide(&run, plan, facts()).0, "count", "those after it find them counted");
    }
}

#[test]
fn an_undo_of_one_s_own_run_is_exempt_from_caps_once_it_is_confirmed_and_looked_at() {
    let rules = caps(Some(2), None, Some(2));
    let plan = plan(3, None);
    let mut run = run();
    run.run.terms.undoes = Some("20261120-k3f9zx".parse().unwrap());
    let decide = |run: &RunStatus, undo| said(&admission(run, &plan, &rules, &Facts { undo, ..facts() }));
    assert_eq!(decide(&run, Undo::Own).0, "refuse", "nobody confirmed it");
    run.notes.go = Some(Go { by: "cli:ann@host".into(), at: NOW, plan: plan.hash.clone() });
    assert_eq!(decide(&run, Undo::Unseen).0, "look");
    assert_eq!(decide(&run, Undo::Own).0, "admit");
    let (word, message) = decide(&run, Undo::Another("it undoes a run that somebody else asked for"));
    assert_eq!(word, "refuse");
    assert!(message.contains("somebody else asked for, so it is no exception"), "{message}");
}

#[test]
fn who_undoes_what_is_seen_and_not_believed() {
    let people = People::new();
    let rules = people.rules(ApprovalRequired::Always, Submitter::Token);
    let (undone, undo) = (run(), run());
    assert_eq!(own_undo(&undo, &undone, &rules), Ok(()));
    let mut other = run();
    other.run.asked_by = "cli:bob@host".into();
    assert!(own_undo(&other, &undone, &rules).is_err());
    let mut elsewhere = run();
    elsewhere.run.account = "zoom-test".parse().unwrap();
    assert!(own_undo(&elsewhere, &undone, &rules).is_err());
    let proved = people.run();
    assert!(own_undo(&undo, &proved, &rules).is_err(), "whoever has the login name has not the token");
    assert_eq!(own_undo(&people.run(), &proved, &rules), Ok(()));
    let mut forged = run();
    forged.run.terms.proof = Some(people.proof(&forged, "eve"));
    assert!(own_undo(&forged, &proved, &rules).is_err());
}

#[test]
fn only_users_whom_the_run_changed_are_put_back() {
    let user = |id: &str, status| ResolvedUser {
        id: id.into(),
        email: None,
        before: UserState { status, license: None, role: None, groups: vec![] },
    };
    let row = |id: &str, before, outcome| OutcomeRow {
        seq: 0,
        line: 1,
        user: "ann@corp.example".parse().unwrap(),
        resolved: Some(user(id, before)),
        action: Action::Deactivate,
        reason: None,
        outcome,
        code: None,
        message: None,
        attempts: 1,
        first_attempt_at: None,
        last_attempt_at: None,
        worker: None,
    };
    let mut changed = Changed::default();
    changed.take(&[
        row("changed", Status::Active, Outcome::Applied),
        row("was-there", Status::Inactive, Outcome::Applied),
        row("already", Status::Inactive, Outcome::AlreadyApplied),
        row("refused", Status::Active, Outcome::Rejected),
    ]);
    for (id, action, expected) in [
        ("changed", Action::Activate, true),
        ("changed", Action::Deactivate, false),
        ("was-there", Action::Activate, false),
        ("already", Action::Activate, false),
        ("refused", Action::Activate, false),
        ("somebody", Action::Activate, false),
    ] {
        assert_eq!(changed.is_put_back(&user(id, Status::Inactive), action), expected, "{id}");
    }
}

#[test]
fn a_day_is_that_of_utc() {
    let midnight = Timestamp::from_millis(1_763_596_800_000);
    let last = Timestamp::from_millis(midnight.as_millis() - 1);
    assert_eq!(day_of(midnight), day_of(last) + 1);
    assert!(day_has_changed(last, midnight) && !day_has_changed(midnight, NOW));
}
