//! The worker's calls: lease, renew, finish.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::RngExt;
use tokio::time::{Instant, sleep};

use super::{
    Core, error,
    finisher::{Finished, Finisher, Report, member},
    lock, record,
    record::Record,
    reply::{self, Refusal},
    script, status,
};
use crate::{
    AccountName, JobReport, Priority, RunId, Timestamp, Verdict, WorkerId,
    store::{CHUNK, Lease, LeaseAsk, Leased, LeasedJob, SHARE_OF_OTHERS, StoreError},
};

/// Between two sendings of a finish that was not answered, at the least; up to twice as long.
const FINISH_AGAIN: Duration = Duration::from_millis(100);

/// The worker's calls.
pub(super) struct Working {
    core: Arc<Core>,
    /// Names this process' asks among others'.
    session: String,
    asks: Mutex<HashMap<(AccountName, WorkerId), SharedAsk>>,
    finishers: Mutex<HashMap<AccountName, Finisher>>,
}

type SharedAsk = Arc<tokio::sync::Mutex<Ask>>;

/// The asks of one worker on one account: one after the other.
struct Ask {
    /// Names them in the store.
    name: String,
    /// The last one's number.
    number: u64,
    /// The number of the last one whose reply arrived: what a later one was granted is taken back by the next.
    answered: u64,
}

impl Working {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let session = format!("{:016x}", rand::rng().random::<u64>());
        Self { core, session, asks: Mutex::default(), finishers: Mutex::default() }
    }

    fn asks_of(&self, ask: &LeaseAsk) -> SharedAsk {
        let mut asks = lock(&self.asks);
        let name = format!("{}-{}", self.session, asks.len());
        let new = || Arc::new(tokio::sync::Mutex::new(Ask { name, number: 0, answered: 0 }));
        Arc::clone(asks.entry((ask.account.clone(), ask.worker.clone())).or_insert_with(new))
    }

    pub(super) async fn lease(&self, ask: &LeaseAsk) -> Result<Leased, StoreError> {
        let asks = self.asks_of(ask);
        let mut asks = asks.lock().await;
        asks.number += 1;
        let mut call = self.core.call(script::LEASE, &ask.account);
        let mut worker = String::new();
        record::write_worker(&ask.worker, &mut worker);
        call.arg(worker).arg(ask.leases).arg(ask.batch).arg(millis(ask.ttl));
        call.arg(ask.only_run.as_ref().map_or("", RunId::as_str)).arg(u8::from(ask.idle));
        call.arg(&asks.name).arg(asks.number).arg(asks.answered);
        call.arg(u8::from(ask.urgent_only)).arg(SHARE_OF_OTHERS);
        let reply = script::LEASE.send(&self.core.link, &call).await;
        // A refusal (LOADING, READONLY) answers this ask and none before it: what an earlier one was granted without our hearing
        // of it still waits to be taken back.
        if reply.is_ok() {
            asks.answered = asks.number;
        }
        drop(asks);
        read_leased(ask, reply::Reply::read(reply)?)
    }

    pub(super) async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), StoreError> {
        let mut call = self.core.call(script::RENEW, &lease.account);
        call.arg(member(lease)).arg(millis(ttl));
        let reply = self.core.send(script::RENEW, &call).await?;
        if reply.refusal() == Some(Refusal::Lapsed) {
            return Err(lapsed(lease));
        }
        // The lease lasts `ttl` from now; it is told as counted from its grant.
        let now = Timestamp::from_millis(reply.code);
        lease.ttl = now.after(ttl).since(lease.granted_at);
        Ok(())
    }

    /// Sends the finish until it is answered: the caller has given the lease away and can't. After the lease's time
    /// there is nothing left to say.
    pub(super) async fn finish(&self, lease: Lease, reports: Vec<JobReport>) -> Result<(), StoreError> {
        let mut report = Report::of(&lease, &reports)?;
        let give_up = Instant::now() + lease.ttl;
        loop {
            let answer = match self.finisher(&lease.account).send(report.clone()).await {
                Ok(Finished::Written) => return Ok(()),
                Ok(Finished::Lapsed) => return Err(lapsed(&lease)),
                Err(error) => error,
            };
            report.again |= error::is_ambiguous(&answer);
            let error = error::sort(answer);
            if !error.is_retryable() || Instant::now() >= give_up {
                return Err(error);
            }
            let jitter = rand::rng().random_range(1.0..2.0);
            sleep(FINISH_AGAIN.mul_f64(jitter)).await;
        }
    }

    fn finisher(&self, account: &AccountName) -> Finisher {
        let mut finishers = lock(&self.finishers);
        let new = || Finisher::start(Arc::clone(&self.core), account.clone());
        finishers.entry(account.clone()).or_insert_with(new).clone()
    }
}

