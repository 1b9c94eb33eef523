//! The tables, and the words that they use.

use crate::RunPhase;

/// Marks the file as usher's: the letters `ushr`.
pub(super) const APPLICATION_ID: i32 = 0x7573_6872;

/// What makes each format of the one before; the first makes it of an empty file. Never changed once released: a file of
/// any format is brought to the newest by the steps that it lacks.
pub(super) const STEPS: [&str; 5] =
    [QUEUE_AND_LEDGER, SHARED_BY_THE_FLEET, TIME_PASSES, FOR_OPERATORS, FOR_SERVICES];

/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT: u64 = STEPS.len() as u64;

/// A job's key is its *place*: the run's number and the sequence number in one integer, so that appending is writing at
/// the end of one B-tree. The partial indexes hold only what is in the queue at the moment.
const QUEUE_AND_LEDGER: &str = "
CREATE TABLE accounts (
    key             INTEGER PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    admissions      INTEGER NOT NULL DEFAULT 0,  -- the last admission number given out
    hold            TEXT                         -- JSON of the hold
) STRICT;

CREATE TABLE runs (
    key             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT UNIQUE,                 -- NULL once it is discarded and waits to be swept
    account         INTEGER NOT NULL,
    meta            TEXT NOT NULL,               -- JSON of the run as it was opened
    rank            INTEGER NOT NULL,            -- 0 urgent, 1 normal, 2 bulk
    phase           TEXT NOT NULL,
    paused          INTEGER NOT NULL DEFAULT 0,
    cancelled       INTEGER NOT NULL DEFAULT 0,
    admission       INTEGER,
    by_action       TEXT NOT NULL DEFAULT '{}',
    seal            TEXT,                        -- JSON of the seal, to know it again
    previous        TEXT,                        -- the ended run that the seal replaced
    created_at      INTEGER NOT NULL,
    touched_at      INTEGER NOT NULL,            -- the last append
    sealed_at       INTEGER,
    finished_at     INTEGER,
    promoted        INTEGER NOT NULL DEFAULT 0,  -- nothing before this seq is pending
    -- where the jobs are
    total           INTEGER NOT NULL DEFAULT 0,
    duplicates      INTEGER NOT NULL DEFAULT 0,
    unresolved      INTEGER NOT NULL DEFAULT 0,
    pending         INTEGER NOT NULL DEFAULT 0,
    ready           INTEGER NOT NULL DEFAULT 0,
    alone           INTEGER NOT NULL DEFAULT 0,
    waiting         INTEGER NOT NULL DEFAULT 0,
    leased          INTEGER NOT NULL DEFAULT 0,
    finished        INTEGER NOT NULL DEFAULT 0,
    -- what it cost
    attempts        INTEGER NOT NULL DEFAULT 0,
    calls           INTEGER NOT NULL DEFAULT 0,
    throttled       INTEGER NOT NULL DEFAULT 0,
    retries         INTEGER NOT NULL DEFAULT 0,
    lost            INTEGER NOT NULL DEFAULT 0,
    first_attempt_at INTEGER,
    last_attempt_at INTEGER,
    -- who resolves it
    steward         INTEGER NOT NULL DEFAULT 0,  -- the last token given out
    steward_worker  TEXT,
    steward_until   INTEGER
) STRICT;
CREATE INDEX runs_worked ON runs (account, phase, rank, admission);
CREATE INDEX runs_newest ON runs (created_at);

