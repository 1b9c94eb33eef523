//! The names of keys. Those of an account share its hash tag, so that a cluster keeps them together; scripts derive the
//! rest from the account's prefix (see lua/).
//!
//! | Key | What |
//! |---|---|
//! | `usher:schema` | the format's number |
//! | `usher:runs` | hash: run -> account, of every run, open ones included |
//! | `usher:newest` | sorted set of runs by the time they were opened |
//! | `usher:accounts` | set of accounts that ever had a run |
//! | `usher:{A}` | hash: format; token, admission, protections (counters); hold, hold_until; counting, counting_until (which run counts users towards a day's cap); ended_listed |
//! | `usher:{A}:open` | sorted set of open runs by their last append |
//! | `usher:{A}:keys` | hash: idempotency key -> run, digest |
//! | `usher:{A}:claimed:K` | until when and by whom an idempotency key is claimed, while a submission is on its way |
//! | `usher:{A}:active` | sorted set of runs that are not over, in the order of work |
//! | `usher:{A}:ended` | sorted set of runs that are over, by when that was |
//! | `usher:{A}:outlived`, `:outlived:R` | hash: forgotten run whose claims older runs still need -> its numbers; list of the users |
//! | `usher:{A}:counted:D`, `:counted:D:R` | hash: user -> how many runs counted it towards the cap of that day; sorted set of those of a run |
//! | `usher:{A}:protected` | hash: pattern -> entry of the list of protected users |
//! | `usher:{A}:order`, `:alones`, `:due` | sorted sets of runs with ready jobs, jobs that must run alone, waiting jobs |
//! | `usher:{A}:admissions` | hash: admission -> run |
//! | `usher:{A}:users` | hash: user -> claims on it (admission and place of each job) |
//! | `usher:{A}:busy` | set of users with a job in flight |
//! | `usher:{A}:leases` | sorted set of leases by their end, each with all that is known of it (lua/lib_jobs.lua) |
//! | `usher:{A}:ask:S` | a connection's last ask and what it was granted |
//! | `usher:{A}:share` | the turn of work that is not urgent: leases since its last, whose turn it is |
//! | `usher:{A}:quota:L` | hash: hour (ms) -> calls drawn under a label |
//! | `usher:{A}:pulses`, `:pulse_ends` | hash: worker -> what it told last; sorted set of workers by when that lapses |
//! | `usher:{A}:refresh`, `:token` | hash: generation and claims of the fleet's token; the token itself, sealed |
//! | `usher:{A}:run:R` | hash: the run as submitted, its packed state (`state.rs`), fresh (since then it stands still), its steward, notes, how it is ended |
//! | `usher:{A}:run:R:jobs:N` | hash: place -> record, of the Nth 4,096 places |
//! | `usher:{A}:run:R:ready`, `:again`, `:alone`, `:wait` | the run's queue |
//! | `usher:{A}:run:R:tries`, `:dups` | hash: place -> attempts that did not end the job; places of duplicates |
//! | `usher:{A}:run:R:touched` | hash: place of a job that is tried again -> user before attempts that may have applied |
//! | `usher:{_audit}` | hash: last, sealed (numbers of entries), seal; `_audit` is no account's name |
//! | `usher:{_audit}:entries:N`, `:seals:N` | hash: number -> entry, or its seal, of the Nth 4,096 |
//! | `usher:{_outbox}` | hash: posted (how many messages there ever were); `_outbox` is no account's name |
//! | `usher:{_outbox}:message:E FS I` | hash: the message I to the endpoint E, how far it has come, who tries it |
//! | `usher:{_outbox}:due:E` | sorted set of messages that wait, by when they are tried next |
//! | `usher:{_outbox}:waiting:E`, `:delivered:E`, `:given_up:E` | sorted sets of messages by the number of their posting |
//! | `usher:{_outbox}:ended` | sorted set of messages that came to their end, by when that was |
//! | `usher:{A}:wake` | channel: there may be something to do |

use crate::{AccountName, RunId};

/// The format's number.
pub(super) const SCHEMA: &str = "usher:schema";
/// Run -> account.
pub(super) const RUNS: &str = "usher:runs";
/// Runs by the time they were opened.
pub(super) const NEWEST: &str = "usher:newest";
/// Accounts that ever had a run.
pub(super) const ACCOUNTS: &str = "usher:accounts";

/// The audit's own hash, and the prefix of its other keys.
pub(super) const AUDIT: &str = "usher:{_audit}";

/// The outbox's own hash, and the prefix of its other keys.
pub(super) const OUTBOX: &str = "usher:{_outbox}";

/// Places in a page of records; lua/lib_jobs.lua has the same number.
pub(super) const PAGE: u64 = 4096;

/// The account's own hash, and the prefix of its other keys.
pub(super) fn account(account: &AccountName) -> String {
    format!("usher:{{{account}}}")
}

/// A key of an account.
pub(super) fn of(name: &AccountName, what: &str) -> String {
    format!("{}:{what}", account(name))
}

/// A run's hash, and the prefix of its other keys.
pub(super) fn run(account: &AccountName, run: &RunId) -> String {
    format!("usher:{{{account}}}:run:{run}")
}

/// A page of a run's records.
pub(super) fn page(run_key: &str, seq: u64) -> String {
    format!("{run_key}:jobs:{}", seq / PAGE)
}
