//! Plays a script on a store and on the model, and compares after each step.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use usher_shared::{
    AccountName, Clock, Hold, HoldReason, ManualClock, Request, RunId, Timestamp, WorkerId,
    store::{LeaseAsk, SharedStore},
};

use super::{
    calls::{Call, Side, tidy},
    ops::{CLIENTS, Found, Moment, Op, Step},
    seen::Seen,
};

/// Ends before the hour in which what is known of a run grows stale.
const LONGEST: Duration = Duration::from_secs(55 * 60);

/// The store that is tried out.
pub trait World {
    /// A handle of its own, as another process would have it.
    fn handle(&self) -> impl Future<Output = SharedStore>;
}

/// A run as the player remembers it, to know what to say of it next.
pub(super) struct Draft {
    pub(super) id: RunId,
    pub(super) account: AccountName,
    pub(super) requests: BTreeMap<u64, Request>,
    pub(super) users: BTreeMap<u64, u8>,
}

/// Plays scripts, one store each.
pub struct Player<'w, W> {
    world: &'w W,
    pub(super) clock: Arc<ManualClock>,
    began: Timestamp,
    store: Side,
    pub(super) model: Side,
    pub(super) runs: Vec<Draft>,
    /// Stewardships granted, by the run they are of.
    pub(super) stewards: Vec<RunId>,
    /// Leases that have been granted and neither finished nor lost with their client.
    live: Vec<usize>,
    /// What was done so far, for people.
    told: String,
    pub(super) reached: Reached,
}

/// How often scripts came to what they are to come to: a comparison of stores that do nothing would prove nothing.
#[derive(Clone, Debug, Default)]
pub struct Reached(pub BTreeMap<String, u64>);

impl Reached {
    pub(super) fn count(&mut self, what: impl Into<String>, times: u64) {
        *self.0.entry(what.into()).or_default() += times;
    }

    pub fn add(&mut self, other: Self) {
        other.0.into_iter().for_each(|(what, times)| self.count(what, times));
    }
}

fn accounts() -> [AccountName; 2] {
    ["main".parse().unwrap(), "branch".parse().unwrap()]
}

pub(super) fn account(branch: bool) -> AccountName {
    accounts()[usize::from(branch)].clone()
}

pub(super) fn tenths(count: impl Into<u64>) -> Duration {
    Duration::from_millis(count.into() * 100)
}

pub(super) fn worker(client: u8) -> WorkerId {
    WorkerId::new(&format!("w{}", usize::from(client) % CLIENTS))
}

impl<'w, W: World> Player<'w, W> {
    pub async fn new(world: &'w W, clock: Arc<ManualClock>, model: SharedStore) -> Self {
        let mut handles = Vec::new();
        for _ in 0..CLIENTS {
            handles.push(world.handle().await);
        }
        Self {
            world,
            began: clock.now(),
            clock,
            store: Side::new(handles),
            model: Side::new(vec![model]),
            runs: Vec::new(),
            stewards: Vec::new(),
            live: Vec::new(),
            told: String::new(),
            reached: Reached::default(),
        }
    }

    /// Plays it to its end, or to where the two differ: then what was done, and the difference.
    pub async fn play(mut self, script: &[Step]) -> Result<Reached, String> {
        for step in script {
            for call in self.calls_of(step).await {
                for _ in 0..=u8::from(step.twice) {
                    self.make(usize::from(step.by), &call).await?;
                }
            }
            self.look().await?;
        }
        self.count_ends().await;
        Ok(self.reached)
    }

    /// Counts what became of the jobs.
    async fn count_ends(&mut self) {
        for status in self.model.handles[0].runs(None, 1_000).await.unwrap() {
            for (outcome, times) in status.counters.outcomes {
                self.reached.count(outcome.as_str(), times);
            }
            self.reached.count("lost", status.effort.lost);
            self.reached.count("retries", status.effort.retries);
            self.reached.count(status.phase.as_str(), 1);
        }
        for lease in &self.model.leases {
            self.reached.count("leases", 1);
            self.reached.count("leases of several", u64::from(lease.jobs.len() > 1));
            self.reached.count("run alone", u64::from(lease.jobs[0].deaths > 1));
            self.reached.count("may have applied", u64::from(lease.jobs[0].may_have_applied));
        }
    }

