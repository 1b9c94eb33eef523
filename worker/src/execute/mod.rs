//! The pipeline of one lease: wait for its start, check that it may begin, apply, decide, record by one `finish`.

mod call;
mod lasting;
mod look;
mod ready;
mod record;
mod restore;

use std::sync::Arc;

use tracing::Instrument;
use usher_shared::{
    Action, Attempt, JobKey, JobReport, Then, Timestamp, Verdict,
    store::{Lease, LeasedJob},
};

use crate::{
    account::Account,
    backend::{Carried, Work},
    backoff::Backoff,
    deadline::deadline,
    decide::{JobFacts, POISON_DEATHS, RatePause, RetryPolicy, decide},
    health::Seen,
    metrics,
    provider::{Reply, Throttle},
    resolve::ruled_out,
};

use restore::Tried;

pub(crate) use record::{give_back, give_back_lease};

/// The code of an attempt in which usher's own code panicked.
pub const PANIC: &str = "panic";

/// Carries one lease out. Every way out of it leaves each of its jobs reported, given back, or somebody else's.
pub(crate) async fn execute(task: Box<Carried>) {
    let Carried { work, account } = *task;
    let first = work.lease.jobs.first().map(|job| (job.seq, job.attempt)).unwrap_or_default();
    let span = tracing::info_span!(
        "lease", run = %work.lease.run, account = %account.name, job = first.0, attempt = first.1
    );
    carry_out(work, account).instrument(span).await;
}

async fn carry_out(mut work: Work, account: Arc<Account>) {
    let deadline = match deadline(&account, &work.lease.run).await {
        Ok(deadline) => deadline,
        Err(error) => {
            tracing::warn!(%error, "given back, for its run's deadline is not known");
            return give_back(&account, work).await;
        }
    };
    match ready::ready(&mut work, &account).await {
        Ok(()) => {}
        Err(ready::NotReady::GiveBack(why)) => {
            tracing::debug!(why, "given back before its call");
            return give_back(&account, work).await;
        }
        Err(ready::NotReady::Lapsed) => {
            metrics::lease_lost(&account.name);
            return tracing::warn!("the lease lapsed before its call; no call was made");
        }
    }
    if deadline.is_some_and(|deadline| deadline <= account.now()) {
        // The steward ends them all alike; it may not have seen yet that it is time.
        account.nudge.notify_one();
        tracing::debug!("given back: its run's deadline has come");
        return give_back(&account, work).await;
    }
    let jobs = Arc::clone(&work.lease.jobs);
    let (mut reports, open) = settle_without_call(work.lease.action, &jobs, &account);
    let poisoned = open.first().is_some_and(|job| job.deaths >= POISON_DEATHS);
    if open.is_empty() {
        return record::record(&account, work.lease, work.lasts_until, reports).await;
    }
    let began_at = account.now();
    if poisoned {
        // Such a job is leased alone, so that it is the lease's only one.
        let looked = look::look(&mut work, &account, open[0]).await;
        reports.extend(looked.into_iter().map(|then| uncalled(open[0], then)));
        return record::record(&account, work.lease, work.lasts_until, reports).await;
    }
    let replies = call::apply(&mut work, &account, &open).await;
    let went_through =
        |reply: &Reply| !matches!(reply.verdict, Verdict::Throttled | Verdict::Transient | Verdict::Lost);
    if replies.iter().any(went_through) && !replies.iter().any(is_rate_refusal) {
        let room = replies.iter().filter_map(|reply| reply.remaining).min();
        account.limiter.accepted(&work.permit, room);
    }
    let mut pause = None;
    for (place, (&job, reply)) in open.iter().zip(replies).enumerate() {
        let mut tried = restore::follow(&mut work, &account, job, reply).await;
        tried.reply = rebased(tried.reply, &account);
        let times = (began_at, account.now());
        let mut its_pause = None;
        reports.push(report(&account, &work.lease, job, place, &tried, times, &mut its_pause));
        if let Some(refused) = its_pause.filter(|_| tried.further > 0) {
            // It is about the permit of the job's last call, which the next job's first one takes the place of.
            account.limiter.throttled(&work.permit, refused).await;
        } else {
            pause = longer(pause, its_pause);
        }
    }
    match pause {
        Some(pause) => {
            // The fleet is told at once; the ledger needs not wait for it, nor it for the ledger.
            tokio::join!(
                account.limiter.throttled(&work.permit, pause),
                record::record(&account, work.lease, work.lasts_until, reports)
            );
        }
        None => record::record(&account, work.lease, work.lasts_until, reports).await,
    }
}

/// The calls that count as this job's: a call for several users is the first one's. But by the calls of a failed attempt
/// the store also knows whether it may have changed the user, so there it is every job's, or nobody's.
fn calls_of(place: usize, tried: &Tried, recorded: Verdict) -> u32 {
    match recorded {
        Verdict::Transient | Verdict::Lost if tried.changed() => 1 + tried.further,
        Verdict::Transient | Verdict::Lost => u32::from(tried.reply.may_have_applied),
        _ => u32::from(place == 0) + tried.further,
    }
}