fn lapsed(lease: &Lease) -> StoreError {
    let jobs: Vec<String> =
        lease.jobs.iter().take(3).map(|job| format!("{}/{}", lease.run, job.seq)).collect();
    let more = if lease.jobs.len() > 3 { ", ..." } else { "" };
    StoreError::LeaseLapsed(format!("{}{more}", jobs.join(", ")))
}

pub(super) fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

/// Whether an attempt may have changed the user although it does not say so.
pub(super) fn may_have_applied(verdict: Verdict, calls: u32) -> bool {
    verdict == Verdict::Lost || (verdict == Verdict::Transient && calls > 0)
}

pub(super) fn read_leased(ask: &LeaseAsk, reply: reply::Reply) -> Result<Leased, StoreError> {
    let granted_at = Timestamp::from_millis(reply.code);
    let next_due = match reply.text(0)?.as_str() {
        "" => None,
        due => Some(
            due.parse().map(Timestamp::from_millis).map_err(|_| reply::odd("a time that is no number"))?,
        ),
    };
    let alone_waiting = reply.count(1)?;
    let hold = match reply.text(2)?.as_str() {
        "" => None,
        text => Some(status::hold(&ask.account, text)?),
    };
    let first = reply.count(3)?;
    let rest = reply.into_rest();
    let text = rest.get(4).map_or_else(|| Err(reply::odd("a short reply")), reply::str)?;
    let leases = if text.is_empty() { Vec::new() } else { read_leases(ask, granted_at, first, text)? };
    let protections = rest.get(5).map_or_else(|| Err(reply::odd("a short reply")), reply::int)?;
    let protections = u64::try_from(protections).map_err(|_| reply::odd("a negative version"))?;
    Ok(Leased { protections, leases, next_due, alone_waiting, hold })
}

/// Reads what was granted: lua/lease.lua says how it is written.
fn read_leases(
    ask: &LeaseAsk,
    granted_at: Timestamp,
    first: u64,
    text: &str,
) -> Result<Vec<Lease>, StoreError> {
    let mut parts = text.split(record::LS);
    let mut leases: Vec<Lease> = Vec::with_capacity(ask.leases.min(CHUNK));
    // Most leases of a reply are of one run.
    let mut last: Option<(&str, Head)> = None;
    while let Some(text) = parts.next() {
        let head = match &last {
            Some((known, head)) if *known == text => head.clone(),
            _ => Head::read(text)?,
        };
        last = Some((text, head.clone()));
        leases.push(read_lease(ask, granted_at, first + leases.len() as u64, head, &mut parts)?);
    }
    Ok(leases)
}

/// What a lease begins with.
#[derive(Clone)]
struct Head {
    run: RunId,
    priority: Priority,
    jobs: usize,
}

impl Head {
    fn read(text: &str) -> Result<Self, StoreError> {
        let mut fields = text.split(record::FS);
        let mut field = || fields.next().ok_or_else(|| reply::odd("a lease that is cut short"));
        let run = field()?.parse().map_err(|_| reply::odd("a run id that is none"))?;
        let rank: u8 = field()?.parse().map_err(|_| reply::odd("a rank that is no number"))?;
        let priority = Priority::ALL.into_iter().find(|priority| priority.rank() == rank);
        let jobs = field()?.parse().map_err(|_| reply::odd("a count that is no number"))?;
        Ok(Self { run, priority: priority.ok_or_else(|| reply::odd("a priority that there is not"))?, jobs })
    }
}

fn read_lease<'a>(
    ask: &LeaseAsk,
    granted_at: Timestamp,
    token: u64,
    head: Head,
    parts: &mut impl Iterator<Item = &'a str>,
) -> Result<Lease, StoreError> {
    let Head { run, priority, jobs: count } = head;
    let mut action = None;
    let mut leased = Vec::with_capacity(count.min(CHUNK));
    for _ in 0..count {
        let (seq, record, tries) = (parts.next(), parts.next(), parts.next());
        let (Some(seq), Some(record), Some(tries)) = (seq, record, tries) else {
            return Err(reply::odd("half a job"));
        };
        let seq: u64 = seq.parse().map_err(|_| reply::odd("a place that is no number"))?;
        let corrupt = |flaw| StoreError::Corrupt(format!("job {run}/{seq}"), flaw);
        let record = Record::cut(record);
        let request = record.request().map_err(corrupt)?;
        let (user, resolved_at) = record.change(&request).map_err(corrupt)?;
        let tries = record::decode_tries(tries).map_err(corrupt)?;
        action = Some(request.action);
        leased.push(LeasedJob {
            seq,
            request,
            user,
            resolved_at,
            attempt: tries.spent.saturating_add(1),
            may_have_applied: tries.maybe,
            deaths: tries.deaths,
            first_attempt_at: tries.first,
        });
    }
    Ok(Lease {
        token,
        account: ask.account.clone(),
        worker: ask.worker.clone(),
        run,
        priority,
        action: action.ok_or_else(|| reply::odd("a lease without jobs"))?,
        granted_at,
        ttl: ask.ttl,
        jobs: leased.into(),
    })
}
