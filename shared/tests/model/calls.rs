//! The calls that a script comes to, and how they are made on one store: its answers as texts that can be compared.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use usher_shared::{
    AccountName, Confirmation, Ending, Hold, JobReport, NewRun, Note, Priority, Protection, Request, RunId,
    Timestamp, WorkerId,
    audit::{AuditEvent, AuditHead},
    store::{
        Delivery, Lease, LeaseAsk, Message, Resolution, Seal, SharedStore, Steward, StoreError, Tried, UtcDay,
    },
};

/// One call of the trait. Leases and stewardships are named by the order in which they were granted, for their tokens are
/// each store's own.
#[derive(Clone, Debug)]
pub enum Call {
    OpenRun(NewRun),
    Append(RunId, u64, Vec<Request>),
    Seal(RunId, Seal),
    Submit(Box<(NewRun, Vec<Request>, Seal, AuditEvent)>),
    ClaimKey(AccountName, String, String, Duration),
    ReleaseKey(AccountName, String, String),
    Post(Vec<Message>),
    TakeDeliveries(String, WorkerId, usize, Duration),
    FinishDelivery(usize, Tried),
    Repost(String, String),
    Discard(RunId),
    ExpireOpenRuns,
    TakeSteward(RunId, WorkerId, Duration),
    RenewSteward(usize, Duration),
    Resolve(usize, Vec<(u64, Resolution)>),
    FinishResolving(usize),
    Admit(RunId),
    Promote(RunId, usize),
    Lease(LeaseAsk),
    Renew(usize, Duration),
    Finish(usize, Vec<JobReport>),
    Pause(RunId),
    Resume(RunId),
    Cancel(RunId, usize),
    End(RunId, Ending, usize),
    Note(RunId, Note),
    Confirm(RunId, Confirmation),
    Reserve(RunId, UtcDay, Vec<String>, u64),
    Unreserve(RunId, UtcDay),
    Reopen(RunId, Vec<u64>),
    /// Until nothing is left that ended before then.
    Prune(Timestamp),
    Protect(AccountName, Protection),
    Unprotect(AccountName, String),
    Tell(AuditEvent),
    SealAudit(Option<AuditHead>, Vec<String>),
    SetPriority(RunId, Priority),
    Hold(AccountName, Hold),
    Release(AccountName),
    /// Takes the seat after the process of the handle was started again.
    TakeSeat(WorkerId),
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&tidy(&format!("{self:?}")))
    }
}

/// The constructors' names and what they are given are as good as a sentence once the noise is out.
pub fn tidy(text: &str) -> String {
    let mut text = text.to_owned();
    for wrapped in ["RunId(\"", "AccountName(\"", "WorkerId(\"", "UserRef(\"", "Some(\""] {
        text = text.replace(wrapped, "");
    }
    text.replace("\")", "").replace("Timestamp", "")
}

/// A store that is played on, and what it has granted so far.
#[derive(Debug)]
pub struct Side {
    pub handles: Vec<SharedStore>,
    pub leases: Vec<Lease>,
    pub stewards: Vec<Steward>,
    pub deliveries: Vec<Delivery>,
    /// As the last ask for leases was told.
    pub next_due: Option<Timestamp>,
}

impl Side {
    pub fn new(handles: Vec<SharedStore>) -> Self {
        Self { handles, leases: Vec::new(), stewards: Vec::new(), deliveries: Vec::new(), next_due: None }
    }