/// Jobs that need no call: users that are protected by now, whatever the rules were when they were resolved.
fn settle_without_call<'a>(
    action: Action,
    jobs: &'a [LeasedJob],
    account: &Account,
) -> (Vec<JobReport>, Vec<&'a LeasedJob>) {
    let mut reports = Vec::with_capacity(jobs.len());
    let mut open = Vec::with_capacity(jobs.len());
    let policy = account.policy();
    for job in jobs {
        match ruled_out(&*account.provider, &policy, &job.user, action) {
            Some((outcome, code, message)) => {
                let (code, message) = (Some(code), Some(message));
                reports.push(uncalled(job, Then::Finish { outcome, code, message }));
            }
            None => open.push(job),
        }
    }
    (reports, open)
}

fn uncalled(job: &LeasedJob, then: Then) -> JobReport {
    JobReport { seq: job.seq, attempt: None, throttled: 0, then }
}

/// Decides about one attempt, and takes note of what its reply says about the account.
fn report(
    account: &Account,
    lease: &Lease,
    job: &LeasedJob,
    place: usize,
    tried: &Tried,
    (began_at, ended_at): (Timestamp, Timestamp),
    pause: &mut Option<RatePause>,
) -> JobReport {
    let reply = &tried.reply;
    let mut throttled = false;
    let then = if let Some(later) = tried.later() {
        later
    } else {
        let key = JobKey { run: lease.run.clone(), seq: job.seq };
        let ours = reply.code.as_deref() == Some(PANIC);
        let finding = account.observe(&Seen { job: key, verdict: reply.verdict, ours, began_at, ended_at });
        let facts = JobFacts { outage_until: finding.outage_until, ..facts(lease, job) };
        // What this attempt gave back is a change of ours, even where the user could sign in before.
        let facts = JobFacts { may_have_applied: facts.may_have_applied || tried.gave, ..facts };
        let policy = RetryPolicy { max_attempts: account.config.max_attempts };
        let interval = Backoff::ATTEMPTS.interval(job.attempt, &mut *account.random());
        let decision = decide(&facts, reply, policy, ended_at, interval);
        for hold in [finding.hold, decision.hold].into_iter().flatten() {
            hold_account(account, &hold);
        }
        *pause = decision.pause;
        throttled = reply.verdict == Verdict::Throttled;
        if throttled {
            account.meter.throttled();
        }
        tried.told(decision.then, account.provider.unlicensed())
    };
    tracing::debug!(
        job = job.seq, verdict = %reply.verdict, http = reply.http, code = reply.code.as_deref(),
        then = ?then, user = %job.request.user.as_str(), "decided"
    );
    let verdict = if tried.broken_off.is_some() { Verdict::Transient } else { tried.recorded(&then) };
    let attempt = Attempt {
        began_at,
        ended_at,
        calls: calls_of(place, tried, verdict),
        http: reply.http,
        verdict,
        code: reply.code.clone(),
        worker: account.worker.clone(),
    };
    JobReport { seq: job.seq, attempt: Some(attempt), throttled: throttled.into(), then }
}

fn facts(lease: &Lease, job: &LeasedJob) -> JobFacts {
    JobFacts {
        action: lease.action,
        before: job.user.before.status,
        attempt: job.attempt,
        may_have_applied: job.may_have_applied,
        outage_until: None,
    }
}

/// Holds the account: here at once, everywhere once the steward has told the store.
pub(crate) fn hold_account(account: &Account, hold: &usher_shared::Hold) {
    if account.holds.place(hold) {
        tracing::warn!(account = %account.name, reason = ?hold.reason, until = hold.until.map(|until| until.to_string()), "{}", hold.message);
        account.nudge.notify_one();
    }
}

fn longer(one: Option<RatePause>, other: Option<RatePause>) -> Option<RatePause> {
    match (one, other) {
        (Some(RatePause::Said(one)), Some(RatePause::Said(other))) => Some(RatePause::Said(one.max(other))),
        (Some(RatePause::Day(one)), Some(RatePause::Day(other))) => Some(RatePause::Day(one.max(other))),
        (Some(said @ RatePause::Said(_)), _) | (_, Some(said @ RatePause::Said(_))) => Some(said),
        (Some(day @ RatePause::Day(_)), _) | (_, Some(day @ RatePause::Day(_))) => Some(day),
        (one, other) => one.or(other),
    }
}

/// Providers tell time by the wall clock here; jobs come due by the store's.
pub(crate) fn rebased(reply: Reply, account: &Account) -> Reply {
    Reply { retry_at: reply.retry_at.map(|at| account.rebased(at)), ..reply }
}

/// Whether a reply is a refusal for the account's rate, rather than for this user's.
fn is_rate_refusal(reply: &Reply) -> bool {
    reply.verdict == Verdict::Throttled
        && matches!(reply.throttle, None | Some(Throttle::PerSecond | Throttle::PerDay))
}
