PRAGMA application_id=1970497650;
PRAGMA user_version=5;
BEGIN TRANSACTION;
CREATE TABLE accounts (
    key             INTEGER PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    admissions      INTEGER NOT NULL DEFAULT 0,  -- the last admission number given out
    hold            TEXT                         -- JSON of the hold
, urgent_in_a_row INTEGER NOT NULL DEFAULT 0, last_of_others INTEGER NOT NULL DEFAULT 2, protections INTEGER NOT NULL DEFAULT 0, counting INTEGER, counting_at INTEGER) STRICT;
INSERT INTO accounts VALUES(1,'zoom-main',8,NULL,0,2,0,NULL,NULL);
INSERT INTO accounts VALUES(2,'zoom-branch',1,'{"reason":"scope","message":"the account''s token may not do this","since":1763600030000,"until":null}',0,2,0,NULL,NULL);
INSERT INTO accounts VALUES(3,'zoom-operated',4,NULL,0,2,2,11,1763600030000);
CREATE TABLE attempts (
    place           INTEGER NOT NULL,
    number          INTEGER NOT NULL,
    attempt         TEXT NOT NULL,   -- JSON
    PRIMARY KEY (place, number)
) STRICT, WITHOUT ROWID;
INSERT INTO attempts VALUES(12884901888,1,'{"b":1763600000000,"e":1763600000087,"c":1,"h":204,"v":"applied","w":"w1"}');
INSERT INTO attempts VALUES(12884901889,1,'{"b":1763600000000,"e":1763600000087,"c":1,"h":204,"v":"rejected","w":"w1"}');
INSERT INTO attempts VALUES(12884901890,1,'{"b":1763600000000,"e":1763600000087,"c":1,"h":503,"v":"transient","w":"w1"}');
INSERT INTO attempts VALUES(12884901891,1,'{"b":1763600000000,"e":1763600000087,"c":1,"h":204,"v":"throttled","w":"w1"}');
INSERT INTO attempts VALUES(12884901892,1,'{"b":1763600000000,"e":1763600015000,"c":0,"v":"lost","w":"w1"}');
INSERT INTO attempts VALUES(12884901892,2,'{"b":1763600015000,"e":1763600030000,"c":0,"v":"lost","w":"w2"}');
INSERT INTO attempts VALUES(12884901893,1,'{"b":1763600015000,"e":1763600030000,"c":0,"v":"lost","w":"w2"}');
INSERT INTO attempts VALUES(4294967296,1,'{"b":1763600000000,"e":1763600000087,"c":1,"h":204,"v":"applied","w":"w1"}');
INSERT INTO attempts VALUES(4294967297,1,'{"b":1763600000000,"e":1763600000087,"c":1,"h":204,"v":"already_applied","w":"w1"}');
INSERT INTO attempts VALUES(55834574848,1,'{"b":1763600030000,"e":1763600030000,"c":1,"v":"applied","w":"w1"}');
INSERT INTO attempts VALUES(55834574849,1,'{"b":1763600030000,"e":1763600030000,"c":1,"v":"transient","w":"w1"}');
CREATE TABLE audit (
    number          INTEGER PRIMARY KEY,
    at              INTEGER NOT NULL,
    event           TEXT NOT NULL,      -- JSON, as it was told
    seal            TEXT
) STRICT;
INSERT INTO audit VALUES(1,1763600030000,'{"what":"submitted","by":"cli:alice@host","from":"host.corp.example","account":"zoom-operated","run":"20251120-333332","plan":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","detail":"one"}','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
INSERT INTO audit VALUES(2,1763600030000,'{"what":"applied","by":"cli:alice@host","from":"host.corp.example","account":"zoom-operated","run":"20251120-333332","plan":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","detail":"\"é\"\n"}','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb');
INSERT INTO audit VALUES(3,1763600030000,'{"what":"held","by":"cli:alice@host","from":"host.corp.example","account":"zoom-operated","run":"20251120-333332","plan":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","detail":""}',NULL);
CREATE TABLE blocked (
    account         INTEGER NOT NULL,
    user            TEXT NOT NULL,
    place           INTEGER NOT NULL,
    PRIMARY KEY (account, user, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE capped (
    account         INTEGER NOT NULL,
    day             INTEGER NOT NULL,
    user            TEXT NOT NULL,
    run             INTEGER NOT NULL,
    PRIMARY KEY (account, day, user, run)
) STRICT, WITHOUT ROWID;
INSERT INTO capped VALUES(3,20411,'a',11);
INSERT INTO capped VALUES(3,20411,'b',11);
CREATE TABLE capped_days (
    account         INTEGER NOT NULL,
    day             INTEGER NOT NULL,
    users           INTEGER NOT NULL,
    PRIMARY KEY (account, day)
) STRICT, WITHOUT ROWID;
INSERT INTO capped_days VALUES(3,20411,2);
CREATE TABLE claimed_keys (
    account         INTEGER NOT NULL,
    key             TEXT NOT NULL,
    claimant        TEXT NOT NULL,
    until           INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
INSERT INTO claimed_keys VALUES(3,'hr/7','one',1763600045000);
CREATE TABLE claims (
    account         INTEGER NOT NULL,
    user            TEXT NOT NULL,
    admission       INTEGER NOT NULL,
    place           INTEGER NOT NULL, pruned TEXT,
    PRIMARY KEY (account, user, admission)
) STRICT, WITHOUT ROWID;
INSERT INTO claims VALUES(1,'id-applied',3,12884901888,NULL);
INSERT INTO claims VALUES(1,'id-both',2,8589934593,NULL);
INSERT INTO claims VALUES(1,'id-both',3,12884901899,NULL);
INSERT INTO claims VALUES(1,'id-cancelling0',7,30064771072,NULL);
INSERT INTO claims VALUES(1,'id-cancelling2',7,30064771074,NULL);
INSERT INTO claims VALUES(1,'id-deadly',3,12884901892,NULL);
INSERT INTO claims VALUES(1,'id-done0',1,4294967296,NULL);
INSERT INTO claims VALUES(1,'id-done1',1,4294967297,NULL);
INSERT INTO claims VALUES(1,'id-half0',4,17179869184,NULL);
INSERT INTO claims VALUES(1,'id-half1',4,17179869185,NULL);
INSERT INTO claims VALUES(1,'id-half2',4,17179869186,NULL);
INSERT INTO claims VALUES(1,'id-inflight',3,12884901893,NULL);
INSERT INTO claims VALUES(1,'id-older0',2,8589934592,NULL);
INSERT INTO claims VALUES(1,'id-older2',2,8589934594,NULL);
INSERT INTO claims VALUES(1,'id-paused0',8,34359738368,NULL);
INSERT INTO claims VALUES(1,'id-paused1',8,34359738369,NULL);
INSERT INTO claims VALUES(1,'id-ready6',3,12884901894,NULL);
INSERT INTO claims VALUES(1,'id-ready7',3,12884901895,NULL);
INSERT INTO claims VALUES(1,'id-rejected',3,12884901889,NULL);
INSERT INTO claims VALUES(1,'id-retried',3,12884901890,NULL);
INSERT INTO claims VALUES(1,'id-snoozed',3,12884901891,NULL);
INSERT INTO claims VALUES(2,'id-held0',1,42949672960,NULL);
INSERT INTO claims VALUES(3,'id-done',4,55834574848,NULL);
CREATE TABLE duplicates (
    place           INTEGER PRIMARY KEY,
    of_line         INTEGER NOT NULL
) STRICT;
INSERT INTO duplicates VALUES(12884901898,1);
CREATE TABLE idempotency (
    account         INTEGER NOT NULL,
    key             TEXT NOT NULL,
    digest          TEXT NOT NULL,
    run             TEXT NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
INSERT INTO idempotency VALUES(1,'key of Cancelling','Cancelling','20251120-222228');
INSERT INTO idempotency VALUES(1,'key of Done','Done','20251120-222222');
INSERT INTO idempotency VALUES(1,'key of HalfQueued','HalfQueued','20251120-222225');
INSERT INTO idempotency VALUES(1,'key of Older','Older','20251120-222223');
INSERT INTO idempotency VALUES(1,'key of Paused','Paused','20251120-222229');
INSERT INTO idempotency VALUES(1,'key of Resolved','Resolved','20251120-222227');
INSERT INTO idempotency VALUES(1,'key of Sealed','Sealed','20251120-222226');
INSERT INTO idempotency VALUES(1,'key of Worked','Worked','20251120-222224');
INSERT INTO idempotency VALUES(2,'key of Held','Held','20251120-22222b');
INSERT INTO idempotency VALUES(3,'2','2','20251120-333332');
INSERT INTO idempotency VALUES(3,'3','3','20251120-333333');
INSERT INTO idempotency VALUES(3,'4','4','20251120-333334');
CREATE TABLE "in_flight" (
    account         INTEGER NOT NULL,
    user            TEXT NOT NULL,
    place           INTEGER NOT NULL,
    blocks          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, user)
) STRICT, WITHOUT ROWID;
INSERT INTO in_flight VALUES(1,'id-cancelling0',30064771072,0);
INSERT INTO in_flight VALUES(1,'id-inflight',12884901893,0);
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
, restore TEXT, again INTEGER NOT NULL DEFAULT 0, touched TEXT) STRICT;
INSERT INTO jobs VALUES(12884901888,3,'finished',1,'applied@corp.example','deactivate',NULL,'change','{"i":"id-applied","e":"applied@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-applied',1763600000000,1,NULL,1,1,0,0,1763600000000,1763600000087,'applied',NULL,NULL,'w1',NULL,0,NULL);
INSERT INTO jobs VALUES(12884901889,3,'finished',2,'rejected@corp.example','deactivate','said "no"\','change','{"i":"id-rejected","e":"rejected@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-rejected',1763600000000,1,NULL,1,1,0,0,1763600000000,1763600000087,'rejected','12','"é"
\ ''--','w1',NULL,0,NULL);
INSERT INTO jobs VALUES(12884901890,3,'waiting',3,'retried@corp.example','deactivate',NULL,'change','{"i":"id-retried","e":"retried@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-retried',1763600000000,1,1763600600000,1,1,0,1,1763600000000,1763600000087,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(12884901891,3,'waiting',4,'snoozed@corp.example','deactivate',NULL,'change','{"i":"id-snoozed","e":"snoozed@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-snoozed',1763600000000,1,1763600090000,0,1,0,0,1763600000000,1763600000087,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(12884901892,3,'alone',5,'deadly@corp.example','deactivate',NULL,'change','{"i":"id-deadly","e":"deadly@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-deadly',1763600000000,1,NULL,2,2,2,1,1763600000000,1763600030000,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(12884901893,3,'leased',6,'inflight@corp.example','deactivate',NULL,'change','{"i":"id-inflight","e":"inflight@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-inflight',1763600000000,1,NULL,1,1,1,1,1763600015000,1763600030000,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(12884901894,3,'ready',7,'ready6@corp.example','deactivate',NULL,'change','{"i":"id-ready6","e":"ready6@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-ready6',1763600000000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(12884901895,3,'ready',8,'ready7@corp.example','deactivate',NULL,'change','{"i":"id-ready7","e":"ready7@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-ready7',1763600000000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(12884901896,3,'finished',9,'nobody@corp.example','deactivate',NULL,'settled',NULL,NULL,1763600000000,NULL,NULL,0,0,0,0,NULL,NULL,'not_found','not_found','the account has no such user',NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(12884901897,3,'finished',10,'owner@corp.example','deactivate',NULL,'settled','{"i":"id-owner","e":"owner@corp.example","b":{"s":"active","l":"2","r":"0","g":["g1","g 2|é"]}}','id-owner',1763600000000,NULL,NULL,0,0,0,0,NULL,NULL,'protected','owner','the user is owner of the account',NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(12884901898,3,'dropped',11,'id-applied','deactivate',NULL,'duplicate',NULL,NULL,1763600000000,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(12884901899,3,'ready',12,'both@corp.example','deactivate',NULL,'change','{"i":"id-both","e":"both@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-both',1763600000000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(17179869184,4,'ready',1,'half0@corp.example','deactivate',NULL,'change','{"i":"id-half0","e":"half0@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-half0',1763600030000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(17179869185,4,'ready',2,'half1@corp.example','deactivate','said "no"\','change','{"i":"id-half1","e":"half1@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-half1',1763600030000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(17179869186,4,'ready',3,'half2@corp.example','deactivate',NULL,'change','{"i":"id-half2","e":"half2@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-half2',1763600030000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(17179869187,4,'pending',4,'half3@corp.example','deactivate',NULL,'change','{"i":"id-half3","e":"half3@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-half3',1763600030000,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(17179869188,4,'pending',5,'half4@corp.example','deactivate',NULL,'change','{"i":"id-half4","e":"half4@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-half4',1763600030000,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(21474836480,5,'pending',1,'sealed0@corp.example','deactivate',NULL,'change','{"i":"id-sealed0","e":"sealed0@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-sealed0',1763600030000,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(21474836481,5,'pending',2,'sealed1@corp.example','deactivate','said "no"\',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(25769803776,6,'pending',1,'resolved0@corp.example','deactivate',NULL,'change','{"i":"id-resolved0","e":"resolved0@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-resolved0',1763600030000,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(25769803777,6,'pending',2,'resolved1@corp.example','deactivate','said "no"\','change','{"i":"id-resolved1","e":"resolved1@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-resolved1',1763600030000,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(30064771072,7,'leased',1,'cancelling0@corp.example','deactivate',NULL,'change','{"i":"id-cancelling0","e":"cancelling0@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-cancelling0',1763600030000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(30064771073,7,'finished',2,'cancelling1@corp.example','deactivate','said "no"\','change','{"i":"id-cancelling1","e":"cancelling1@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-cancelling1',1763600030000,1,NULL,0,0,0,0,NULL,NULL,'cancelled',NULL,'the run was cancelled before this user was done',NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(30064771074,7,'ready',3,'cancelling2@corp.example','deactivate',NULL,'change','{"i":"id-cancelling2","e":"cancelling2@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-cancelling2',1763600030000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(34359738368,8,'ready',1,'paused0@corp.example','deactivate',NULL,'change','{"i":"id-paused0","e":"paused0@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-paused0',1763600030000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(34359738369,8,'ready',2,'paused1@corp.example','deactivate','said "no"\','change','{"i":"id-paused1","e":"paused1@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-paused1',1763600030000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(38654705664,9,'pending',1,'open0@corp.example','deactivate',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(38654705665,9,'pending',2,'open1@corp.example','deactivate','said "no"\',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(4294967296,1,'finished',1,'done0@corp.example','activate',NULL,'change','{"i":"id-done0","e":"done0@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-done0',1763600000000,1,NULL,1,1,0,0,1763600000000,1763600000087,'applied',NULL,NULL,'w1',NULL,0,NULL);
INSERT INTO jobs VALUES(42949672960,10,'ready',1,'held0@corp.example','deactivate',NULL,'change','{"i":"id-held0","e":"held0@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-held0',1763600030000,2,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(4294967297,1,'finished',2,'done1@corp.example','activate','said "no"\','change','{"i":"id-done1","e":"done1@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-done1',1763600000000,1,NULL,1,1,0,0,1763600000000,1763600000087,'already_applied',NULL,NULL,'w1',NULL,0,NULL);
INSERT INTO jobs VALUES(47244640256,11,'pending',1,'plan0@corp.example','activate',NULL,'change','{"i":"id-plan0","e":"plan0@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-plan0',1763600030000,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,'{"l":"2","g":["g1","g 2|é"]}',0,NULL);
INSERT INTO jobs VALUES(47244640257,11,'pending',2,'plan1@corp.example','activate',NULL,'change','{"i":"id-plan1","e":"plan1@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-plan1',1763600030000,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,'{"l":"2","g":["g1","g 2|é"]}',0,NULL);
INSERT INTO jobs VALUES(51539607552,12,'finished',1,'late0@corp.example','activate',NULL,'change','{"i":"id-late0","e":"late0@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-late0',1763600030000,NULL,NULL,0,0,0,0,NULL,NULL,'expired','deadline','the run''s deadline came before this user was done',NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(51539607553,12,'finished',2,'late1@corp.example','activate',NULL,'change','{"i":"id-late1","e":"late1@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-late1',1763600030000,NULL,NULL,0,0,0,0,NULL,NULL,'expired','deadline','the run''s deadline came before this user was done',NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(55834574848,13,'finished',1,'done@corp.example','activate',NULL,'change','{"i":"id-done","e":"done@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-done',1763600030000,3,NULL,1,1,0,0,1763600030000,1763600030000,'applied',NULL,NULL,'w1',NULL,0,NULL);
INSERT INTO jobs VALUES(55834574849,13,'pending',2,'again@corp.example','activate',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1,0,1,1763600030000,1763600030000,NULL,NULL,NULL,NULL,NULL,1,'{"i":"id-again","e":"again@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}');
INSERT INTO jobs VALUES(8589934592,2,'ready',1,'older0@corp.example','deactivate',NULL,'change','{"i":"id-older0","e":"older0@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-older0',1763600000000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(8589934593,2,'ready',2,'both@corp.example','deactivate','said "no"\','change','{"i":"id-both","e":"both@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-both',1763600000000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO jobs VALUES(8589934594,2,'ready',3,'older2@corp.example','deactivate',NULL,'change','{"i":"id-older2","e":"older2@corp.example","b":{"s":"active","l":"2","r":"2","g":["g1","g 2|é"]}}','id-older2',1763600000000,1,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
CREATE TABLE leases (
    token           INTEGER PRIMARY KEY AUTOINCREMENT,
    account         INTEGER NOT NULL,
    run             INTEGER NOT NULL,
    worker          TEXT NOT NULL,
    granted_at      INTEGER NOT NULL,
    until           INTEGER NOT NULL,
    seqs            TEXT NOT NULL    -- JSON list
) STRICT;
INSERT INTO leases VALUES(10,1,3,'w3',1763600030000,1763600045000,'[5]');
INSERT INTO leases VALUES(11,1,7,'w1',1763600030000,1763600045000,'[0]');
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
INSERT INTO messages VALUES(1,'ops','a','run.held','zoom-operated','',1763600030000,'delivered',1,1763600030000,NULL,'200 OK',1,1,NULL,1763600030000);
INSERT INTO messages VALUES(2,'ops','b','run.held','zoom-operated','{"é":"''b"}',1763600030000,'given_up',1,1763600030000,NULL,'410 Gone',1,1,NULL,1763600030000);
INSERT INTO messages VALUES(3,'ops','c','run.held','zoom-operated','{"é":"''c"}',1763600030000,'waiting',1,1763600030000,1763600060000,'no answer within 10 s',1,1,NULL,NULL);
INSERT INTO messages VALUES(4,'ops','d','run.held','zoom-operated','{"é":"''d"}',1763600030000,'waiting',0,NULL,1763600030000,NULL,0,0,NULL,NULL);
CREATE TABLE outcomes (
    run             INTEGER NOT NULL,
    outcome         TEXT NOT NULL,
    count           INTEGER NOT NULL,
    PRIMARY KEY (run, outcome)
) STRICT, WITHOUT ROWID;
INSERT INTO outcomes VALUES(1,'already_applied',1);
INSERT INTO outcomes VALUES(1,'applied',1);
INSERT INTO outcomes VALUES(12,'expired',2);
INSERT INTO outcomes VALUES(13,'applied',1);
INSERT INTO outcomes VALUES(13,'exhausted',0);
INSERT INTO outcomes VALUES(3,'applied',1);
INSERT INTO outcomes VALUES(3,'not_found',1);
INSERT INTO outcomes VALUES(3,'protected',1);
INSERT INTO outcomes VALUES(3,'rejected',1);
INSERT INTO outcomes VALUES(7,'cancelled',1);
CREATE TABLE protections (
    account         INTEGER NOT NULL,
    pattern         TEXT NOT NULL,
    entry           TEXT NOT NULL,      -- JSON
    PRIMARY KEY (account, pattern)
) STRICT, WITHOUT ROWID;
INSERT INTO protections VALUES(3,'*@board.example','{"pattern":"*@board.example","reason":"board","by":"token:bob","at":1763600000000}');
INSERT INTO protections VALUES(3,'role:7','{"pattern":"role:7","reason":"board","by":"token:bob","at":1763600000000}');
CREATE TABLE pulses (
    account         INTEGER NOT NULL,
    worker          TEXT NOT NULL,
    told_at         INTEGER NOT NULL,
    pulse           TEXT NOT NULL,      -- JSON
    PRIMARY KEY (account, worker)
) STRICT, WITHOUT ROWID;
CREATE TABLE quota_hours (
    account         INTEGER NOT NULL,
    label           TEXT NOT NULL,
    hour            INTEGER NOT NULL,   -- its beginning
    calls           INTEGER NOT NULL,
    PRIMARY KEY (account, label, hour)
) STRICT, WITHOUT ROWID;
INSERT INTO quota_hours VALUES(1,'light',1763596800000,7);
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
, fresh_at INTEGER, notes TEXT, reopened INTEGER NOT NULL DEFAULT 0, pruned TEXT) STRICT;
INSERT INTO runs VALUES(1,'20251120-222222',1,'{"id":"20251120-222222","account":"zoom-main","priority":"urgent","reason":"left the company","asked_by":"cli:alice@host","source":"leavers.csv","created_at":1763600000000}',0,'finished',0,0,1,'{"activate":2}','{"total":2,"by_action":{"activate":2},"key":"key of Done","digest":"Done"}',NULL,1763600000000,1763600000000,1763600000000,1763600000000,2,2,0,0,0,0,0,0,0,2,2,2,0,0,0,1763600000000,1763600000087,1,NULL,NULL,1763600000000,NULL,0,NULL);
INSERT INTO runs VALUES(10,'20251120-22222b',2,'{"id":"20251120-22222b","account":"zoom-branch","priority":"normal","reason":"left the company","asked_by":"cli:alice@host","source":"leavers.csv","created_at":1763600000000}',1,'admitted',0,0,1,'{"deactivate":1}','{"total":1,"by_action":{"deactivate":1},"key":"key of Held","digest":"Held"}',NULL,1763600000000,1763600030000,1763600030000,NULL,1,1,0,0,0,1,0,0,0,0,0,0,0,0,0,NULL,NULL,1,NULL,NULL,1763600030000,NULL,0,NULL);
INSERT INTO runs VALUES(11,'20251120-333332',3,'{"id":"20251120-333332","account":"zoom-operated","priority":"normal","asked_by":"cli:alice@host","created_at":1763600000000,"plan":true,"undoes":"20251120-33333z","not_before":1763600000000,"deadline":1765100000000,"proof":{"by":"alice","signature":"s-_1"}}',1,'resolved',0,0,2,'{"activate":2}','{"total":2,"by_action":{"activate":2},"key":"2","digest":"2"}',NULL,1763600000000,1763600030000,1763600030000,NULL,0,2,0,0,2,0,0,0,0,0,0,0,0,0,0,NULL,NULL,1,NULL,NULL,NULL,'{"plan":{"hash":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","at":1763600000000,"change":2,"active_users":1000},"held":{"reason":"planned","message":"`usher apply`, \"é\"","since":1763600000000},"go":{"by":"cli:alice@host","at":1763600000000,"plan":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"}}',0,NULL);
INSERT INTO runs VALUES(12,'20251120-333333',3,'{"id":"20251120-333333","account":"zoom-operated","priority":"normal","asked_by":"cli:alice@host","created_at":1763600000000}',1,'cancelled',0,1,3,'{"activate":2}','{"total":2,"by_action":{"activate":2},"key":"3","digest":"3"}',NULL,1763600000000,1763600030000,1763600030000,1763600030000,2,2,0,0,0,0,0,0,0,2,0,0,0,0,0,NULL,NULL,1,NULL,NULL,1763600030000,'{"ending":{"outcome":"expired","code":"deadline","message":"the run''s deadline came before this user was done"}}',0,NULL);
INSERT INTO runs VALUES(13,'20251120-333334',3,'{"id":"20251120-333334","account":"zoom-operated","priority":"normal","asked_by":"cli:alice@host","created_at":1763600000000}',1,'sealed',1,0,4,'{"activate":2}','{"total":2,"by_action":{"activate":2},"key":"4","digest":"4"}',NULL,1763600000000,1763600030000,1763600030000,NULL,0,2,0,1,1,0,0,0,0,1,2,2,0,0,0,1763600030000,1763600030000,1,NULL,NULL,NULL,'{}',1,NULL);
INSERT INTO runs VALUES(2,'20251120-222223',1,'{"id":"20251120-222223","account":"zoom-main","priority":"normal","reason":"left the company","asked_by":"cli:alice@host","source":"leavers.csv","created_at":1763600000000}',1,'admitted',0,0,2,'{"deactivate":3}','{"total":3,"by_action":{"deactivate":3},"key":"key of Older","digest":"Older"}',NULL,1763600000000,1763600000000,1763600000000,NULL,3,3,0,0,0,3,0,0,0,0,0,0,0,0,0,NULL,NULL,1,NULL,NULL,1763600000000,NULL,0,NULL);
INSERT INTO runs VALUES(3,'20251120-222224',1,'{"id":"20251120-222224","account":"zoom-main","priority":"normal","reason":"left the company","asked_by":"cli:alice@host","source":"leavers.csv","created_at":1763600000000}',1,'admitted',0,0,3,'{"deactivate":12}','{"total":12,"by_action":{"deactivate":12},"key":"key of Worked","digest":"Worked"}',NULL,1763600000000,1763600000000,1763600000000,NULL,12,11,1,0,0,3,1,2,1,4,7,4,1,1,3,1763600000000,1763600030000,1,NULL,NULL,1763600030000,NULL,0,NULL);
INSERT INTO runs VALUES(4,'20251120-222225',1,'{"id":"20251120-222225","account":"zoom-main","priority":"bulk","reason":"left the company","asked_by":"cli:alice@host","source":"leavers.csv","created_at":1763600000000}',2,'admitted',0,0,4,'{"deactivate":5}','{"total":5,"by_action":{"deactivate":5},"key":"key of HalfQueued","digest":"HalfQueued"}',NULL,1763600000000,1763600030000,1763600030000,NULL,3,5,0,0,2,3,0,0,0,0,0,0,0,0,0,NULL,NULL,1,NULL,NULL,1763600030000,NULL,0,NULL);
INSERT INTO runs VALUES(5,'20251120-222226',1,'{"id":"20251120-222226","account":"zoom-main","priority":"normal","reason":"left the company","asked_by":"cli:alice@host","source":"leavers.csv","created_at":1763600000000}',1,'sealed',0,0,5,'{"deactivate":2}','{"total":2,"by_action":{"deactivate":2},"key":"key of Sealed","digest":"Sealed"}',NULL,1763600000000,1763600030000,1763600030000,NULL,0,2,0,1,2,0,0,0,0,0,0,0,0,0,0,NULL,NULL,1,'w0',1763600045000,NULL,NULL,0,NULL);
INSERT INTO runs VALUES(6,'20251120-222227',1,'{"id":"20251120-222227","account":"zoom-main","priority":"normal","reason":"left the company","asked_by":"cli:alice@host","source":"leavers.csv","created_at":1763600000000}',1,'resolved',0,0,6,'{"deactivate":2}','{"total":2,"by_action":{"deactivate":2},"key":"key of Resolved","digest":"Resolved"}',NULL,1763600000000,1763600030000,1763600030000,NULL,0,2,0,0,2,0,0,0,0,0,0,0,0,0,0,NULL,NULL,1,NULL,NULL,1763600030000,NULL,0,NULL);
INSERT INTO runs VALUES(7,'20251120-222228',1,'{"id":"20251120-222228","account":"zoom-main","priority":"normal","reason":"left the company","asked_by":"cli:alice@host","source":"leavers.csv","created_at":1763600000000}',1,'admitted',0,1,7,'{"deactivate":3}','{"total":3,"by_action":{"deactivate":3},"key":"key of Cancelling","digest":"Cancelling"}',NULL,1763600000000,1763600030000,1763600030000,NULL,3,3,0,0,0,1,0,0,1,1,0,0,0,0,0,NULL,NULL,1,NULL,NULL,1763600030000,'{"ending":{"outcome":"cancelled","message":"the run was cancelled before this user was done"}}',0,NULL);
INSERT INTO runs VALUES(8,'20251120-222229',1,'{"id":"20251120-222229","account":"zoom-main","priority":"normal","reason":"left the company","asked_by":"cli:alice@host","source":"leavers.csv","created_at":1763600000000}',1,'admitted',1,0,8,'{"deactivate":2}','{"total":2,"by_action":{"deactivate":2},"key":"key of Paused","digest":"Paused"}',NULL,1763600000000,1763600030000,1763600030000,NULL,2,2,0,0,0,2,0,0,0,0,0,0,0,0,0,NULL,NULL,1,NULL,NULL,1763600030000,NULL,0,NULL);
INSERT INTO runs VALUES(9,'20251120-22222a',1,'{"id":"20251120-22222a","account":"zoom-main","priority":"normal","reason":"left the company","asked_by":"cli:alice@host","source":"leavers.csv","created_at":1763600000000}',1,'open',0,0,NULL,'{}',NULL,NULL,1763600000000,1763600030000,NULL,NULL,0,2,0,2,2,0,0,0,0,0,0,0,0,0,0,NULL,NULL,0,NULL,NULL,NULL,NULL,0,NULL);
CREATE TABLE tokens (
    account         INTEGER PRIMARY KEY,
    generation      INTEGER NOT NULL DEFAULT 0,
    sealed          BLOB,
    expires_at      INTEGER,
    claim           INTEGER NOT NULL DEFAULT 0,  -- the last one given out
    claimed_until   INTEGER                      -- NULL once it is over
) STRICT;
INSERT INTO tokens VALUES(1,1,X'000102FF',1763603630000,1,NULL);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('leases',13);
INSERT INTO sqlite_sequence VALUES('messages',4);
INSERT INTO sqlite_sequence VALUES('runs',13);
CREATE INDEX audit_sealed ON audit (number) WHERE seal IS NOT NULL;
CREATE INDEX capped_of_run ON capped (run, day);
CREATE INDEX claimed_keys_until ON claimed_keys (until);
CREATE INDEX claims_pruned ON claims (account, admission) WHERE pruned IS NOT NULL;
CREATE INDEX jobs_again ON jobs (run) WHERE again = 1 AND state = 'pending';
CREATE INDEX jobs_alone ON jobs (run) WHERE state = 'alone';
CREATE INDEX jobs_due ON jobs (account, due) WHERE state = 'waiting';
CREATE INDEX jobs_ready ON jobs (run) WHERE state = 'ready';
CREATE INDEX jobs_waiting ON jobs (run) WHERE state = 'waiting';
CREATE INDEX leases_until ON leases (account, until);
CREATE INDEX messages_due ON messages (endpoint, due, id) WHERE state = 'waiting';
CREATE INDEX messages_ended ON messages (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX messages_newest ON messages (endpoint, number);
CREATE INDEX messages_newest_of ON messages (endpoint, state, number);
CREATE INDEX runs_ended ON runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX runs_ended_of ON runs (account, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX runs_newest ON runs (created_at);
CREATE INDEX runs_pruned ON runs (pruned) WHERE pruned IS NOT NULL;
CREATE INDEX runs_worked ON runs (account, phase, rank, admission);
COMMIT;
