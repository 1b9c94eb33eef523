//! Queue and ledger in one: runs, jobs, leases, attempts, outcomes.
//!
//! [`Store`] is one trait with two implementations held to one conformance suite: [`sqlite`] (embedded, no server)
//! and [`redis`] (for services and several machines). What it promises, whatever dies when:
//!
//! 1. A run is invisible until it is sealed; sealing is O(1); appending is chunked and idempotent; what was never
//!    sealed expires.
//! 2. Every job ends in exactly one outcome; `finish` is one atomic step.
//! 3. A worker that dies loses nothing: its leases lapse and the jobs run again, the attempt recorded as lost. A write
//!    with a lapsed lease is refused.
//! 4. Never two jobs on one user of one account in flight at once. Per user the newest run wins.
//! 5. Waiting is not failing: a retry spends an attempt, a snooze spends none.
//! 6. A job that was held at two deaths of a worker is leased alone from then on.
//! 7. The counters of a run always add up to its total.
//! 8. Urgent before normal before bulk, older run first, file order within; a pause or cancel takes effect at the
//!    next lease.
//! 9. Leasing is by need: never more than was asked for. What is long goes in chunks.
//! 10. Nothing is leased of a run that stood still for more than [`STANDS_STILL`] until its users are resolved again.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod finding;
mod lease;
#[cfg(feature = "conformance")]
pub mod memory;
mod outbox;
pub mod redis;
mod reserved;
pub mod sqlite;
mod submission;
mod token;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    AccountName, Attempt, Confirmation, Drawn, Ending, Hold, JobReport, NewRun, Note, OutcomeRow, Priority,
    Protection, Protections, Pulse, QuotaWindow, Request, RunId, RunStatus, Timestamp, WorkerId,
    audit::{AuditEntry, AuditEvent, AuditHead},
    plan::Planned,
};

pub use error::StoreError;
pub use finding::{Durability, Finding, Standing};
pub use lease::{Lease, LeaseAsk, Leased, LeasedJob, Remaining, Resolution, Seat, Steward};
pub use outbox::{Delivery, DeliveryState, MESSAGE_REMEMBERED, Message, Outbox, Posted, Tried};
pub use reserved::{RESERVING, Reserved, UtcDay};
pub use submission::{Idempotency, KeyClaim, Seal, Sealed};
pub use token::{Refresh, RefreshClaim, ShelvedToken};

/// How long what a run's users were resolved to is relied on while nothing of the run is leased. A run that stood still
/// for longer (paused, parked for a day's quota, halted by a hold, behind other runs, without a worker) is resolved again
/// before it goes on: whoever has become an admin or protected, or is gone, meanwhile is not touched by old knowledge.
pub const STANDS_STILL: Duration = Duration::from_secs(60 * 60);

/// How long a run that was opened and never sealed is kept after its last append.
pub const OPEN_RUN_EXPIRES: Duration = Duration::from_secs(60 * 60);

/// The most jobs one call may append, resolve, promote or sweep: what keeps every step within a few milliseconds.
pub const CHUNK: usize = 500;

/// While urgent jobs are due and others are, too, every so manieth lease goes to the others.
pub const SHARE_OF_OTHERS: u64 = 10;

/// How long a worker's [`Pulse`] is kept.
pub const PULSE_LASTS: Duration = Duration::from_secs(5);

