use proptest::{option, prelude::*};

use super::*;
use crate::{Action, Verdict};

fn head_of(outcome: Outcome, code: Option<&str>, message: Option<&str>) -> String {
    let mut to = String::new();
    write_head(outcome, code, message, &mut to);
    to
}

fn attempt_of(attempt: &Attempt) -> String {
    let mut to = String::new();
    write_attempt(attempt, &mut to);
    to
}

/// Any text, with separators and escapes likelier than by chance.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9 ,=+-]{0,12}", "[\\\\frgqel=\u{1c}\u{1d}\u{1e}\u{1f}]{0,6}", ".{0,10}"]
}

fn user() -> impl Strategy<Value = ResolvedUser> {
    let before = (0..3usize, option::of(text()), option::of(text()), prop::collection::vec(text(), 0..3));
    (text(), option::of(text()), before).prop_map(|(id, email, (status, license, role, groups))| {
        let before = UserState { status: STATUSES[status].1, license, role, groups };
        ResolvedUser { id, email, before }
    })
}

fn request() -> impl Strategy<Value = Request> {
    let restore = (option::of(text()), option::of(text()), prop::collection::vec(text(), 0..3));
    let restore = restore.prop_map(|(license, role, groups)| Restore { license, role, groups });
    let user = "[a-z=\\\\]{1,9}(@[a-z.]{1,9}x)?";
    (user, any::<u64>(), 0..2usize, option::of(text()), option::of(restore)).prop_filter_map(
        "names no user",
        |(user, line, action, reason, restore)| {
            Some(Request { line, user: user.parse().ok()?, action: ACTIONS[action].1, reason, restore })
        },
    )
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let times = (0..2_000_000_000_000i64, -5_000..500_000i64);
    (times, any::<u32>(), option::of(any::<u16>()), 0..10usize, option::of(text())).prop_map(
        |((began, took), calls, http, verdict, code)| Attempt {
            began_at: Timestamp::from_millis(began),
            ended_at: Timestamp::from_millis(began + took),
            calls,
            http,
            verdict: VERDICTS[verdict].1,
            code,
            worker: WorkerId::new("host:1:\\x"),
        },
    )
}

proptest! {
    #[test]
    fn a_record_reads_back_as_it_was_written(
        request in request(), user in user(), attempt in attempt(), outcome in 0..12usize,
        code in option::of(text()), message in option::of(text()),
    ) {
        let written = request.user.as_str();
        let head = head_of(OUTCOMES[outcome].1, code.as_deref(), message.as_deref());
        let whole = format!(
            "{}{RS}{}{FS}77{RS}{head}{FS}{}",
            encode_request(&request),
            encode_resolution(written, &Resolution::Change(user.clone())),
            attempt_of(&attempt),
        );
        let record = Record::cut(&whole);
        prop_assert_eq!(record.request().unwrap(), request.clone());
        prop_assert_eq!(record.change(&request).unwrap(), (user.clone(), Timestamp::from_millis(77)));
        let planned = Planned { seq: 9, request: request.clone(), resolution: Resolution::Change(user.clone()) };
        prop_assert_eq!(record.planned(9).unwrap(), Some(planned));
        prop_assert_eq!(record.last_attempt().unwrap(), Some(attempt.clone()));
        let row = record.row(9).unwrap().unwrap();
        prop_assert_eq!((row.outcome, &row.code, &row.message), (OUTCOMES[outcome].1, &code, &message));
        // What the store ended itself was no worker's doing, whoever tried before.
        let by_itself = matches!(row.outcome, Outcome::Cancelled | Outcome::Expired | Outcome::Superseded);
        let worker = (!by_itself).then_some(attempt.worker);
        prop_assert_eq!((row.resolved, row.attempts, row.worker), (Some(user), 1, worker));
    }

    #[test]
    fn a_settled_resolution_keeps_its_user_and_does_not_invent_one(
        request in request(), user in option::of(user()), code in option::of(text()),
    ) {
        let settled = Resolution::Settled {
            outcome: Outcome::Protected, code: code.clone(), message: None, user: user.clone(),
        };
        let part = encode_resolution(request.user.as_str(), &settled);
        let whole = format!("{}{RS}{part}{RS}{}", encode_request(&request), head_of(Outcome::Protected, code.as_deref(), None));
        let row = Record::cut(&whole).row(0).unwrap().unwrap();
        prop_assert_eq!((row.resolved, row.code, row.attempts), (user, code, 0));
        prop_assert_eq!(Record::cut(&whole).planned(0).unwrap().map(|planned| planned.resolution), Some(settled));
        let whole = format!("{}{RS}D7", encode_request(&request));
        let duplicate = Some(Resolution::Duplicate { of_line: 7 });
        prop_assert_eq!(Record::cut(&whole).planned(0).unwrap().map(|planned| planned.resolution), duplicate);
        prop_assert_eq!(Record::cut(&encode_request(&request)).planned(0).unwrap(), None);
    }

    #[test]
    fn rubbish_is_an_error_and_never_a_panic(text in ".{0,60}") {
        let record = Record::cut(&text);
        let _ = (record.request(), record.planned(0), record.row(0), record.last_attempt(), record.duplicate_of());
        let _ = (decode_tries(&text), decode_ledger(&text));
        let whole = format!("d1{FS}ann@corp.example{RS}{text}{RS}a{FS}{FS}{FS}{text}");
        let _ = Record::cut(&whole).row(0);
    }
}