    async fn make(&mut self, by: usize, call: &Call) -> Result<String, String> {
        self.reached.count("calls", 1);
        let before = (self.store.leases.len(), self.store.stewards.len());
        let answer = self.store.make(by, call).await;
        let expected = self.model.make(by, call).await;
        let at = self.clock.now().since(self.began).as_millis();
        writeln!(self.told, "{at:>6} ms  {call}\n      {}", tidy(&expected)).unwrap();
        if answer != expected {
            return Err(format!("{}  the store answers otherwise:\n      {}\n", self.told, tidy(&answer)));
        }
        self.reached.count("refusals", u64::from(answer.starts_with("refused")));
        self.count_operating(call, &answer);
        self.count_serving(call, &answer);
        self.live.extend(before.0..self.store.leases.len());
        let new = self.store.stewards[before.1..].iter().map(|steward| steward.run.clone());
        self.stewards.extend(new);
        if let Call::Finish(lease, _) = call {
            self.live.retain(|live| live != lease);
        }
        Ok(answer)
    }

    async fn look(&mut self) -> Result<(), String> {
        let accounts = accounts();
        let places =
            self.runs.iter().filter_map(|run| run.requests.keys().max()).max().map_or(0, |last| last + 1);
        let looks = [&self.store.handles[0], &self.model.handles[0]];
        let (store, model) =
            (Seen::of(&**looks[0], &accounts, places).await, Seen::of(&**looks[1], &accounts, places).await?);
        let difference = match store {
            Ok(store) => Seen::difference(&store, &model),
            Err(refused) => Some(refused),
        };
        difference
            .map_or(Ok(()), |difference| Err(format!("{}  then they differ in {difference}\n", self.told)))
    }

    pub(super) fn run(&self, number: u8) -> Option<&Draft> {
        (!self.runs.is_empty()).then(|| &self.runs[usize::from(number) % self.runs.len()])
    }

    pub(super) fn draft(&self, run: &RunId) -> &Draft {
        self.runs.iter().find(|draft| draft.id == *run).unwrap()
    }

    pub(super) fn id(&self, number: u8) -> Option<RunId> {
        self.run(number).map(|run| run.id.clone())
    }

    /// A lease that is worked on, or one that has ended.
    fn lease(&self, number: u8, ended: bool) -> Option<usize> {
        let ended: Vec<usize> = if ended {
            (0..self.model.leases.len()).filter(|lease| !self.live.contains(lease)).collect()
        } else {
            self.live.clone()
        };
        (!ended.is_empty()).then(|| ended[usize::from(number) % ended.len()])
    }

    fn steward(&self, number: u8) -> Option<usize> {
        (!self.stewards.is_empty()).then(|| usize::from(number) % self.stewards.len())
    }

