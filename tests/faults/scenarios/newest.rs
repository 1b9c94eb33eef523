//! The newest run wins: a dismissal against an older bulk activation of the same users, however the two come to meet.

use std::time::Duration;

use usher_shared::{Outcome, OutcomeRow, RunId, Verdict};
use usher_simulator::zoom::{SimUser, Status};

use crate::{
    audit,
    scenario::{Scenario, vendor},
    support::{Kind, Layout, wait_until},
};

const ACTIVATE: [&str; 4] = ["--action", "activate", "--priority", "bulk"];
const DISMISS: [&str; 4] = ["--action", "deactivate", "--priority", "urgent"];

/// A directory in which these users are inactive: dismissed once, and to be activated by mistake.
fn scenario(name: &'static str, kind: Kind, dismissed: u32, others: u32) -> (Scenario, Vec<SimUser>) {
    paced(name, kind, dismissed, others, "")
}

/// The same with a line about the account.
fn paced(
    name: &'static str,
    kind: Kind,
    dismissed: u32,
    others: u32,
    line: &str,
) -> (Scenario, Vec<SimUser>) {
    let mut settings = vendor(others);
    settings.directory.already_inactive = dismissed;
    let account_lines = format!("{line}\n[worker]\ncall_timeout_seconds = 2\nlease_seconds = 3.5");
    let scenario = Scenario::new(name, Layout { account_lines, ..Layout::new(kind, settings) });
    let inactive: Vec<SimUser> =
        scenario.place.sim.users().into_iter().filter(|user| user.status == Status::Inactive).collect();
    assert_eq!(inactive.len(), dismissed as usize);
    (scenario, inactive)
}

fn rows(scenario: &Scenario, run: &RunId) -> Vec<OutcomeRow> {
    scenario.place.block_on(scenario.place.store().outcomes(run, 0, 5_000)).unwrap()
}

fn wait_until_over(scenario: &Scenario, runs: &[&RunId]) {
    let store = scenario.place.store();
    for run in runs {
        wait_until("the end of a run", || {
            let status = scenario.place.block_on(store.run(run)).ok().flatten();
            status.is_some_and(|status| status.phase.is_over())
        });
    }
}

/// All users named are inactive, and what the older run did not do to them says who decides.
fn assert_dismissed(scenario: &Scenario, users: &[SimUser], older: &RunId, newer: &RunId) {
    for user in users {
        let found = scenario.place.sim.user(&user.email).unwrap();
        assert_eq!(found.status, Status::Inactive, "{} was dismissed", user.email);
    }
    let theirs = |row: &OutcomeRow| users.iter().any(|user| *row.user.as_str() == *user.email);
    for row in rows(scenario, older).iter().filter(|row| theirs(row)) {
        match row.outcome {
            Outcome::Superseded => assert_eq!(row.code.as_deref(), Some(newer.as_str()), "{row:?}"),
            // It was through with the user before the newer run came.
            Outcome::Applied | Outcome::AlreadyApplied => {}
            other => panic!("{other}: {row:?}"),
        }
    }
    for row in rows(scenario, newer) {
        assert!(row.outcome.is_as_wished(), "{row:?}");
    }
}

/// A bulk run reads the whole directory before it begins, an urgent one looks its few users up: so the urgent one, submitted
/// later, is ready first.
fn a_dismissal_that_is_ready_before_the_older_bulk_run_still_decides(kind: Kind, name: &'static str) {
    let (scenario, users) = scenario(name, kind, 40, 1000);
    // Each page of the listing takes its time.
    scenario
        .place
        .sim
        .change_settings(|settings| settings.faults.latency_ms = "700".parse().unwrap())
        .unwrap();
    let fleet = scenario.fleet(1);
    let older = scenario.submit(&users, &ACTIVATE);
    wait_until("the bulk run's listing", || scenario.place.sim.report().calls.contains_key("GET /users"));
    let newer = scenario.submit(&users[..2], &DISMISS);
    wait_until_over(&scenario, &[&newer, &older]);
    drop(fleet);
    eprintln!("{}", audit::audit(&scenario, &[older.clone(), newer.clone()]));
    assert_dismissed(&scenario, &users[..2], &older, &newer);
    let left: Vec<_> =
        rows(&scenario, &older).into_iter().filter(|row| row.outcome == Outcome::Applied).collect();
    assert_eq!(left.len(), 38, "the others are activated as the bulk run says");
}

#[test]
fn a_dismissal_that_is_ready_before_the_older_bulk_run_decides_on_sqlite() {
    let name = "a_dismissal_that_is_ready_before_the_older_bulk_run_decides_on_sqlite";
    a_dismissal_that_is_ready_before_the_older_bulk_run_still_decides(Kind::Sqlite, name);
}

