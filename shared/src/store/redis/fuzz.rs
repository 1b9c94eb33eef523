//! Whatever lies in Redis, it is read as it was written, or is corrupt. `tests/fuzz` runs it for longer.

use std::time::Duration;

use super::{
    audit, protecting,
    record::{
        self, FS, RS, Record, decode_ledger, decode_tries, encode_request, encode_resolution, write_attempt,
        write_head,
    },
    reply, sharing,
    state::State,
    status, working,
};
use crate::{
    Attempt, RunId, WorkerId,
    store::{LeaseAsk, Resolution, StoreError},
};

/// Corrupt, and said so in words that can be shown: what is stored is never a reason to panic, nor to ask again.
fn check_error(error: &StoreError) {
    assert!(matches!(error, StoreError::Corrupt(..)) && !error.is_retryable(), "{error:?}");
    assert!(error.to_string().starts_with("what is stored at "));
}

fn attempt_of(attempt: &Attempt) -> String {
    let mut to = String::new();
    write_attempt(attempt, &mut to);
    to
}

/// An attempt whose end lies as far ahead of its begin as a number can say is cut there, and stays so.
fn check_attempts(attempts: &[Attempt]) {
    let written: String = attempts.iter().map(|attempt| format!("{RS}{}", attempt_of(attempt))).collect();
    assert_eq!(decode_ledger(&format!("1,0,0,5{written}")).unwrap(), attempts);
}

/// What a record says is what it says again once it is written anew.
fn check_record(text: &str) {
    let record = Record::cut(text);
    let Ok(request) = record.request() else { return };
    let head = encode_request(&request);
    assert_eq!(Record::cut(&head).request().unwrap(), request);
    let _ = record.duplicate_of();
    if let Ok((user, resolved_at)) = record.change(&request) {
        let part = encode_resolution(request.user.as_str(), &Resolution::Change(user.clone()));
        let whole = format!("{head}{RS}{part}{FS}{}", resolved_at.as_millis());
        assert_eq!(Record::cut(&whole).change(&request).unwrap(), (user, resolved_at));
    }
    if let Ok(Some(planned)) = record.planned(7) {
        // Only what belongs to one kind is read of each: a settled user's moment, say, is not.
        let mut part = encode_resolution(request.user.as_str(), &planned.resolution);
        if matches!(planned.resolution, Resolution::Change(_)) {
            part.push_str(&format!("{FS}5"));
        }
        assert_eq!(Record::cut(&format!("{head}{RS}{part}")).planned(7).unwrap(), Some(planned));
    }
    if let Ok(Some(attempt)) = record.last_attempt() {
        check_attempts(&[attempt]);
    }
    if let Ok(Some(row)) = record.row(7) {
        assert_eq!((row.seq, row.line, &row.user), (7, request.line, &request.user));
        assert!(!format!("{:?} {:?}", row.first_attempt_at, row.last_attempt_at).is_empty());
        let settled = Resolution::Settled {
            outcome: row.outcome,
            code: row.code.clone(),
            message: row.message.clone(),
            user: row.resolved.clone(),
        };
        let part = encode_resolution(request.user.as_str(), &settled);
        let mut outcome = String::new();
        write_head(row.outcome, row.code.as_deref(), row.message.as_deref(), &mut outcome);
        let again = Record::cut(&format!("{head}{RS}{part}{RS}{outcome}")).row(7).unwrap().unwrap();
        assert_eq!((again.outcome, again.code, again.message), (row.outcome, row.code, row.message));
        assert_eq!(again.resolved, row.resolved);
    }
}

/// A run's packed state: taken field by field, and what a later format has behind it changes nothing.
fn check_state(bytes: &[u8]) {
    let Ok(state) = State::unpack(bytes) else { return };
    assert!(state.counters.outcomes.values().all(|count| *count > 0));
    assert_ne!(state.admission, Some(0));
    let more = [bytes, b"more"].concat();
    assert_eq!(format!("{:?}", State::unpack(&more).unwrap()), format!("{state:?}"));
    // Before the counters stand four letters and flags, and the admission.
    let total = u32::from_le_bytes(*bytes[8..].first_chunk().unwrap());
    assert_eq!(state.counters.total, u64::from(total));
    // Numbers of 32 bits, however large, add up or not without an overflow.
    let _ = state.counters.add_up();
}

/// An input is a job's record, the tries of a job, an entry of the audit, or a run's packed state.
#[test]
fn any_record_is_read_as_it_was_written_or_is_corrupt() {
    bolero::check!(name = "record").with_iterations(20_000).for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        check_state(input);
        check_record(&text);
        // Behind a good head, most of it is reached.
        check_record(&format!("d1{FS}ann@corp.example{RS}{text}"));
        if let Ok(attempts) = decode_ledger(&text) {
            check_attempts(&attempts);
        }
        if let Ok(tries) = decode_tries(&text) {
            let first = tries.first.map_or_else(String::new, |first| first.as_millis().to_string());
            let head = format!("{},{},{},{first}", tries.spent, tries.deaths, u8::from(tries.maybe));
            assert_eq!(decode_tries(if text.is_empty() { "" } else { &head }).unwrap(), tries);
        }
        if let Err(error) = audit::read_entry(1, &text, None) {
            check_error(&error);
        }
        if let Ok(outcome) = record::outcome_of_letter(&text) {
            assert!(text.starts_with(|c: char| c.is_ascii_lowercase()), "{outcome}");
        }
    });
}

/// An input is what a server sends, in RESP: a script's reply, or that of a plain command.
#[test]
fn any_reply_is_read_by_the_contract_or_is_corrupt() {
    let ask = LeaseAsk {
        account: "zoom-main".parse().unwrap(),
        worker: WorkerId::new("w"),
        leases: 1,
        batch: 1,
        ttl: Duration::from_secs(15),
        only_run: None,
        urgent_only: false,
        idle: false,
    };
    let run: RunId = "20261120-k3f9zm".parse().unwrap();
    bolero::check!(name = "reply").with_iterations(20_000).for_each(|input: &[u8]| {
        let Ok(value) = redis::parse_redis_value(input) else { return };
        if let redis::Value::Array(values) = &value {
            match status::status(&run, values) {
                Ok(Some(status)) => {
                    let _ = (status.counters.add_up(), format!("{status:?}"));
                }
                Ok(None) => {}
                Err(error) => check_error(&error),
            }
        }
        let read = |value: &redis::Value| reply::Reply::read(Ok(value.clone()));
        let Ok(reply) = read(&value) else {
            // A server's error among the values is sorted elsewhere.
            return;
        };
        if let Err(error) = sharing::read_token(reply) {
            check_error(&error);
        }
        if let Err(error) = protecting::read_protections(&ask.account, read(&value).unwrap()) {
            check_error(&error);
        }
        match working::read_leased(&ask, read(&value).unwrap()) {
            Ok(leased) => assert!(leased.leases.iter().all(|lease| !lease.jobs.is_empty())),
            Err(error) => check_error(&error),
        }
        if let Err(error) = read(&value).unwrap().of_run(&run, "it can't be paused") {
            assert!(!error.is_retryable(), "{error:?}");
        }
    });
}