/// Queue and ledger in one. Every method is safe to call again after an error that [`StoreError::is_retryable`].
#[async_trait]
pub trait Store: Outbox + fmt::Debug + Send + Sync + 'static {
    // -- putting work in -------------------------------------------------------------------------------------------

    /// Opens a run. [`StoreError::IdTaken`] where the id is in use: choose another.
    async fn open_run(&self, run: &NewRun) -> Result<(), StoreError>;

    /// Adds requests at places `first_seq..`, at most [`CHUNK`]. Doing it again with the same places changes nothing. None
    /// at all only says that the producer is still there.
    async fn append(&self, run: &RunId, first_seq: u64, requests: &[Request]) -> Result<(), StoreError>;

    /// Makes the run visible, in one step whatever its size. A run that is already sealed answers `New` again for the
    /// same seal (total, actions, key and digest), one that was discarded for another run names that run again. A total of 0
    /// or a wrong one is refused before the key is looked at. [`StoreError::Conflict`] where the key stands for other content.
    async fn seal(&self, run: &RunId, seal: &Seal) -> Result<Sealed, StoreError>;

    /// Submits a small run, of at most [`CHUNK`] requests, in one go: opens, fills and seals it, told to the audit in the same step
    /// or before. Where the key stands for the same content already, that run is the answer, and nothing is told unless two
    /// came at once. Asked again for the same run after an answer that was lost, it answers `New` again. Nothing of it is
    /// seen until all of it is. Errors as of [`Store::open_run`] and [`Store::seal`]; after one, nothing of it becomes a run.
    async fn submit(
        &self,
        run: &NewRun,
        requests: &[Request],
        seal: &Seal,
        event: &AuditEvent,
    ) -> Result<Sealed, StoreError>;

    /// Takes an idempotency key upon oneself while a submission under it is on its way, for `ttl`, so that a second one hears
    /// of it at once and not only at its seal. `claimant` names the submission; taking one's own again renews it. A claim
    /// keeps nobody from sealing: it is a courtesy, and what binds a key is [`Store::seal`].
    async fn claim_key(
        &self,
        account: &AccountName,
        key: &str,
        claimant: &str,
        ttl: Duration,
    ) -> Result<KeyClaim, StoreError>;

    /// Gives a claim up, where it is still this claimant's; else nothing is changed.
    async fn release_key(&self, account: &AccountName, key: &str, claimant: &str) -> Result<(), StoreError>;

    /// Forgets a run that is still open.
    async fn discard(&self, run: &RunId) -> Result<(), StoreError>;

    /// Forgets open runs that nobody appended to for [`OPEN_RUN_EXPIRES`]; returns how many.
    async fn expire_open_runs(&self) -> Result<u64, StoreError>;

    // -- from sealed to worked -------------------------------------------------------------------------------------

    /// Takes the resolving of a sealed run upon oneself, for `ttl`; or of one that was resolved and stood still since
    /// ([`RunStatus::stood_still`]), which is resolved again. `None` where another worker has it, or the run is in
    /// another phase, or is paused or cancelled, or stood still but has a job in flight. Taking one's own again renews it.
    async fn take_steward(
        &self,
        run: &RunId,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<Option<Steward>, StoreError>;

    /// Renews a stewardship; [`StoreError::LeaseLapsed`] where it had ended.
    async fn renew_steward(&self, steward: &Steward, ttl: Duration) -> Result<(), StoreError>;

    /// The run's requests at places `from_seq..`, in file order, at most `limit`. Any phase after open.
    async fn requests(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Request)>, StoreError>;

    /// The run's jobs that are still to be carried out, from place `from_seq` on, in file order, at most `limit`: those
    /// resolved to a user to be changed that have no outcome. What is in flight may be among them. Any phase after open.
    async fn remaining(&self, run: &RunId, from_seq: u64, limit: usize)
    -> Result<Vec<Remaining>, StoreError>;

    /// Records what requests resolved to, at most [`CHUNK`]. Again for the same place: the later one counts.
    /// A [`Resolution::Duplicate`] leaves the run's total. [`StoreError::LeaseLapsed`] without the stewardship;
    /// [`StoreError::WrongPhase`] where there is no request at a place, and nothing is recorded then. That no two requests of
    /// a run are changes of one user is the steward's duty: the store only keeps them from being in flight at once.
    /// In a run that was opened again ([`Store::reopen`]), what is said of a job that has its outcome is passed over.
    ///
    /// In a run that is resolved again: a user to be changed takes the place of the one that was kept, but for
    /// [`ResolvedUser::before`](crate::ResolvedUser) where an earlier attempt may have applied: that stays what was
    /// there before our own doing. A settled job that is in the queue leaves it with its outcome, its claim on its user
    /// taken back, in the same step; one that is not yet there gets its outcome at promotion. Jobs that are in flight,
    /// finished, or were settled before stay as they are. A duplicate is refused: the run's users are known apart.
    async fn resolve(&self, steward: &Steward, resolved: &[(u64, Resolution)]) -> Result<(), StoreError>;

    /// Moves the run from sealed to resolved, ending the stewardship; one that was resolved again stays in its phase and
    /// goes on. Refused while a request has no resolution. Asked again by the steward who did it, it is done.
    async fn finish_resolving(&self, steward: Steward) -> Result<(), StoreError>;

    /// What the run's requests came to, from place `from_seq` on, in file order, at most `limit`: those that are resolved,
    /// duplicates included. A page that is shorter than `limit` is the last. Any phase after open; once the run is admitted
    /// or being ended, what was settled may be told with the outcome that its job got.
    async fn planned(&self, run: &RunId, from_seq: u64, limit: usize) -> Result<Vec<Planned>, StoreError>;

    /// Writes a note on a run that is not over, in place of the one of its kind.
    async fn note(&self, run: &RunId, note: &Note) -> Result<(), StoreError>;

    /// A person lets a resolved run go on: noted, the run numbered anew, so that it wins over whatever was sealed before, and
    /// its users as if it had stood still, so that they are resolved again before it is admitted; a resolving that is under
    /// way ends, because it began before. The same again changes nothing, whatever has become of the run. [`StoreError::WrongPhase`] where the run is not resolved, or is being cancelled; or is no plan that could be
    /// applied.
    async fn confirm(&self, run: &RunId, confirmation: &Confirmation) -> Result<(), StoreError>;

    /// Counts users (by [`ResolvedUser::key`](crate::ResolvedUser::key), at most [`CHUNK`]) towards the account's cap of a
    /// day on behalf of a resolved run, in one step: all of them or, where more than `cap` distinct users of the day would
    /// be counted, none. Who is counted already, by whatever run, is not counted again, and stays counted for as long as one
    /// of the runs that counted it has not taken it back. One run of an account counts at a time, until it is admitted, is
    /// over, counts no more for [`RESERVING`] or has taken all back: so that two runs that would both fit alone do not refuse
    /// each other. Days long past may be forgotten. [`StoreError::WrongPhase`] where the run is not resolved, or is being
    /// cancelled.
    async fn reserve(
        &self,
        run: &RunId,
        day: UtcDay,
        users: &[String],
        cap: u64,
    ) -> Result<Reserved, StoreError>;

    /// Takes back what was counted on behalf of a run, at most [`CHUNK`] users a call; returns how many are left.
    async fn unreserve(&self, run: &RunId, day: UtcDay) -> Result<u64, StoreError>;

    /// Lets a resolved run begin: from here on it wins over runs that were sealed earlier, user by user as
    /// [`Store::promote`] comes to them, and yields to those sealed later, in whatever order they are admitted: a large run
    /// takes longer to resolve than the urgent one that was submitted after it. Returns its number, which the seal gave it,
    /// again where it was admitted before, until it is over as cancelled. One whose requests were all left out as duplicates
    /// is over with it. Refused while it has stood still.
    async fn admit(&self, run: &RunId) -> Result<u64, StoreError>;

    /// Puts the next `limit` (at most [`CHUNK`]) pending jobs of an admitted run into the queue in file order, each as
    /// its run's claim on its user; those that resolved to an outcome get it now. Returns how many are still pending.
    /// Refused while the run has stood still.
    async fn promote(&self, run: &RunId, limit: usize) -> Result<u64, StoreError>;

    // -- working ---------------------------------------------------------------------------------------------------

    /// Takes the right to work from this store: the embedded store has one seat, Redis any number.
    /// Where there is one seat, its new holder reclaims what the last one left leased, as lost attempts.
    /// [`StoreError::SeatTaken`] where another process has it.
    async fn take_seat(&self, worker: &WorkerId) -> Result<Seat, StoreError>;

    /// Leases due jobs: lapsed leases are reclaimed first, then jobs come by priority, age of their run, and file order.
    /// A job whose user has another job in flight waits a moment (200 ms, or until that user is free where the store can
    /// tell); one whose user a newer run has claimed is finished as superseded, its code the newer run's id. Jobs of one
    /// [`Lease`] are of one run and one action. Nothing is leased of a run that stood still.
    ///
    /// While urgent jobs are due and others are, too, one lease in ten goes to the others ([`SHARE_OF_OTHERS`]): counted
    /// over the whole fleet, to normal and to bulk work in turn where both wait. Others that were leased while nothing urgent
    /// was due have had theirs. A job that must run alone comes before other work of its priority, and takes part in all this.
    async fn lease(&self, ask: &LeaseAsk) -> Result<Leased, StoreError>;

    /// Lengthens a lease to `ttl` from now. [`StoreError::LeaseLapsed`] where it had lapsed.
    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), StoreError>;

    /// Finishes the lease in one atomic step: attempts, outcomes, counters, removal from the queue. Jobs of the lease that
    /// no report names go back untouched. A job set to be retried or snoozed whose run was cancelled meanwhile ends as
    /// cancelled, by no worker. [`StoreError::LeaseLapsed`] where the lease had lapsed, or where a report names a job that is
    /// not of it, or one twice; nothing is written then.
    async fn finish(&self, lease: Lease, reports: Vec<JobReport>) -> Result<(), StoreError>;

    /// Waits until there may be something to do for the account (a seal, a resume, a job that comes due), but no
    /// longer than `at_most`. May return early for no reason; never needs more than `at_most` to notice.
    async fn wait_for_work(&self, account: &AccountName, at_most: Duration);

    // -- steering --------------------------------------------------------------------------------------------------

    /// Stops leasing the run's jobs; those in flight finish. Refused once it is over.
    async fn pause(&self, run: &RunId) -> Result<(), StoreError>;

    /// Takes a pause back.
    async fn resume(&self, run: &RunId) -> Result<(), StoreError>;

    /// Cancels: at once nothing more is leased; then up to `limit` (at most [`CHUNK`]) jobs that no worker holds end as
    /// cancelled, in which order is the store's choice. Returns how many are left that have no outcome yet, in flight ones included; call again while some
    /// are not in flight. The run is over when none is left.
    async fn cancel(&self, run: &RunId, limit: usize) -> Result<u64, StoreError> {
        self.end(run, &Ending::cancelled(), limit).await
    }

    /// Ends the rest of a run, as [`Store::cancel`] does, with the outcome, code and message of `ending`; once a run is being
    /// ended, the first ending stands and is noted. Whatever ended so decides about nobody.
    async fn end(&self, run: &RunId, ending: &Ending, limit: usize) -> Result<u64, StoreError>;

    /// Has finished jobs of a run that is over tried again, at most [`CHUNK`] a call: those at these places that did not end
    /// as applied or already applied, as if they had never been resolved; their attempts stay, their budget and their count
    /// of deaths begin anew, and whether one may have applied is still known, as is what was there before (where it is the
    /// same user that they are resolved to). They decide about nobody until they are in the queue. The run is sealed again
    /// and paused, so that more can follow; `resume` lets it go on, through resolve and admission like any run, with its old
    /// number. Notes of its holding, approval and ending are gone. Returns how many jobs are tried again; where none is, the
    /// run stays as it is. [`StoreError::WrongPhase`] where the run is neither over nor sealed and paused, or is being
    /// cancelled.
    async fn reopen(&self, run: &RunId, seqs: &[u64]) -> Result<u64, StoreError>;

    /// Forgets a run that ended before that moment, with its jobs, attempts and outcomes, at most [`CHUNK`] rows a call; of
    /// several the one that ended first. From the first call on it is not seen any more; its idempotency key is free. What
    /// newer runs' precedence over older ones stands on stays for as long as a run older than it is not over. Returns the run that it forgot something of, and whether all of it is gone; `None` where none is left.
    async fn prune(&self, ended_before: Timestamp) -> Result<Option<(RunId, bool)>, StoreError>;

    /// Adds to an account's list of protected users, in place of the entry with the same pattern. Patterns are compared to
    /// the letter.
    async fn protect(&self, account: &AccountName, protection: &Protection) -> Result<(), StoreError>;

    /// Takes an entry off an account's list of protected users; `false` where there was none.
    async fn unprotect(&self, account: &AccountName, pattern: &str) -> Result<bool, StoreError>;

    /// An account's list of protected users. Every [`Leased`] names its version, read in the same step.
    async fn protections(&self, account: &AccountName) -> Result<Protections, StoreError>;

    /// Changes how soon a run is worked.
    async fn set_priority(&self, run: &RunId, priority: Priority) -> Result<(), StoreError>;

    /// Holds an account: nothing is leased for it. A hold in force is replaced.
    async fn hold(&self, account: &AccountName, hold: &Hold) -> Result<(), StoreError>;

    /// Releases an account's hold, whatever it is; `false` where there was none.
    async fn release(&self, account: &AccountName) -> Result<bool, StoreError>;

    // -- what a fleet shares ---------------------------------------------------------------------------------------

    /// Draws calls from a label's quota of a day, in one step: as many as `cap` leaves, at most `calls`. 0 calls only look.
    /// By the store's clock; kept for as long as the window needs, whatever restarts meanwhile.
    async fn draw_quota(
        &self,
        account: &AccountName,
        label: &str,
        window: QuotaWindow,
        calls: u64,
        cap: u64,
    ) -> Result<Drawn, StoreError>;

    /// Gives drawn calls back that were not made. What has left the window meanwhile stays away.
    async fn return_quota(
        &self,
        account: &AccountName,
        label: &str,
        drawn_at: Timestamp,
        calls: u64,
    ) -> Result<(), StoreError>;

    /// Tells what goes on; forgotten [`PULSE_LASTS`] later unless told again.
    async fn publish_pulse(&self, pulse: &Pulse) -> Result<(), StoreError>;

    /// What the workers of an account told last, by the name of the worker. Those that have ended are not there.
    async fn pulses(&self, account: &AccountName) -> Result<Vec<Pulse>, StoreError>;

    /// The account's shelved token.
    async fn token(&self, account: &AccountName) -> Result<Option<ShelvedToken>, StoreError>;

    /// Claims the right to fetch a token in place of the one with the generation `instead_of` (`None`: there was none), for
    /// `ttl`. Of all who ask to replace one token, one gets the right; the others hear of its claim, then of its token.
    async fn claim_refresh(
        &self,
        account: &AccountName,
        worker: &WorkerId,
        instead_of: Option<u64>,
        ttl: Duration,
    ) -> Result<Refresh, StoreError>;

    /// Shelves the token that was fetched under a claim, for `keep_for` at most; returns its generation.
    /// [`StoreError::LeaseLapsed`] where the claim had ended and another took it: use the other's token.
    async fn shelve_token(
        &self,
        claim: RefreshClaim,
        sealed: &[u8],
        keep_for: Duration,
    ) -> Result<u64, StoreError>;

    /// Gives a claim up: the fetch failed. The next who asks gets the right at once.
    async fn abandon_refresh(&self, claim: RefreshClaim) -> Result<(), StoreError>;

    // -- seeing ----------------------------------------------------------------------------------------------------

    /// One run; `None` where the store has no such run. Open runs are not seen.
    async fn run(&self, run: &RunId) -> Result<Option<RunStatus>, StoreError>;

    /// Every account that ever had a sealed run, by name.
    async fn accounts(&self) -> Result<Vec<AccountName>, StoreError>;

    /// The newest runs of all accounts by when they were opened, newest first, at most `limit`: of all, or of those that come
    /// after `before` in that order (nothing where there is no such run). Open runs are not seen. A page that is shorter than
    /// `limit` is the last.
    async fn runs(&self, before: Option<&RunId>, limit: usize) -> Result<Vec<RunStatus>, StoreError>;

    /// An account's runs that are not over, in the order in which they are worked; those not yet admitted last, by priority
    /// and then by when they were sealed.
    async fn unfinished(&self, account: &AccountName) -> Result<Vec<RunStatus>, StoreError>;

    /// An account's runs that ended at that moment or later, in the order in which they ended (those of one millisecond by their
    /// ids), at most `limit`. A run that is opened again has not ended until it ends again.
    async fn ended(
        &self,
        account: &AccountName,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<RunStatus>, StoreError>;

    /// Outcomes of finished jobs in file order, from place `from_seq` on, at most `limit` (at most 5,000 a call). A page
    /// that is shorter than `limit` is the last.
    async fn outcomes(&self, run: &RunId, from_seq: u64, limit: usize)
    -> Result<Vec<OutcomeRow>, StoreError>;

    /// Every attempt at a job, in order, the one that ended it last.
    async fn attempts(&self, run: &RunId, seq: u64) -> Result<Vec<Attempt>, StoreError>;

    /// Requests that were left out at the resolve: their line, the user as written, the line they repeat.
    async fn duplicates(&self, run: &RunId) -> Result<Vec<(u64, String, u64)>, StoreError>;

    // -- audit -----------------------------------------------------------------------------------------------------

    /// Appends to the audit; returns the entry's number. Numbers have no gaps. Nothing takes an entry away.
    async fn tell(&self, event: &AuditEvent) -> Result<u64, StoreError>;

    /// The audit's entries from that number on, in order, at most `limit`.
    async fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;

    /// The number of the last entry, sealed or not; 0 where there is none.
    async fn audit_last(&self) -> Result<u64, StoreError>;

    /// The last sealed entry.
    async fn audit_head(&self) -> Result<Option<AuditHead>, StoreError>;

    /// Seals the entries that follow `head`, in order, at most [`CHUNK`], in one step; `false`, and nothing is written, where
    /// the last sealed entry is another by now, or where fewer entries follow it than there are seals.
    async fn seal_audit(&self, head: Option<&AuditHead>, seals: &[String]) -> Result<bool, StoreError>;

    /// Looks at itself: can a ledger be trusted to it? Changes nothing. What can't be looked at is left out, or said.
    async fn examine(&self) -> Vec<Finding> {
        vec![]
    }

    /// The store's time: its own server's, where it has one.
    async fn now(&self) -> Result<Timestamp, StoreError>;
}

/// A store, shared.
pub type SharedStore = Arc<dyn Store>;