#[test]
fn a_dismissal_that_is_ready_before_the_older_bulk_run_decides_on_redis() {
    let name = "a_dismissal_that_is_ready_before_the_older_bulk_run_decides_on_redis";
    a_dismissal_that_is_ready_before_the_older_bulk_run_still_decides(Kind::Redis, name);
}

/// How the two runs are brought together while the older one is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    /// Its jobs wait for a retry.
    RetryWaits,
    /// Its replies are lost.
    RepliesLost,
    /// Its worker is killed in the middle of its calls.
    WorkerKilled,
    /// Its worker stands still with its leases, and goes on after they have lapsed.
    WorkerStopped,
    /// Its jobs are in hand, and nothing is wrong.
    InHand,
}

const MEETINGS: [Meeting; 5] = [
    Meeting::RetryWaits,
    Meeting::RepliesLost,
    Meeting::WorkerKilled,
    Meeting::WorkerStopped,
    Meeting::InHand,
];

/// Brings a dismissal of some users in while their older activation is under way, and holds the end to what was promised.
fn meet(kind: Kind, name: &'static str, meeting: Meeting) {
    let (mut scenario, users) = scenario(name, kind, 60, 20);
    let workers = if kind == Kind::Redis { 2 } else { 1 };
    let mut fleet = scenario.fleet(workers);
    let faults = |change: &dyn Fn(&mut usher_simulator::faults::Faults)| {
        scenario.place.sim.change_settings(|settings| change(&mut settings.faults)).unwrap();
    };
    // The listing goes through; what comes after it meets the fault.
    let older = scenario.submit(&users, &ACTIVATE);
    wait_until("the first change", || !scenario.place.sim.report().changes.is_empty());
    match meeting {
        Meeting::RetryWaits => faults(&|faults| faults.errors = 1.0),
        Meeting::RepliesLost => faults(&|faults| faults.lost = 1.0),
        Meeting::WorkerKilled | Meeting::WorkerStopped | Meeting::InHand => {
            faults(&|faults| faults.latency_ms = "300..500".parse().unwrap());
        }
    }
    std::thread::park_timeout(Duration::from_millis(scenario.seed.within(50..350)));
    let calm = |faults: &mut usher_simulator::faults::Faults| {
        *faults =
            usher_simulator::faults::Faults { latency_ms: "20..80".parse().unwrap(), ..Default::default() };
    };
    let struck: Vec<usize> = (0..workers).collect();
    if meeting == Meeting::WorkerStopped {
        struck.iter().for_each(|place| fleet.stop(*place));
    }
    let newer = scenario.submit(&users[..50], &DISMISS);
    match meeting {
        Meeting::WorkerKilled => struck.iter().for_each(|place| fleet.kill(*place)),
        Meeting::WorkerStopped => {
            // Past the leases, which last 3.5 s.
            std::thread::park_timeout(Duration::from_millis(3_800));
            struck.iter().for_each(|place| fleet.go_on(*place));
        }
        Meeting::RetryWaits | Meeting::RepliesLost | Meeting::InHand => {}
    }
    std::thread::park_timeout(Duration::from_millis(scenario.seed.within(0..400)));
    scenario.place.sim.change_settings(|settings| calm(&mut settings.faults)).unwrap();
    wait_until_over(&scenario, &[&newer, &older]);
    fleet.assert_all_alive();
    eprintln!("{meeting:?}: {}", audit::audit(&scenario, &[older.clone(), newer.clone()]));
    assert_dismissed(&scenario, &users[..50], &older, &newer);
    for user in &users[50..] {
        assert_eq!(scenario.place.sim.user(&user.email).unwrap().status, Status::Active, "{}", user.email);
    }
}

#[test]
fn however_a_dismissal_meets_an_older_activation_it_wins_on_sqlite() {
    // One process works, and would stop the others' writes with itself where it stands still in the middle of one.
    for meeting in MEETINGS.into_iter().filter(|meeting| *meeting != Meeting::WorkerStopped) {
        meet(Kind::Sqlite, "however_a_dismissal_meets_an_older_activation_it_wins_on_sqlite", meeting);
    }
}

#[test]
fn however_a_dismissal_meets_an_older_activation_it_wins_on_redis() {
    for meeting in MEETINGS {
        meet(Kind::Redis, "however_a_dismissal_meets_an_older_activation_it_wins_on_redis", meeting);
    }
}

#[test]
fn a_dismissal_that_is_cancelled_before_it_acts_leaves_the_older_run_in_force() {
    let name = "a_dismissal_that_is_cancelled_before_it_acts_leaves_the_older_run_in_force";
    let (scenario, users) = scenario(name, Kind::Redis, 30, 20);
    let older = scenario.submit(&users, &ACTIVATE);
    scenario.place.usher(&["pause", older.as_str()]).succeeded();
    let newer = scenario.submit(&users[..10], &DISMISS);
    scenario.place.usher(&["cancel", newer.as_str(), "--yes"]).succeeded();
    let mut fleet = scenario.fleet(2);
    scenario.place.usher(&["resume", older.as_str(), "--detach"]).succeeded();
    wait_until_over(&scenario, &[&newer, &older]);
    fleet.assert_all_alive();
    let findings = audit::audit(&scenario, &[older.clone(), newer.clone()]);
    assert_eq!((findings.of(Outcome::Applied), findings.of(Outcome::Cancelled)), (30, 10), "{findings}");
}