CREATE TABLE outcomes (
    run             INTEGER NOT NULL,
    outcome         TEXT NOT NULL,
    count           INTEGER NOT NULL,
    PRIMARY KEY (run, outcome)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    place           INTEGER PRIMARY KEY,
    run             INTEGER NOT NULL,
    state           TEXT NOT NULL,   -- pending | ready | alone | waiting | leased | finished | dropped
    line            INTEGER NOT NULL,
    user            TEXT NOT NULL,
    action          TEXT NOT NULL,
    reason          TEXT,
    resolution      TEXT,            -- change | settled | duplicate
    resolved        TEXT,            -- JSON of the resolved user
    user_key        TEXT,            -- what identifies that user within the account
    resolved_at     INTEGER,
    account         INTEGER,         -- set when it enters the queue
    due             INTEGER,
    spent           INTEGER NOT NULL DEFAULT 0,  -- attempts that count against the budget
    attempts        INTEGER NOT NULL DEFAULT 0,  -- attempts recorded
    deaths          INTEGER NOT NULL DEFAULT 0,
    may_have_applied INTEGER NOT NULL DEFAULT 0,
    first_attempt_at INTEGER,
    last_attempt_at INTEGER,
    outcome         TEXT,
    code            TEXT,
    message         TEXT,
    worker          TEXT
) STRICT;
CREATE INDEX jobs_ready ON jobs (run) WHERE state = 'ready';
CREATE INDEX jobs_alone ON jobs (run) WHERE state = 'alone';
CREATE INDEX jobs_waiting ON jobs (run) WHERE state = 'waiting';
CREATE INDEX jobs_due ON jobs (account, due) WHERE state = 'waiting';

