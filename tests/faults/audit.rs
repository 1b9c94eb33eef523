//! What must be so after every scenario, whatever was done in it.
//!
//! The ledger is held against the simulator's own journal. What a fault explains is excused by that fault alone: it must
//! stand in the chronicle, have struck that very worker (or all), and at that time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use usher_shared::{Attempt, Outcome, OutcomeRow, RunId, Timestamp, Verdict, store::SharedStore};
use usher_simulator::zoom::{JournalLine, Status};

use crate::{
    chronicle::{Fault, What},
    scenario::Scenario,
    support::Workplace,
};

/// The calls that change users, as the simulator names them.
pub const CHANGE: &str = "PUT /users/{userId}/status";

/// The most jobs that one worker may hold: `worker.max_in_flight` by default. With a quick disk and vendor it is about a dozen at
/// 80 calls a second; outcomes that wait for a slow disk are held, too.
const MOST_HELD: u64 = 100;

/// A lease that the store forgot may begin its call so long after, its holder not knowing: a permit that is late is changed for
/// another, which may take two seconds.
const FORGOTTEN_LEASE: Duration = Duration::from_secs(3);

/// What an audit found that was as it should be.
#[derive(Debug, Default)]
pub struct Findings {
    /// Every outcome, of all runs.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Attempts in the ledger.
    pub attempts: u64,
    /// Those of workers that died, or lost their leases.
    pub lost: u64,
    /// Calls that the simulator saw.
    pub calls: u64,
    /// Calls on one user while another was in flight: each in the window that ARCHITECTURE.md states.
    pub overlaps: u64,
    /// Calls of which a store that forgot knows nothing.
    pub forgotten_calls: u64,
    /// Calls that were refused for their rate.
    pub throttled: u64,
    /// The most attempts that one fault cost.
    pub lost_at_once: u64,
    /// How many jobs were held at so many deaths.
    pub deaths: BTreeMap<usize, u64>,
    /// The longest time from a worker's death until one of its jobs was tried again.
    pub until_again: Duration,
    /// The same of those that had to run alone, and wait their turn for it.
    pub until_again_alone: Duration,
}

impl Findings {
    /// Calls but those that were refused for their rate.
    pub fn calls_let_in(&self) -> u64 {
        self.calls - self.throttled
    }

    /// How many jobs ended so.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            outcomes,
            attempts,
            lost,
            calls,
            overlaps,
            forgotten_calls,
            throttled,
            lost_at_once,
            deaths,
            until_again,
            until_again_alone,
        } = self;
        write!(
            f,
            "{outcomes:?}; {attempts} attempts, {lost} lost, {lost_at_once} at once (jobs by deaths: {deaths:?}); {calls} calls, {throttled} throttled, \
             {overlaps} of them while another was in flight, \
             {forgotten_calls} forgotten; tried again {until_again:?} after a death at the latest, alone {until_again_alone:?}"
        )
    }
}

/// One job with all that is known of it.
struct Job {
    run: RunId,
    row: OutcomeRow,
    attempts: Vec<Attempt>,
}

/// Audits runs that are over, the ones admitted first, first. They must be all that ever changed a user.
pub fn audit(scenario: &Scenario, runs: &[RunId]) -> Findings {
    let store = scenario.place.store();
    let mut jobs = Vec::new();
    for run in runs {
        jobs.extend(jobs_of(&scenario.place, &store, run));
    }
    let mut calls: BTreeMap<String, Vec<JournalLine>> = BTreeMap::new();
    for line in scenario.place.sim.journal() {
        if line.route == CHANGE {
            let name = line.user.as_deref().expect("a change names a user");
            let key = scenario.place.sim.user(name).map_or(name.to_owned(), |user| user.email.to_string());
            calls.entry(key).or_default().push(line);
        }
    }
    let mut findings = Findings::default();
    let faults = scenario.chronicle.faults();
    for job in &jobs {
        *findings.outcomes.entry(job.row.outcome).or_default() += 1;
        check_ledger(job, scenario.slack);
        check_lost(job, &faults, scenario.slack, &mut findings);
    }
    for fault in &faults {
        let worker = |attempt: &&Attempt| {
            attempt.verdict == Verdict::Lost && explaining(&faults, attempt, scenario.slack) == Some(fault)
        };
        let cost = jobs.iter().flat_map(|job| &job.attempts).filter(worker).count() as u64;
        let of_one = fault.worker.is_some();
        assert!(!of_one || cost <= MOST_HELD, "{fault} cost {cost} attempts: more than a worker may hold");
        findings.lost_at_once = findings.lost_at_once.max(cost);
    }
    let mut of_user: BTreeMap<String, Vec<&Job>> = BTreeMap::new();
    for job in &jobs {
        of_user.entry(email_of(&scenario.place, &job.row)).or_default().push(job);
    }
    let nobody = Vec::new();
    let users: BTreeSet<&String> = of_user.keys().chain(calls.keys()).collect();
    for user in users {
        let theirs = calls.get(user).unwrap_or(&nobody);
        let jobs = of_user.get(user).map_or(&[][..], Vec::as_slice);
        let ledger = Ledger { user, jobs, faults: &faults, slack: scenario.slack };
        ledger.check_calls(theirs, &mut findings);
        check_state(&scenario.place, &ledger, &findings);
    }
    findings
}

