//! A job at which worker after worker dies; workers that are half dead.

use std::time::Duration;

use usher_shared::{Outcome, OutcomeRow, RunId};
use usher_simulator::zoom::{JournalLine, SimUser, Status};
use usher_worker::decide::POISON_DEATHS;

use crate::{
    audit::CHANGE,
    chronicle::now,
    fleet::Fleet,
    scenario::{Scenario, vendor},
    support::{Kind, Layout, wait_until},
    watch::Watch,
};

const DEATHS: usize = POISON_DEATHS as usize;
const SHORT_LEASES: &str = "[worker]\ncall_timeout_seconds = 2\nlease_seconds = 3.5";

fn scenario(name: &'static str, kind: Kind, users: u32) -> Scenario {
    let account_lines = SHORT_LEASES.to_owned();
    Scenario::new(name, Layout { account_lines, ..Layout::new(kind, vendor(users)) })
}

fn is_about(user: &SimUser, name: &str) -> bool {
    user.email.eq_ignore_ascii_case(name) || user.id.as_deref() == Some(name)
}

/// How long a call that will not be answered is surely still waited for.
const WAITED_FOR: Duration = Duration::from_millis(1_200);

/// The vendor's calls on this user so far, and whether the last one is still waited for.
fn calls_on(scenario: &Scenario, user: &SimUser) -> (usize, bool) {
    let lines = scenario.place.sim.journal();
    let theirs: Vec<_> = lines
        .iter()
        .filter(|line| line.route == CHANGE && line.user.as_deref().is_some_and(|name| is_about(user, name)))
        .collect();
    let now = u64::try_from(now().as_millis()).unwrap() * 1000;
    let waited_for = |line: &&JournalLine| {
        let silent = line.ending.as_deref().is_none_or(|ending| ending == "hung");
        silent && now.saturating_sub(line.seen_us) < WAITED_FOR.as_micros() as u64
    };
    (theirs.len(), theirs.last().is_some_and(waited_for))
}

fn row_of(scenario: &Scenario, run: &RunId, user: &SimUser) -> OutcomeRow {
    let rows = scenario.place.block_on(scenario.place.store().outcomes(run, 0, 5_000)).unwrap();
    rows.into_iter().find(|row| is_about(user, row.user.as_str())).expect("an outcome")
}

/// Kills every worker while it calls about the poison user, until so many have died that it convicts the job.
fn kill_at_each_call(scenario: &Scenario, fleet: &mut Fleet, watch: &Watch, user: &SimUser) {
    for death in 1..=DEATHS {
        wait_until(&format!("call {death} on the poison user"), || {
            let (calls, in_flight) = calls_on(scenario, user);
            let over = watch.status().is_some_and(|status| status.phase.is_over());
            assert!(!over, "the run was over after {calls} calls on the poison user");
            calls >= death && in_flight
        });
        for place in 0..fleet.len() {
            fleet.kill(place);
        }
    }
}

fn a_planted_poison_job_ends_as_poisoned_and_the_rest_goes_on(
    kind: Kind,
    workers: usize,
    name: &'static str,
) {
    let mut scenario = scenario(name, kind, 300);
    let users = scenario.place.ordinary();
    let poison = users[scenario.seed.within(10..60) as usize].clone();
    let names = vec![poison.email.to_string(), poison.id.as_deref().unwrap().to_owned()];
    scenario.place.sim.change_settings(|settings| settings.faults.silent_about = names).unwrap();
    let mut fleet = scenario.fleet(workers);
    let run = scenario.deactivate(&users);
    let watch = Watch::start(&scenario.place, &run);
    kill_at_each_call(&scenario, &mut fleet, &watch, &poison);
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 299, "{}", ended.findings);
    assert_eq!(ended.findings.of(Outcome::Poisoned), 1, "{}", ended.findings);
    let row = row_of(&scenario, &run, &poison);
    assert_eq!(row.outcome, Outcome::Poisoned, "{row:?}");
    assert!(row.message.as_deref().unwrap().contains("the user is active"), "{row:?}");
    assert_eq!(scenario.place.sim.user(&poison.email).unwrap().status, Status::Active);
    assert_eq!(calls_on(&scenario, &poison).0, DEATHS, "after the last of these deaths it is only looked at");
}

#[test]
fn a_planted_poison_job_ends_as_poisoned_and_the_rest_goes_on_on_sqlite() {
    let name = "a_planted_poison_job_ends_as_poisoned_and_the_rest_goes_on_on_sqlite";
    a_planted_poison_job_ends_as_poisoned_and_the_rest_goes_on(Kind::Sqlite, 1, name);
}

#[test]
fn a_planted_poison_job_ends_as_poisoned_and_the_rest_goes_on_on_redis() {
    let name = "a_planted_poison_job_ends_as_poisoned_and_the_rest_goes_on_on_redis";
    a_planted_poison_job_ends_as_poisoned_and_the_rest_goes_on(Kind::Redis, 2, name);
}

/// The last call of a job that killed worker after worker was carried out: a look at the user tells.
#[test]
fn a_poison_job_whose_user_is_found_as_wished_is_applied() {
    let mut scenario = scenario("a_poison_job_whose_user_is_found_as_wished_is_applied", Kind::Sqlite, 120);
    let users = scenario.place.ordinary();
    let poison = users[scenario.seed.within(10..60) as usize].clone();
    let names = vec![poison.email.to_string(), poison.id.as_deref().unwrap().to_owned()];
    scenario.place.sim.change_settings(|settings| settings.faults.silent_about = names).unwrap();
    let mut fleet = scenario.fleet(1);
    let run = scenario.deactivate(&users);
    let watch = Watch::start(&scenario.place, &run);
    kill_at_each_call(&scenario, &mut fleet, &watch, &poison);
    let change = usher_simulator::zoom::UserChange { status: Some(Status::Inactive), ..Default::default() };
    scenario.place.sim.update_user(&poison.email, change).unwrap();
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 120, "{}", ended.findings);
    let row = row_of(&scenario, &run, &poison);
    assert!(row.message.as_deref().unwrap().contains("a look at the user"), "{row:?}");
}

#[test]
fn four_workers_of_which_one_stands_still_for_good_finish_the_run() {
    let name = "four_workers_of_which_one_stands_still_for_good_finish_the_run";
    // Longer than a store takes to answer on a busy machine: here the leases of one worker alone are to lapse.
    let account_lines = "[worker]\ncall_timeout_seconds = 4\nlease_seconds = 8".to_owned();
    let mut scenario = Scenario::new(name, Layout { account_lines, ..Layout::new(Kind::Redis, vendor(500)) });
    let mut fleet = scenario.fleet(4);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    watch.wait_for_finished(scenario.seed.within(20..200));
    let half_dead = scenario.seed.place(4);
    fleet.stop(half_dead);
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 500, "{}", ended.findings);
    let waited = ended.findings.until_again;
    assert!(waited < Duration::from_secs(15), "{waited:?}");
}
