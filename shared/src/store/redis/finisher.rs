//! Finishes of one account, sent together: while one call is out, those that come meanwhile wait and go as the next; one
//! that comes alone goes at once. What leases have in common is read and written once a call; each is still finished
//! whole or not at all, and answered on its own.

use std::{fmt::Write as _, sync::Arc};

use redis::{RedisError, RedisResult, Value};
use tokio::sync::{mpsc, oneshot};

use super::{Core, record, script, working::may_have_applied};
use crate::{
    AccountName, JobReport, Then, WorkerId,
    store::{CHUNK, Lease, StoreError},
};

/// The most leases in one call: about 6 us each.
const TOGETHER: usize = 200;

/// What a lease's holder reports, written as the script wants it.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// The lease as it stands in the store.
    member: String,
    /// Whether an earlier sending may have gone through.
    pub again: bool,
    jobs: usize,
    arguments: Vec<JobArguments>,
}

/// One job's arguments, in the order of lua/finish.lua.
#[derive(Clone, Debug)]
struct JobArguments {
    packed: [u8; PACKED],
    text: String,
}

/// Kind, whether there is an attempt, whether it may have reached the vendor; place; due, begin, end; calls, 429s. All
/// little-endian.
const PACKED: usize = 3 + 4 + 3 * 8 + 2 * 4;

impl Report {
    /// Writes the reports down. The lease gives no right to a job that it does not hold, nor to decide on one twice.
    pub(super) fn of(lease: &Lease, reports: &[JobReport]) -> Result<Self, StoreError> {
        for (i, report) in reports.iter().enumerate() {
            let held = lease.jobs.iter().any(|job| job.seq == report.seq);
            if !held || reports[..i].iter().any(|earlier| earlier.seq == report.seq) {
                return Err(StoreError::LeaseLapsed(format!("job {}/{}", lease.run, report.seq)));
            }
        }
        Ok(Self {
            member: member(lease),
            again: false,
            jobs: lease.jobs.len(),
            arguments: reports
                .iter()
                .map(|report| JobArguments::of(report, &lease.worker))
                .collect::<Result<_, _>>()?,
        })
    }

    fn write(&self, call: &mut redis::Cmd) {
        let [low, high] = u16::try_from(self.arguments.len()).unwrap_or(u16::MAX).to_le_bytes();
        call.arg(&self.member).arg(&[u8::from(self.again), low, high][..]);
        for job in &self.arguments {
            call.arg(&job.packed[..]).arg(&job.text);
        }
    }
}

impl JobArguments {
    fn of(report: &JobReport, worker: &WorkerId) -> Result<Self, StoreError> {
        let mut text = String::with_capacity(80);
        let (kind, due) = match &report.then {
            Then::Finish { outcome, code, message } => {
                record::write_head(*outcome, code.as_deref(), message.as_deref(), &mut text);
                (0, 0)
            }
            Then::Retry { at } => (1, at.as_millis()),
            Then::Snooze { until, .. } => (2, until.as_millis()),
        };
        if let Some(attempt) = &report.attempt {
            if kind == 0 {
                text.push(record::FS);
            }
            record::write_attempt(attempt, &mut text);
        } else if kind == 0 {
            text.push(record::FS);
            text.push(record::FS);
            record::write_worker(worker, &mut text);
        }
        let seq = u32::try_from(report.seq)
            .map_err(|_| StoreError::Corrupt(format!("job {}", report.seq), "no run is so long".into()))?;
        Ok(Self { packed: pack(kind, seq, due, report), text })
    }
}

fn pack(kind: u8, seq: u32, due: i64, report: &JobReport) -> [u8; PACKED] {
    let mut packed = [0; PACKED];
    packed[0] = kind;
    packed[3..7].copy_from_slice(&seq.to_le_bytes());
    packed[7..15].copy_from_slice(&due.to_le_bytes());
    if let Some(attempt) = &report.attempt {
        packed[1] = 1;
        packed[2] = u8::from(may_have_applied(attempt.verdict, attempt.calls));
        packed[15..23].copy_from_slice(&attempt.began_at.as_millis().to_le_bytes());
        packed[23..31].copy_from_slice(&attempt.ended_at.as_millis().to_le_bytes());
        packed[31..35].copy_from_slice(&attempt.calls.to_le_bytes());
    }
    packed[35..].copy_from_slice(&report.throttled.to_le_bytes());
    packed
}

/// A lease as it stands in the store, and is named there: lua/lib_jobs.lua.
pub(super) fn member(lease: &Lease) -> String {
    let mut to = String::with_capacity(80);
    to.push_str(lease.run.as_str());
    for (i, job) in lease.jobs.iter().enumerate() {
        // Writing to a String can't fail.
        let _ = write!(to, "{}{}", if i == 0 { record::FS } else { ',' }, job.seq);
    }
    let (fs, began) = (record::FS, lease.granted_at.as_millis());
    let _ = write!(to, "{fs}{}{fs}{began}{fs}", lease.token);
    record::write_worker(&lease.worker, &mut to);
    to
}

/// What became of a finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// It is written.
    Written,
    /// The lease had lapsed; nothing was written.
    Lapsed,
}

struct Waiting {
    report: Report,
    answer: oneshot::Sender<RedisResult<Finished>>,
}

/// Where an account's finishes go. Its task ends with the last clone.
#[derive(Clone)]
pub(super) struct Finisher(mpsc::UnboundedSender<Waiting>);

impl Finisher {
    pub(super) fn start(core: Arc<Core>, account: AccountName) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(send_together(core, account, receiver));
        Self(sender)
    }

    pub(super) async fn send(&self, report: Report) -> RedisResult<Finished> {
        let (answer, answered) = oneshot::channel();
        let gone = || RedisError::from((redis::ErrorKind::Io, "the runtime that sent finishes has ended"));
        self.0.send(Waiting { report, answer }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

async fn send_together(core: Arc<Core>, account: AccountName, mut queue: mpsc::UnboundedReceiver<Waiting>) {
    let mut waiting = Vec::with_capacity(TOGETHER);
    while queue.recv_many(&mut waiting, TOGETHER).await > 0 {
        while !waiting.is_empty() {
            let mut jobs = 0;
            let together = waiting.iter().take_while(|one| {
                jobs += one.report.jobs;
                jobs <= CHUNK
            });
            let together = together.count().max(1);
            let batch: Vec<Waiting> = waiting.drain(..together).collect();
            let mut call = core.call(script::FINISH, &account);
            for one in &batch {
                one.report.write(&mut call);
            }
            answer(batch, script::FINISH.send(&core.link, &call).await);
        }
    }
}

/// Tells each who waits what became of its own; who no longer waits is not told.
fn answer(batch: Vec<Waiting>, reply: RedisResult<Value>) {
    let codes = match reply {
        Ok(Value::Array(codes)) if codes.len() == batch.len() => Ok(codes),
        Ok(_) => {
            Err(RedisError::from((redis::ErrorKind::UnexpectedReturnType, "a finish answered with no codes")))
        }
        Err(error) => Err(error),
    };
    for (i, one) in batch.into_iter().enumerate() {
        let finished = match &codes {
            Ok(codes) => Ok(if codes[i] == Value::Int(0) { Finished::Written } else { Finished::Lapsed }),
            Err(error) => Err(error.clone()),
        };
        drop(one.answer.send(finished));
    }
}