fn email_of(place: &Workplace, row: &OutcomeRow) -> String {
    let name = row.user.as_str();
    place.sim.user(name).map_or(name.to_owned(), |user| user.email.to_string())
}

/// The jobs of a run: as many as it has, each with one outcome, and the counters say the same.
fn jobs_of(place: &Workplace, store: &SharedStore, run: &RunId) -> Vec<Job> {
    let status = place.block_on(store.run(run)).unwrap().expect("the run is there");
    assert!(status.phase.is_over(), "run {run} is {}", status.phase);
    let mut jobs: Vec<Job> = Vec::new();
    loop {
        let from = jobs.last().map_or(0, |job: &Job| job.row.seq + 1);
        let rows = place.block_on(store.outcomes(run, from, 1000)).unwrap();
        let last = rows.len() < 1000;
        for row in rows {
            let attempts = place.block_on(store.attempts(run, row.seq)).unwrap();
            jobs.push(Job { run: run.clone(), row, attempts });
        }
        if last {
            break;
        }
    }
    let counters = &status.counters;
    assert!(counters.add_up() && counters.finished == counters.total, "run {run}: {counters:?}");
    let places: BTreeSet<u64> = jobs.iter().map(|job| job.row.seq).collect();
    assert_eq!(places.len(), jobs.len(), "a job of run {run} has two outcomes");
    assert_eq!(jobs.len() as u64, counters.total, "a job of run {run} has no outcome");
    for outcome in Outcome::ALL {
        let found = jobs.iter().filter(|job| job.row.outcome == outcome).count() as u64;
        assert_eq!(found, counters.of(outcome), "{outcome} in run {run}");
    }
    let attempts: u64 = jobs.iter().map(|job| job.attempts.len() as u64).sum();
    let lost = jobs.iter().flat_map(|job| &job.attempts).filter(|attempt| attempt.verdict == Verdict::Lost);
    assert_eq!((status.effort.attempts, status.effort.lost), (attempts, lost.count() as u64), "run {run}");
    jobs
}

/// A job's attempts are numbered by their order, one after the other, and the last one says what the outcome says.
fn check_ledger(job: &Job, slack: Duration) {
    let Job { run, row, attempts } = job;
    let seq = row.seq;
    assert_eq!(attempts.len(), row.attempts as usize, "attempts of {run}/{seq}");
    for two in attempts.windows(2) {
        let apart = two[0].ended_at <= two[1].began_at.after(slack);
        assert!(apart, "two attempts at {run}/{seq} at once: {two:#?}");
        assert!(!ends(two[0].verdict), "an attempt after the last at {run}/{seq}: {two:#?}");
    }
    if matches!(row.outcome, Outcome::Applied | Outcome::AlreadyApplied)
        && let Some(last) = attempts.last()
        && row.message.as_deref().is_none_or(|message| !message.starts_with("seen by a look"))
    {
        let said = matches!(last.verdict, Verdict::Applied | Verdict::AlreadyApplied);
        assert!(said, "{run}/{seq} is {} by {last:?}", row.outcome);
    }
}

/// Whether nothing follows an attempt with this verdict.
fn ends(verdict: Verdict) -> bool {
    use Verdict::{AlreadyApplied, Applied, NotFound, Rejected, Unknown};
    matches!(verdict, Applied | AlreadyApplied | NotFound | Rejected | Unknown)
}

/// Every lost attempt is explained by something that struck its worker while it held the job.
fn check_lost(job: &Job, faults: &[Fault], slack: Duration, findings: &mut Findings) {
    findings.attempts += job.attempts.len() as u64;
    let deaths = job.attempts.iter().filter(|attempt| attempt.verdict == Verdict::Lost).count();
    *findings.deaths.entry(deaths).or_default() += 1;
    for (place, attempt) in job.attempts.iter().enumerate() {
        if attempt.verdict != Verdict::Lost {
            continue;
        }
        findings.lost += 1;
        let fault = faults.iter().find(|fault| struck(fault, attempt, slack)).unwrap_or_else(|| {
            panic!("nothing explains the lost attempt {attempt:?} of {:?}; {faults:#?}", job.row)
        });
        if let (What::Killed, Some(next)) = (fault.what, job.attempts.get(place + 1)) {
            let alone = job.attempts[..=place].iter().filter(|one| one.verdict == Verdict::Lost).count() >= 2;
            let longest = if alone { &mut findings.until_again_alone } else { &mut findings.until_again };
            *longest = (*longest).max(next.began_at.since(fault.from));
        }
    }
}

/// The fault that explains a lost attempt.
fn explaining<'a>(faults: &'a [Fault], attempt: &Attempt, slack: Duration) -> Option<&'a Fault> {
    faults.iter().find(|fault| struck(fault, attempt, slack))
}