    /// Makes a call through a handle; the answer, without what is each store's own.
    pub async fn make(&mut self, by: usize, call: &Call) -> String {
        let store = Arc::clone(&self.handles[by % self.handles.len()]);
        match call {
            Call::OpenRun(run) => said(store.open_run(run).await),
            Call::Append(run, first, requests) => said(store.append(run, *first, requests).await),
            Call::Seal(run, seal) => said(store.seal(run, seal).await),
            Call::Submit(whole) => {
                let (run, requests, seal, event) = &**whole;
                said(store.submit(run, requests, seal, event).await)
            }
            Call::ClaimKey(account, key, claimant, ttl) => {
                said(store.claim_key(account, key, claimant, *ttl).await)
            }
            Call::ReleaseKey(account, key, claimant) => said(store.release_key(account, key, claimant).await),
            Call::Post(messages) => said(store.post(messages).await),
            Call::TakeDeliveries(endpoint, worker, limit, ttl) => {
                let taken = store.take_deliveries(endpoint, worker, *limit, *ttl).await;
                said(taken.map(|taken| {
                    let told = format!("{:?}", taken.iter().map(|one| &one.posted).collect::<Vec<_>>());
                    self.deliveries.extend(taken);
                    told
                }))
            }
            Call::FinishDelivery(delivery, tried) => {
                let Delivery { posted, token } = &self.deliveries[*delivery];
                let again = Delivery { posted: posted.clone(), token: *token };
                said(store.finish_delivery(again, *tried, "503").await)
            }
            Call::Repost(endpoint, id) => said(store.repost(endpoint, id).await),
            Call::Discard(run) => said(store.discard(run).await),
            Call::ExpireOpenRuns => said(store.expire_open_runs().await),
            Call::TakeSteward(run, worker, ttl) => {
                let taken = store.take_steward(run, worker, *ttl).await;
                said(taken.map(|steward| steward.map(|steward| self.steward(steward))))
            }
            Call::RenewSteward(steward, ttl) => {
                said(store.renew_steward(&self.stewards[*steward], *ttl).await)
            }
            Call::Resolve(steward, resolved) => said(store.resolve(&self.stewards[*steward], resolved).await),
            Call::FinishResolving(steward) => {
                let Steward { run, token, worker } = &self.stewards[*steward];
                let again = Steward { run: run.clone(), token: *token, worker: worker.clone() };
                said(store.finish_resolving(again).await)
            }
            Call::Admit(run) => said(store.admit(run).await),
            Call::Promote(run, limit) => said(store.promote(run, *limit).await),
            Call::Lease(ask) => match store.lease(ask).await {
                Ok(leased) => {
                    let mut text = String::new();
                    for lease in leased.leases {
                        write!(text, "{:?}\n      ", Lease { token: 0, ..copy(&lease) }).unwrap();
                        self.leases.push(lease);
                    }
                    self.next_due = leased.next_due;
                    let (due, alone) = (leased.next_due, leased.alone_waiting);
                    let list = leased.protections;
                    write!(
                        text,
                        "next due {due:?}, {alone} to run alone, hold {:?}, list {list}",
                        leased.hold
                    )
                    .unwrap();
                    text
                }
                Err(error) => kind(&error),
            },
            Call::Renew(lease, ttl) => {
                let renewed = store.renew(&mut self.leases[*lease], *ttl).await;
                said(renewed.map(|()| self.leases[*lease].ttl))
            }
            Call::Finish(lease, reports) => {
                said(store.finish(copy(&self.leases[*lease]), reports.clone()).await)
            }
            Call::Pause(run) => said(store.pause(run).await),
            Call::Resume(run) => said(store.resume(run).await),
            Call::Cancel(run, limit) => said(store.cancel(run, *limit).await),
            Call::End(run, ending, limit) => said(store.end(run, ending, *limit).await),
            Call::Note(run, note) => said(store.note(run, note).await),
            Call::Confirm(run, confirmation) => said(store.confirm(run, confirmation).await),
            Call::Reserve(run, day, users, cap) => said(store.reserve(run, *day, users, *cap).await),
            Call::Unreserve(run, day) => said(store.unreserve(run, *day).await),
            Call::Reopen(run, seqs) => said(store.reopen(run, seqs).await),
            Call::Prune(ended_before) => {
                // Which of several that ended at one moment goes first is the store's choice.
                let mut gone = BTreeSet::new();
                loop {
                    match store.prune(*ended_before).await {
                        Ok(Some((run, whole))) => gone.extend(whole.then_some(run)),
                        Ok(None) => return format!("{gone:?}"),
                        Err(error) => return kind(&error),
                    }
                }
            }
            Call::Protect(account, entry) => said(store.protect(account, entry).await),
            Call::Unprotect(account, pattern) => said(store.unprotect(account, pattern).await),
            Call::Tell(event) => said(store.tell(event).await),
            Call::SealAudit(head, seals) => said(store.seal_audit(head.as_ref(), seals).await),
            Call::SetPriority(run, priority) => said(store.set_priority(run, *priority).await),
            Call::Hold(account, hold) => said(store.hold(account, hold).await),
            Call::Release(account) => said(store.release(account).await),
            Call::TakeSeat(worker) => said(store.take_seat(worker).await.map(drop)),
        }
    }

    /// The number of a stewardship, which stays where one's own is taken again.
    fn steward(&mut self, taken: Steward) -> String {
        let known = self.stewards.iter().position(|steward| *steward == taken);
        let number = known.unwrap_or_else(|| {
            self.stewards.push(taken);
            self.stewards.len() - 1
        });
        format!("stewardship {number}")
    }
}

/// The same right once more: what a client sends again after a lost reply.
fn copy(lease: &Lease) -> Lease {
    Lease {
        token: lease.token,
        account: lease.account.clone(),
        worker: lease.worker.clone(),
        run: lease.run.clone(),
        priority: lease.priority,
        action: lease.action,
        granted_at: lease.granted_at,
        ttl: lease.ttl,
        jobs: Arc::clone(&lease.jobs),
    }
}

fn said<T: fmt::Debug>(answer: Result<T, StoreError>) -> String {
    answer.map_or_else(|error| kind(&error), |value| format!("{value:?}"))
}

/// Which error it is, with what it names; not its words.
fn kind(error: &StoreError) -> String {
    match error {
        StoreError::WrongPhase { run, phase, .. } => format!("refused: {run} is {phase}"),
        StoreError::LeaseLapsed(_) => "refused: the lease has lapsed".into(),
        other => format!("refused: {other}"),
    }
}
