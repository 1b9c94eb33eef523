//! Holds docs/webhooks.md against what is really sent: an example of each kind.

use usher_shared::Outcome;

use super::*;

fn at(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_millis(at.as_millisecond())
}

fn about() -> About {
    About {
        run: "20261121-k3f9zm".parse().unwrap(),
        account: account(),
        action: "deactivate",
        priority: Priority::Normal,
        asked_by: "token:hr".into(),
    }
}

fn account() -> AccountName {
    "zoom-main".parse().unwrap()
}

fn data(kind: WebhookEvent) -> Data {
    match kind {
        WebhookEvent::RunFinished => Data::RunFinished(RunFinished {
            about: about(),
            state: RunState::Expired,
            total: 4_000,
            as_wished: 3_990,
            outcomes: [(Outcome::Applied, 3_950), (Outcome::AlreadyApplied, 40), (Outcome::Expired, 10)].into(),
            message: Some("the run's deadline came before this user was done".into()),
            sealed_at: Some(at("2026-11-21T08:00:00Z")),
            finished_at: Some(at("2026-11-21T18:00:00Z")),
        }),
        WebhookEvent::RunHeld => Data::RunHeld(RunHeld {
            about: about(),
            why: "over_run_cap",
            message: "4,000 users would be changed and the cap is 250 a run; another person approves with `usher approve \
                      20261121-k3f9zm`"
                .into(),
            change: Some(4_000),
            total: 4_000,
            since: at("2026-11-21T08:00:09Z"),
        }),
        WebhookEvent::RunParked => Data::RunParked(RunParked {
            about: about(),
            until: at("2026-11-22T00:00:00Z"),
            kept_for_urgent: true,
            left: 1_200,
            total: 4_000,
        }),
        WebhookEvent::DeadlineNear => Data::DeadlineNear(DeadlineNear {
            about: about(),
            deadline: at("2026-11-21T18:00:00Z"),
            state: RunState::Halted,
            left: 10,
            total: 4_000,
        }),
        WebhookEvent::LeaversStillActive => Data::LeaversStillActive(LeaversStillActive {
            about: about(),
            state: RunState::Expired,
            deadline: Some(at("2026-11-21T18:00:00Z")),
            number: 10,
            users: vec![Leaver {
                user: "ann@corp.example".into(),
                outcome: Some(Outcome::Expired),
                code: Some("deadline".into()),
            }],
            rest: rest(&about().run),
        }),
        WebhookEvent::AccountHalted => Data::AccountHalted(AccountHalted {
            account: account(),
            why: "credentials".into(),
            message: "the vendor refused 3 new tokens in a row. Check the account's credentials (`usher accounts check`), \
                      then `usher resume`"
                .into(),
            by_itself: false,
            waiting_runs: 2,
            since: at("2026-11-21T09:30:00Z"),
        }),
        WebhookEvent::AccountResumed => Data::AccountResumed(AccountResumed {
            account: account(),
            why: "credentials".into(),
            halted_at: at("2026-11-21T09:30:02Z"),
        }),
        WebhookEvent::Test => Data::Test(Test {
            endpoint: "ops".into(),
            message: "usher webhook test was typed; nothing has happened".into(),
        }),
    }
}

/// The example of a kind, as the page has it.
fn example(kind: WebhookEvent) -> String {
    let at = at("2026-11-21T18:00:00Z");
    let event = Event { id: "id".into(), kind, account: account(), at, data: data(kind) };
    serde_json::to_string_pretty(&event).unwrap()
}

#[test]
fn the_page_shows_each_kind_as_it_is_sent() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/webhooks.md");
    let page = std::fs::read_to_string(path).unwrap();
    for kind in WebhookEvent::ALL {
        let (_, section) = page.split_once(&format!("\n### {kind}\n")).unwrap_or_else(|| panic!("no {kind}"));
        let (_, block) = section.split_once("```json\n").unwrap();
        let shown = block.split("\n```").next().unwrap();
        assert_eq!(shown, example(kind), "{kind}");
    }
}