fn struck(fault: &Fault, attempt: &Attempt, slack: Duration) -> bool {
    let worker = attempt.worker.as_str();
    fault.struck(worker, before(attempt.began_at, slack), attempt.ended_at.after(slack))
}

fn before(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(at.as_millis() - i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}

/// What the ledger says of one user.
struct Ledger<'a> {
    user: &'a str,
    jobs: &'a [&'a Job],
    faults: &'a [Fault],
    slack: Duration,
}

impl Ledger<'_> {
    /// Each call is one attempt's, no attempt has more calls than it says, and no two calls were in flight at once.
    fn check_calls(&self, calls: &[JournalLine], findings: &mut Findings) {
        let mut attempts: Vec<(&Attempt, u32)> = self
            .jobs
            .iter()
            .flat_map(|job| &job.attempts)
            .map(|attempt| (attempt, may_have(attempt)))
            .collect();
        attempts.sort_by_key(|(attempt, _)| attempt.ended_at);
        let mut earlier: Option<(&JournalLine, Option<&Attempt>)> = None;
        for call in calls {
            findings.calls += 1;
            findings.throttled += u64::from(call.ending.as_deref() == Some("429"));
            let seen = at(call.seen_us);
            let of = attempts.iter_mut().find(|(attempt, left)| {
                *left > 0
                    && before(attempt.began_at, self.slack) <= seen
                    && seen <= attempt.ended_at.after(self.slack)
            });
            let attempt = of.map(|(attempt, left)| {
                *left -= 1;
                *attempt
            });
            if attempt.is_none() {
                assert!(self.was_forgotten(seen), "a call that no attempt knows of: {}", self.tell(calls));
                findings.forgotten_calls += 1;
            }
            if let Some((before, of)) = earlier
                && before.ended_us.is_none_or(|ended| ended > call.seen_us)
            {
                let in_the_window = match of {
                    Some(attempt) => self.was_cut_off(attempt),
                    None => self.was_forgotten(at(before.seen_us)),
                };
                assert!(in_the_window, "two calls in flight at once: {}", self.tell(calls));
                findings.overlaps += 1;
            }
            earlier = Some((call, attempt));
        }
    }

    /// Whether a fault explains that this attempt was over before its call was: its worker was struck, or could not hear the
    /// vendor any more.
    fn was_cut_off(&self, attempt: &Attempt) -> bool {
        let by = |what: Option<What>| {
            let mut faults = self.faults.iter().filter(|fault| what.is_none_or(|what| fault.what == what));
            faults.any(|fault| struck(fault, attempt, self.slack))
        };
        match attempt.verdict {
            Verdict::Lost => by(None),
            Verdict::Transient => by(Some(What::VendorAway)),
            _ => false,
        }
    }

    /// Whether the store forgot what it was told at about this time.
    fn was_forgotten(&self, seen: Timestamp) -> bool {
        self.faults.iter().filter(|fault| fault.what == What::StoreForgot).any(|fault| {
            before(fault.from, self.slack) <= seen
                && fault.until.is_none_or(|until| seen <= until.after(FORGOTTEN_LEASE))
        })
    }

    fn tell(&self, calls: &[JournalLine]) -> String {
        let attempts: Vec<_> = self.jobs.iter().flat_map(|job| &job.attempts).collect();
        format!("user {}\n{attempts:#?}\n{calls:#?}\n{:#?}", self.user, self.faults)
    }
}

/// The most calls that the vendor may have seen of an attempt. A lost one may have made the one call that a lease is for.
fn may_have(attempt: &Attempt) -> u32 {
    if attempt.verdict == Verdict::Lost { 1 } else { attempt.calls }
}

fn at(us: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(us / 1000).unwrap_or(i64::MAX))
}

/// The user is as the newest outcome that claims something says, and nobody is said to have been there already whom usher
/// itself brought there.
fn check_state(place: &Workplace, ledger: &Ledger<'_>, findings: &Findings) {
    use usher_shared::Action::Deactivate;
    let Some(found) = place.sim.user(ledger.user) else {
        let not_found = ledger.jobs.iter().all(|job| job.row.outcome == Outcome::NotFound);
        assert!(not_found, "{} is not in the directory", ledger.user);
        return;
    };
    let Some(last) = ledger.jobs.iter().rev().find(|job| job.row.outcome.is_as_wished()) else { return };
    let wished = if last.row.action == Deactivate { Status::Inactive } else { Status::Active };
    assert_eq!(found.status, wished, "{} is {} in run {}", ledger.user, last.row.outcome, last.run);
    let [only] = ledger.jobs else { return };
    let was = only.row.resolved.as_ref().map(|user| user.before.status);
    let changed_by_us = was.is_some_and(|was| was != only.row.action.desired());
    if changed_by_us && findings.forgotten_calls == 0 {
        assert_eq!(only.row.outcome, Outcome::Applied, "usher changed {} itself", ledger.user);
    }
}