    /// The calls that an operation comes to; none where there is nothing that it could be about.
    async fn calls_of(&mut self, step: &Step) -> Vec<Call> {
        let now = self.clock.now();
        let call = match step.op.clone() {
            Op::Open { branch, priority } => Some(self.open(branch, priority)),
            Op::Append { run, first, wishes } => self.append(run, u64::from(first), &wishes),
            Op::Seal { run, key, digest, again, miscount } => self.seal(run, key, digest, again, miscount),
            Op::Discard { run } => self.id(run).map(Call::Discard),
            Op::Expire => Some(Call::ExpireOpenRuns),
            Op::Submit { branch, priority, key, wishes } => {
                return self.submit(branch, priority, key, &wishes);
            }
            Op::Queue { branch, priority, wishes, found } => {
                return self.queue(branch, priority, &wishes, &found);
            }
            Op::Plan { branch, priority, wishes, found } => {
                return self.resolved(branch, priority, &wishes, &found);
            }
            Op::TakeSteward { run, client, tenths: ttl } => {
                self.id(run).map(|run| Call::TakeSteward(run, worker(client), tenths(ttl)))
            }
            Op::RenewSteward { steward, tenths: ttl } => {
                self.steward(steward).map(|steward| Call::RenewSteward(steward, tenths(ttl)))
            }
            Op::Resolve { steward, from, found } => self.steward(steward).map(|steward| {
                let places = (u64::from(from)..).zip(found);
                Call::Resolve(steward, self.resolutions(&self.stewards[steward], places))
            }),
            Op::ResolveRest { steward } => self.steward(steward).map(|steward| {
                let run = &self.stewards[steward];
                let draft = self.runs.iter().find(|draft| draft.id == *run).unwrap();
                let places: Vec<_> = draft.requests.keys().map(|seq| (*seq, Found::User)).collect();
                Call::Resolve(steward, self.resolutions(run, places))
            }),
            Op::FinishResolving { steward } => self.steward(steward).map(Call::FinishResolving),
            Op::Admit { run } => self.id(run).map(Call::Admit),
            Op::Promote { run, limit } => self.id(run).map(|run| Call::Promote(run, limit.into())),
            Op::Lease { branch, client, leases, batch, tenths: ttl, only, urgent, idle } => {
                Some(Call::Lease(LeaseAsk {
                    account: account(branch),
                    worker: worker(client),
                    leases: leases.into(),
                    batch: batch.into(),
                    ttl: tenths(ttl),
                    only_run: only.and_then(|only| self.id(only)),
                    urgent_only: urgent,
                    idle,
                }))
            }
            Op::Renew { lease, ended, tenths: ttl } => {
                self.lease(lease, ended).map(|lease| Call::Renew(lease, tenths(ttl)))
            }
            Op::Finish { lease, ended, told, foreign, double } => self
                .lease(lease, ended)
                .map(|lease| Call::Finish(lease, self.reports(lease, &told, foreign, double))),
            Op::Pause { run } => self.id(run).map(Call::Pause),
            Op::Resume { run } => self.id(run).map(Call::Resume),
            Op::Cancel { run, limit } => self.id(run).map(|run| Call::Cancel(run, limit.into())),
            op @ (Op::End { .. }
            | Op::Note { .. }
            | Op::Confirm { .. }
            | Op::GoOn { .. }
            | Op::Reserve { .. }
            | Op::Unreserve { .. }
            | Op::Reopen { .. }
            | Op::Retry { .. }
            | Op::Prune { .. }
            | Op::Protect { .. }
            | Op::Unprotect { .. }
            | Op::Tell { .. }
            | Op::SealAudit { .. }) => return self.operating(op).await,
            op @ (Op::SubmitWhole { .. }
            | Op::ClaimKey { .. }
            | Op::ReleaseKey { .. }
            | Op::Post { .. }
            | Op::TakeDeliveries { .. }
            | Op::FinishDelivery { .. }
            | Op::Repost { .. }) => return self.serving(op),
            Op::SetPriority { run, priority } => self.id(run).map(|run| Call::SetPriority(run, priority)),
            Op::Hold { branch, tenths: ends } => {
                let until = ends.map(|ends| now.after(tenths(ends)));
                let message = "502 again and again".to_owned();
                let hold = Hold { reason: HoldReason::Breaker, message, since: now, until };
                Some(Call::Hold(account(branch), hold))
            }
            Op::Release { branch } => Some(Call::Release(account(branch))),
            Op::Pass { to, off } => {
                self.pass(to, off);
                None
            }
            Op::Crash { client } => Some(self.crash(client).await),
        };
        call.into_iter().collect()
    }

    fn pass(&mut self, to: Moment, off: i8) {
        let now = self.clock.now();
        let moment = match to {
            Moment::Later(count) => Some(now.after(tenths(count))),
            Moment::Due => self.model.next_due,
            Moment::Lapse(number) => self.lease(number, false).map(|lease| {
                let lease = &self.model.leases[lease];
                lease.granted_at.after(lease.ttl)
            }),
        };
        let Some(moment) = moment else { return };
        let moment = Timestamp::from_millis(moment.as_millis() + i64::from(off));
        if moment.since(self.began) < LONGEST {
            self.clock.advance(moment.since(now));
            let at = self.clock.now().since(self.began).as_millis();
            writeln!(self.told, "{at:>6} ms  it is now").unwrap();
        }
    }

    /// The client's handle goes with its process, and the next process has one of its own.
    async fn crash(&mut self, client: u8) -> Call {
        let number = usize::from(client) % CLIENTS;
        let gone = worker(client);
        self.live.retain(|lease| self.model.leases[*lease].worker != gone);
        let handle = self.world.handle().await;
        drop(std::mem::replace(&mut self.store.handles[number], handle));
        writeln!(self.told, "           {gone} is killed, and starts again").unwrap();
        Call::TakeSeat(gone)
    }
}