/// The one window: a call of the older run that is still on its way when its time is up reaches the vendor after the newer
/// run's. Nothing at usher's end can call it back. The ledger says that it was tried, and that nobody knows what became of it.
#[test]
fn the_one_window_is_an_older_call_still_on_its_way_and_the_ledger_shows_it() {
    let name = "the_one_window_is_an_older_call_still_on_its_way_and_the_ledger_shows_it";
    // Half a second between two calls: time to have the second one delayed once the first is seen.
    let (scenario, users) = paced(name, Kind::Redis, 1, 20, "light = 2");
    let mut fleet = scenario.fleet(1);
    // Longer on the way than a call may take, and than a lease lasts, and than the newer run takes.
    let delay = |ms: &str| {
        let ms = ms.parse().unwrap();
        scenario.place.sim.change_settings(|settings| settings.faults.delay_ms = ms).unwrap();
    };
    let user = users[0].clone();
    let older = scenario.submit(&users, &ACTIVATE);
    wait_until("the look-up", || scenario.place.sim.report().calls.contains_key("GET /users/{userId}"));
    delay("9000");
    let store = scenario.place.store();
    wait_until("the older call to be given up", || {
        let tried = scenario.place.block_on(store.attempts(&older, 0)).unwrap_or_default();
        tried.iter().any(|attempt| attempt.calls == 1)
    });
    // Its next try would be through before the newer run is there.
    scenario.place.usher(&["pause", older.as_str()]).succeeded();
    delay("0");
    let newer = scenario.submit(&users, &DISMISS);
    wait_until_over(&scenario, &[&newer]);
    scenario.place.usher(&["resume", older.as_str(), "--detach"]).succeeded();
    wait_until_over(&scenario, &[&older]);
    fleet.assert_all_alive();
    let row = rows(&scenario, &older).remove(0);
    assert_eq!((row.outcome, row.code.as_deref()), (Outcome::Superseded, Some(newer.as_str())), "{row:?}");
    let attempts = scenario.place.block_on(store.attempts(&older, 0)).unwrap();
    let unknown =
        attempts.iter().any(|attempt| matches!(attempt.verdict, Verdict::Transient | Verdict::Lost));
    assert!(unknown, "the ledger shows that a call may yet arrive: {attempts:#?}");
    assert_eq!(rows(&scenario, &newer).remove(0).outcome, Outcome::AlreadyApplied);
    // `usher verify` is what finds it: the directory disagrees with the newer run from the moment the old call arrives.
    wait_until("the old call to arrive", || {
        scenario.place.sim.user(&user.email).unwrap().status == Status::Active
    });
    scenario.place.usher(&["verify", newer.as_str()]).code(1).says(&user.email);
}

/// Dismissals of parts that overlap, at random moments of an older activation, while workers are killed at random.
#[test]
fn dismissals_at_random_moments_win_over_an_older_activation_while_workers_are_killed() {
    let name = "dismissals_at_random_moments_win_over_an_older_activation_while_workers_are_killed";
    let (mut scenario, users) = scenario(name, Kind::Redis, 120, 20);
    let mut fleet = scenario.fleet(2);
    let mut runs = vec![scenario.submit(&users, &ACTIVATE)];
    let mut dismissed = Vec::new();
    for _ in 0..3 {
        scenario.pause(100..600);
        let from = scenario.seed.place(users.len() - 30);
        let part = &users[from..from + 30];
        dismissed.extend_from_slice(part);
        let run = scenario.submit(part, &DISMISS);
        // The same part again, while it is under way, is the same run.
        if !runs.contains(&run) {
            runs.push(run);
        }
        for _ in 0..scenario.seed.within(1..4) {
            let victim = scenario.seed.place(fleet.len());
            fleet.kill(victim);
            scenario.pause(50..300);
        }
    }
    wait_until_over(&scenario, &runs.iter().collect::<Vec<_>>());
    drop(fleet);
    eprintln!("{}", audit::audit(&scenario, &runs));
    for user in &dismissed {
        let found = scenario.place.sim.user(&user.email).unwrap();
        assert_eq!(found.status, Status::Inactive, "{} was dismissed", user.email);
    }
    for row in runs[1..].iter().flat_map(|run| rows(&scenario, run)) {
        assert!(row.outcome.is_as_wished() || row.outcome == Outcome::Superseded, "{row:?}");
    }
}