#[test]
fn every_word_has_a_letter_of_its_own() {
    assert!(Outcome::ALL.iter().all(|outcome| letter(&OUTCOMES, outcome).is_ascii_lowercase()));
    assert!(Action::ALL.iter().all(|action| letter(&ACTIONS, action).is_ascii_lowercase()));
    let distinct =
        |letters: Vec<char>| letters.iter().collect::<std::collections::HashSet<_>>().len() == letters.len();
    assert!(distinct(OUTCOMES.map(|(letter, _)| letter).to_vec()));
    assert!(distinct(VERDICTS.map(|(letter, _)| letter).to_vec()));
}

#[test]
fn what_ended_without_an_attempt_names_its_worker_all_the_same() {
    let head = head_of(Outcome::Drifted, Some("role"), None);
    let whole = format!("d1{FS}ann@corp.example{RS}D1{RS}{head}{FS}{FS}w{GS}2,5,9");
    let row = Record::cut(&whole).row(0).unwrap().unwrap();
    assert_eq!((row.worker, row.attempts), (Some(WorkerId::new("w")), 2));
    assert_eq!(row.last_attempt_at, Some(Timestamp::from_millis(9)));
    assert_eq!(Record::cut(&whole).last_attempt().unwrap(), None);
}

#[test]
fn a_retry_without_an_attempt_is_spent_and_not_listed() {
    let tries = Tries { spent: 1, deaths: 0, maybe: false, first: None };
    assert_eq!(decode_tries("1,0,0,0,0,0").unwrap(), tries);
    assert_eq!(decode_ledger("1,0,0,0,0,0").unwrap(), []);
}

#[test]
fn tries_are_read_with_the_attempts_after_their_head() {
    let attempt = Attempt {
        began_at: Timestamp::from_millis(5),
        ended_at: Timestamp::from_millis(9),
        calls: 0,
        http: None,
        verdict: Verdict::Lost,
        code: None,
        worker: WorkerId::new("w"),
    };
    let text = format!("3,2,1,5,99,4{RS}{0}{RS}{0}", attempt_of(&attempt));
    let first = Some(Timestamp::from_millis(5));
    assert_eq!(decode_tries(&text).unwrap(), Tries { spent: 3, deaths: 2, maybe: true, first });
    assert_eq!(decode_ledger(&text).unwrap(), vec![attempt.clone(), attempt]);
}
