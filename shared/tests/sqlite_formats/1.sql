-- A file of format 1, as `.dump` tells it: a run half worked (one job applied, one to be retried, one leased, two ready)
-- and a sealed one.
PRAGMA application_id=1970497650;
PRAGMA user_version=1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE accounts (
    key             INTEGER PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    admissions      INTEGER NOT NULL DEFAULT 0,  -- the last admission number given out
    hold            TEXT                         -- JSON of the hold
) STRICT;
INSERT INTO accounts VALUES(1,'zoom-main',1,NULL);
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
INSERT INTO runs VALUES(1,'20261120-222222',1,'{"id":"20261120-222222","account":"zoom-main","priority":"normal","asked_by":"test","created_at":1763600000000}',1,'admitted',0,0,1,'{"deactivate":5}','{"total":5,"by_action":{"deactivate":5},"key":"20261120-222222","digest":"20261120-222222"}',NULL,1763600000000,1763600000000,1763600000000,NULL,5,5,0,0,0,2,0,1,1,1,2,2,0,1,0,1763600000000,1763600000000,1,NULL,NULL);
INSERT INTO runs VALUES(2,'20261120-222223',1,'{"id":"20261120-222223","account":"zoom-main","priority":"normal","asked_by":"test","created_at":1763600000000}',1,'sealed',0,0,NULL,'{"deactivate":2}','{"total":2,"by_action":{"deactivate":2},"key":"20261120-222223","digest":"20261120-222223"}',NULL,1763600000000,1763600000000,1763600000000,NULL,0,2,0,2,2,0,0,0,0,0,0,0,0,0,0,NULL,NULL,0,NULL,NULL);
CREATE TABLE outcomes (
    run             INTEGER NOT NULL,
    outcome         TEXT NOT NULL,
    count           INTEGER NOT NULL,
    PRIMARY KEY (run, outcome)
) STRICT, WITHOUT ROWID;
INSERT INTO outcomes VALUES(1,'applied',1);
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
INSERT INTO jobs VALUES(4294967296,1,'finished',1,'user0@corp.example','deactivate',NULL,'change','{"i":"id-0","b":{"s":"active"}}','id-0',1763600000000,1,NULL,1,1,0,0,1763600000000,1763600000000,'applied',NULL,NULL,'w1');
INSERT INTO jobs VALUES(4294967297,1,'waiting',2,'user1@corp.example','deactivate',NULL,'change','{"i":"id-1","b":{"s":"active"}}','id-1',1763600000000,1,1763600005000,1,1,0,1,1763600000000,1763600000000,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(4294967298,1,'leased',3,'user2@corp.example','deactivate',NULL,'change','{"i":"id-2","b":{"s":"active"}}','id-2',1763600000000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(4294967299,1,'ready',4,'user3@corp.example','deactivate',NULL,'change','{"i":"id-3","b":{"s":"active"}}','id-3',1763600000000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(4294967300,1,'ready',5,'user4@corp.example','deactivate',NULL,'change','{"i":"id-4","b":{"s":"active"}}','id-4',1763600000000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(8589934592,2,'pending',1,'user0@corp.example','deactivate',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(8589934593,2,'pending',2,'user1@corp.example','deactivate',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE attempts (
    place           INTEGER NOT NULL,
    number          INTEGER NOT NULL,
    attempt         TEXT NOT NULL,   -- JSON
    PRIMARY KEY (place, number)
) STRICT, WITHOUT ROWID;
INSERT INTO attempts VALUES(4294967296,1,'{"b":1763600000000,"e":1763600000000,"c":1,"h":204,"v":"applied","w":"w1"}');
INSERT INTO attempts VALUES(4294967297,1,'{"b":1763600000000,"e":1763600000000,"c":1,"h":204,"v":"transient","w":"w1"}');
CREATE TABLE duplicates (
    place           INTEGER PRIMARY KEY,
    of_line         INTEGER NOT NULL
) STRICT;
CREATE TABLE claims (
    account         INTEGER NOT NULL,
    user            TEXT NOT NULL,
    admission       INTEGER NOT NULL,
    place           INTEGER NOT NULL,
    PRIMARY KEY (account, user, admission)
) STRICT, WITHOUT ROWID;
INSERT INTO claims VALUES(1,'id-0',1,4294967296);
INSERT INTO claims VALUES(1,'id-1',1,4294967297);
INSERT INTO claims VALUES(1,'id-2',1,4294967298);
INSERT INTO claims VALUES(1,'id-3',1,4294967299);
INSERT INTO claims VALUES(1,'id-4',1,4294967300);
CREATE TABLE leases (
    token           INTEGER PRIMARY KEY AUTOINCREMENT,
    account         INTEGER NOT NULL,
    run             INTEGER NOT NULL,
    worker          TEXT NOT NULL,
    granted_at      INTEGER NOT NULL,
    until           INTEGER NOT NULL,
    seqs            TEXT NOT NULL    -- JSON list
) STRICT;
INSERT INTO leases VALUES(3,1,1,'w1',1763600000000,1763600015000,'[2]');
CREATE TABLE in_flight (
    place           INTEGER PRIMARY KEY,
    account         INTEGER NOT NULL,
    user            TEXT NOT NULL,
    blocks          INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account, user)
) STRICT;
INSERT INTO in_flight VALUES(4294967298,1,'id-2',0);
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
INSERT INTO idempotency VALUES(1,'20261120-222222','20261120-222222','20261120-222222');
INSERT INTO idempotency VALUES(1,'20261120-222223','20261120-222223','20261120-222223');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('runs',2);
INSERT INTO sqlite_sequence VALUES('leases',3);
CREATE INDEX runs_worked ON runs (account, phase, rank, admission);
CREATE INDEX runs_newest ON runs (created_at);
CREATE INDEX jobs_ready ON jobs (run) WHERE state = 'ready';
CREATE INDEX jobs_alone ON jobs (run) WHERE state = 'alone';
CREATE INDEX jobs_waiting ON jobs (run) WHERE state = 'waiting';
CREATE INDEX jobs_due ON jobs (account, due) WHERE state = 'waiting';
CREATE INDEX leases_until ON leases (account, until);
COMMIT;