CREATE TABLE attempts (
    place           INTEGER NOT NULL,
    number          INTEGER NOT NULL,
    attempt         TEXT NOT NULL,   -- JSON
    PRIMARY KEY (place, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE duplicates (
    place           INTEGER PRIMARY KEY,
    of_line         INTEGER NOT NULL
) STRICT;

-- Which runs want something of a user. The newest one that was not cancelled decides.
CREATE TABLE claims (
    account         INTEGER NOT NULL,
    user            TEXT NOT NULL,
    admission       INTEGER NOT NULL,
    place           INTEGER NOT NULL,
    PRIMARY KEY (account, user, admission)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    token           INTEGER PRIMARY KEY AUTOINCREMENT,
    account         INTEGER NOT NULL,
    run             INTEGER NOT NULL,
    worker          TEXT NOT NULL,
    granted_at      INTEGER NOT NULL,
    until           INTEGER NOT NULL,
    seqs            TEXT NOT NULL    -- JSON list
) STRICT;
CREATE INDEX leases_until ON leases (account, until);

-- The users that a leased job is about: never two jobs on one at once.
CREATE TABLE in_flight (
    place           INTEGER PRIMARY KEY,
    account         INTEGER NOT NULL,
    user            TEXT NOT NULL,
    blocks          INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account, user)
) STRICT;

-- Jobs that wait for a user in flight.
CREATE TABLE blocked (
    account         INTEGER NOT NULL,
    user            TEXT NOT NULL,
    place           INTEGER NOT NULL,
    PRIMARY KEY (account, user, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    account         INTEGER NOT NULL,
    key             TEXT NOT NULL,
    digest          TEXT NOT NULL,
    run             TEXT NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
";

/// Quotas of a day, pulses, the token, and whose turn it is to be leased.
const SHARED_BY_THE_FLEET: &str = "
-- Urgent leases since the others had one, while they waited.
ALTER TABLE accounts ADD COLUMN urgent_in_a_row INTEGER NOT NULL DEFAULT 0;
-- The rank that had the others' last lease while both of them waited.
ALTER TABLE accounts ADD COLUMN last_of_others INTEGER NOT NULL DEFAULT 2;

-- The users that a leased job is about, in one tree instead of two.
CREATE TABLE users_in_flight (
    account         INTEGER NOT NULL,
    user            TEXT NOT NULL,
    place           INTEGER NOT NULL,
    blocks          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, user)
) STRICT, WITHOUT ROWID;
INSERT INTO users_in_flight (account, user, place, blocks) SELECT account, user, place, blocks FROM in_flight;
DROP TABLE in_flight;
ALTER TABLE users_in_flight RENAME TO in_flight;

-- Calls drawn from a label's quota, by the hour.
CREATE TABLE quota_hours (
    account         INTEGER NOT NULL,
    label           TEXT NOT NULL,
    hour            INTEGER NOT NULL,   -- its beginning
    calls           INTEGER NOT NULL,
    PRIMARY KEY (account, label, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE pulses (
    account         INTEGER NOT NULL,
    worker          TEXT NOT NULL,
    told_at         INTEGER NOT NULL,
    pulse           TEXT NOT NULL,      -- JSON
    PRIMARY KEY (account, worker)
) STRICT, WITHOUT ROWID;

-- The row outlives its token, so that generations and claims only grow.
CREATE TABLE tokens (
    account         INTEGER PRIMARY KEY,
    generation      INTEGER NOT NULL DEFAULT 0,
    sealed          BLOB,
    expires_at      INTEGER,
    claim           INTEGER NOT NULL DEFAULT 0,  -- the last one given out
    claimed_until   INTEGER                      -- NULL once it is over
) STRICT;
";

/// Since when a run stands still. Not known of the runs that there are: they are resolved again before they go on.
const TIME_PASSES: &str = "
-- The end of the last resolve of its users, or the last lease of a job of it.
ALTER TABLE runs ADD COLUMN fresh_at INTEGER;
";

/// Plans, caps, protection, runs that are opened again or forgotten, and the audit.
const FOR_OPERATORS: &str = "
ALTER TABLE runs ADD COLUMN notes TEXT;                 -- JSON of what is noted on it
-- It was over, and what ended otherwise than as wished is tried again.
ALTER TABLE runs ADD COLUMN reopened INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN pruned TEXT;                -- its id, once it is being forgotten and has none any more
CREATE INDEX runs_ended ON runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX runs_pruned ON runs (pruned) WHERE pruned IS NOT NULL;

ALTER TABLE jobs ADD COLUMN restore TEXT;               -- JSON of what the request gives back
ALTER TABLE jobs ADD COLUMN again INTEGER NOT NULL DEFAULT 0;  -- it is tried again
-- JSON of the user as it was before an attempt that may have applied: of a job that is tried again.
ALTER TABLE jobs ADD COLUMN touched TEXT;
CREATE INDEX jobs_again ON jobs (run) WHERE again = 1 AND state = 'pending';

-- The run that made the claim, where it was forgotten.
ALTER TABLE claims ADD COLUMN pruned TEXT;
CREATE INDEX claims_pruned ON claims (account, admission) WHERE pruned IS NOT NULL;

ALTER TABLE accounts ADD COLUMN protections INTEGER NOT NULL DEFAULT 0;  -- the version of its list
-- The run that counts its users towards the cap of a day, and when it was heard of.
ALTER TABLE accounts ADD COLUMN counting INTEGER;
ALTER TABLE accounts ADD COLUMN counting_at INTEGER;

CREATE TABLE protections (
    account         INTEGER NOT NULL,
    pattern         TEXT NOT NULL,
    entry           TEXT NOT NULL,      -- JSON
    PRIMARY KEY (account, pattern)
) STRICT, WITHOUT ROWID;

-- Who is counted towards the cap of a day, by which run.
CREATE TABLE capped (
    account         INTEGER NOT NULL,
    day             INTEGER NOT NULL,
    user            TEXT NOT NULL,
    run             INTEGER NOT NULL,
    PRIMARY KEY (account, day, user, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX capped_of_run ON capped (run, day);
-- How many users that are.
CREATE TABLE capped_days (
    account         INTEGER NOT NULL,
    day             INTEGER NOT NULL,
    users           INTEGER NOT NULL,
    PRIMARY KEY (account, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    number          INTEGER PRIMARY KEY,
    at              INTEGER NOT NULL,
    event           TEXT NOT NULL,      -- JSON, as it was told
    seal            TEXT
) STRICT;
CREATE INDEX audit_sealed ON audit (number) WHERE seal IS NOT NULL;
";

/// Keys that submissions on their way have claimed, messages to others, and what is asked for by moments.
const FOR_SERVICES: &str = "
CREATE INDEX runs_ended_of ON runs (account, finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE claimed_keys (
    account         INTEGER NOT NULL,
    key             TEXT NOT NULL,
    claimant        TEXT NOT NULL,
    until           INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX claimed_keys_until ON claimed_keys (until);

CREATE TABLE messages (
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint        TEXT NOT NULL,
    id              TEXT NOT NULL,
    kind            TEXT NOT NULL,
    account         TEXT NOT NULL,      -- its name
    body            TEXT NOT NULL,      -- empty once it is delivered
    posted_at       INTEGER NOT NULL,
    state           TEXT NOT NULL DEFAULT 'waiting',  -- waiting | delivered | given_up
    tries           INTEGER NOT NULL DEFAULT 0,
    tried_at        INTEGER,
    due             INTEGER,            -- while somebody tries: when the right to that lapses
    last            TEXT,               -- what came of the last try
    taken           INTEGER NOT NULL DEFAULT 0,  -- the last right to try that was given out
    finished        INTEGER NOT NULL DEFAULT 0,  -- the last one that was used up
    worker          TEXT,               -- who has it
    ended_at        INTEGER,
    UNIQUE (endpoint, id)
) STRICT;
CREATE INDEX messages_due ON messages (endpoint, due, id) WHERE state = 'waiting';
CREATE INDEX messages_newest ON messages (endpoint, number);
CREATE INDEX messages_newest_of ON messages (endpoint, state, number);
CREATE INDEX messages_ended ON messages (ended_at) WHERE ended_at IS NOT NULL;
";

/// Where a job is. The SQL spells these words out, so that the partial indexes apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not in the queue yet.
    Pending,
    /// May be leased.
    Ready,
    /// May be leased, with nothing beside it.
    Alone,
    /// In the queue, until its time comes.
    Waiting,
    /// A worker has it.
    Leased,
}

impl State {
    /// The state's word in the table.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Alone => "alone",
            Self::Waiting => "waiting",
            Self::Leased => "leased",
        }
    }

    /// Whether it is in the queue and no worker has it.
    pub(super) fn is_queued(self) -> bool {
        matches!(self, Self::Ready | Self::Alone | Self::Waiting)
    }

    /// Reads the word of a job that has no outcome yet.
    pub(super) fn read(word: &str) -> Option<Self> {
        [Self::Pending, Self::Ready, Self::Alone, Self::Waiting, Self::Leased]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// Reads a phase's word.
pub(super) fn read_phase(word: &str) -> Option<RunPhase> {
    [
        RunPhase::Open,
        RunPhase::Sealed,
        RunPhase::Resolved,
        RunPhase::Admitted,
        RunPhase::Finished,
        RunPhase::Cancelled,
    ]
    .into_iter()
    .find(|phase| phase.as_str() == word)
}

/// The key of a job: its run's number and its place in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) i64);

/// A run has at most so many places; 4,294,967,295.
const PLACES: i64 = u32::MAX as i64;

impl Place {
    /// The place of a sequence number; the run's end where it is beyond what a run can hold.
    pub(super) fn of(run: i64, seq: u64) -> Self {
        Self((run << 32) | i64::try_from(seq).unwrap_or(PLACES).min(PLACES))
    }

    /// The last place that a run can have. Never used by a job.
    pub(super) fn end(run: i64) -> Self {
        Self((run << 32) | PLACES)
    }

    /// The number of the run.
    pub(super) fn run(self) -> i64 {
        self.0 >> 32
    }

    /// The place within the run.
    pub(super) fn seq(self) -> u64 {
        u64::from((self.0 & PLACES).unsigned_abs() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_its_run_and_its_sequence_number() {
        for (run, seq) in [(1, 0), (1, 1), (7, 4_294_967_294), (2_000_000_000, 12)] {
            let place = Place::of(run, seq);
            assert_eq!((place.run(), place.seq()), (run, seq));
            assert!(place < Place::end(run) && Place::end(run) < Place::of(run + 1, 0));
        }
    }
}
