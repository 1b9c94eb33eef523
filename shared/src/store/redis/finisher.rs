//! Finishes of one account, sent together: while one call is out, those that come meanwhile wait and go as the next.
//! Each lease is still finished in one atomic step of its own.

use std::{collections::HashSet, sync::Arc};

use redis::{RedisError, RedisResult, Value};
use tokio::sync::{mpsc, oneshot};

use super::{Core, record, script, working::may_have_applied};
use crate::{
    AccountName, Attempt, JobReport, Then,
    store::{CHUNK, Lease, StoreError},
};

/// The most leases in one call.
const TOGETHER: usize = 100;

/// What a lease's holder reports, written as the script wants it.
#[derive(Clone, Debug)]
pub(super) struct Report {
    token: u64,
    run: String,
    /// Whether an earlier sending may have gone through.
    pub again: bool,
    jobs: usize,
    arguments: Vec<JobArguments>,
}

/// One job's arguments, in the order of lua/finish.lua.
#[derive(Clone, Debug)]
struct JobArguments {
    seq: u64,
    kind: &'static str,
    head: String,
    attempt: String,
    /// Begin, end, calls, 429s, whether it may have reached the vendor; little-endian.
    numbers: [u8; 25],
}

impl Report {
    /// Writes the reports down; one for a job that the lease does not hold, or two for one, are a caller's mistake.
    pub(super) fn of(lease: &Lease, reports: &[JobReport]) -> Result<Self, StoreError> {
        let mut open: HashSet<u64> = lease.jobs.iter().map(|job| job.seq).collect();
        for report in reports {
            if !open.remove(&report.seq) {
                let job = format!("job {}/{}", lease.run, report.seq);
                return Err(StoreError::Corrupt(job, "it is reported twice, or not of this lease".into()));
            }
        }
        Ok(Self {
            token: lease.token,
            run: lease.run.as_str().to_owned(),
            again: false,
            jobs: lease.jobs.len(),
            arguments: reports.iter().map(JobArguments::of).collect(),
        })
    }

    fn write(&self, call: &mut redis::Cmd) {
        call.arg(self.token).arg(&self.run).arg(u8::from(self.again)).arg(self.arguments.len());
        for job in &self.arguments {
            call.arg(job.seq).arg(job.kind).arg(&job.head).arg(&job.attempt).arg(&job.numbers[..]);
        }
    }
}

impl JobArguments {
    fn of(report: &JobReport) -> Self {
        let (kind, head) = match &report.then {
            Then::Finish { outcome, code, message } => {
                ("F", record::encode_head(*outcome, code.as_deref(), message.as_deref()))
            }
            Then::Retry { at } => ("R", at.as_millis().to_string()),
            Then::Snooze { until, .. } => ("S", until.as_millis().to_string()),
        };
        let attempt = report.attempt.as_ref();
        Self {
            seq: report.seq,
            kind,
            head,
            attempt: attempt.map_or_else(String::new, record::encode_attempt),
            numbers: pack(attempt, report.throttled),
        }
    }
}

fn pack(attempt: Option<&Attempt>, throttled: u32) -> [u8; 25] {
    let mut packed = [0; 25];
    if let Some(attempt) = attempt {
        packed[..8].copy_from_slice(&attempt.began_at.as_millis().to_le_bytes());
        packed[8..16].copy_from_slice(&attempt.ended_at.as_millis().to_le_bytes());
        packed[16..20].copy_from_slice(&attempt.calls.to_le_bytes());
        packed[24] = u8::from(may_have_applied(attempt.verdict, attempt.calls));
    }
    packed[20..24].copy_from_slice(&throttled.to_le_bytes());
    packed
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
