//! Every request gets exactly one resolution, whatever the directory looks like.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use usher_shared::{
    Action, Outcome, Request, ResolvedUser, Status, UserState,
    store::{Remaining, Resolution},
};

use super::{Gathered, Matcher};
use crate::resolve::policy::not_found;

fn user(id: &str, email: &str, status: Status) -> ResolvedUser {
    let before = UserState { status, license: None, role: None, groups: vec![] };
    ResolvedUser { id: id.into(), email: (!email.is_empty()).then(|| email.into()), before }
}

fn request(line: u64, user: &str, action: Action) -> Request {
    Request { restore: None, line, user: user.parse().unwrap(), action, reason: None }
}

fn matcher(requests: &[(&str, Action)]) -> Matcher {
    let mut gathered = Gathered::with_capacity(requests.len() as u64);
    for (seq, (name, action)) in requests.iter().enumerate() {
        // Lines count from 1 and a header comes first.
        gathered.push(seq as u64, &request(seq as u64 + 2, name, *action));
    }
    gathered.complete()
}

fn see_all(matcher: &mut Matcher, users: &[ResolvedUser]) -> BTreeMap<u64, Resolution> {
    let mut found = Vec::new();
    for user in users {
        matcher.see(user, |user, _| Resolution::Change(user), &mut found);
    }
    found.into_iter().collect()
}

fn code(resolution: &Resolution) -> Option<&str> {
    match resolution {
        Resolution::Settled { code, .. } => code.as_deref(),
        _ => None,
    }
}

const OFF: Action = Action::Deactivate;
const ON: Action = Action::Activate;

#[test]
fn ids_match_exactly_and_addresses_without_case() {
    let mut matcher =
        matcher(&[("AbC", OFF), ("Ann@Corp.Example", OFF), ("abc", OFF), ("nobody@x.example", OFF)]);
    let users = [user("AbC", "x@y.example", Status::Active), user("u2", "aNN@corp.EXAMPLE", Status::Active)];
    let found = see_all(&mut matcher, &users);
    assert_eq!(found[&0], Resolution::Change(users[0].clone()));
    assert_eq!(found[&1], Resolution::Change(users[1].clone()));
    assert_eq!((found.len(), matcher.open()), (2, 2));
}

/// The jobs of a run that stood still, by the users that they were resolved to.
fn known(users: &[ResolvedUser]) -> Matcher {
    let mut gathered = Gathered::with_capacity(users.len() as u64);
    for (seq, user) in (0..).zip(users) {
        let user = user.clone();
        let job = Remaining { seq, line: seq + 1, action: OFF, user, may_have_applied: false };
        gathered.push_known(&job);
    }
    gathered.complete()
}

#[test]
fn a_known_user_is_found_by_its_id_and_never_by_an_address_that_is_somebody_else_s_by_now() {
    let active = Status::Active;
    let mut matcher =
        known(&[user("u1", "ann@x.example", active), user("", "New@x.example", Status::Pending)]);
    let heir = user("u9", "ann@x.example", active);
    let renamed = user("u1", "ann.lee@x.example", active);
    let joined = user("u2", "new@x.example", active);
    assert_eq!(see_all(&mut matcher, std::slice::from_ref(&heir)), BTreeMap::new());
    let found = see_all(&mut matcher, &[renamed.clone(), joined.clone()]);
    assert_eq!(
        found,
        BTreeMap::from([(0, Resolution::Change(renamed.clone())), (1, Resolution::Change(joined))])
    );
    assert_eq!(matcher.open(), 0);

    let matcher = known(&[user("u1", "ann@x.example", active), user("", "new@x.example", Status::Pending)]);
    let places = matcher.open_places();
    assert_eq!(matcher.user(places[0]).unwrap().as_str(), "u1");
    assert!(matcher.is_another(places[0], &heir) && !matcher.is_another(places[0], &renamed));
    assert!(!matcher.is_another(places[1], &heir), "it had no id to be told by");
}

#[test]
fn two_known_users_that_turn_out_to_be_one_are_judged_each_by_itself() {
    let one = user("u1", "ann@x.example", Status::Active);
    let mut matcher = known(&[one.clone(), user("", "ann@x.example", Status::Pending)]);
    let found = see_all(&mut matcher, &[one.clone(), one.clone()]);
    assert_eq!(found, BTreeMap::from([(0, Resolution::Change(one.clone())), (1, Resolution::Change(one))]));
}

#[test]
fn one_user_by_id_and_by_address_is_one_job_and_the_first_line_decides() {
    let mut matcher = matcher(&[("a@x.example", OFF), ("id1", OFF), ("A@X.example", ON)]);
    let found = see_all(&mut matcher, &[user("id1", "a@x.example", Status::Active)]);
    assert!(matches!(&found[&0], Resolution::Change(user) if user.id == "id1"));
    assert_eq!(found[&1], Resolution::Duplicate { of_line: 2 });
    assert_eq!(code(&found[&2]), Some("contradiction"));
    assert!(
        matches!(&found[&2], Resolution::Settled { outcome: Outcome::Rejected, message: Some(message), .. }
        if message.contains("line 2") && message.contains("deactivated"))
    );
}

#[test]
fn a_user_who_moves_between_listings_counts_as_seen_last_and_once() {
    let mut matcher = matcher(&[("a@x.example", OFF), ("id1", OFF)]);
    let (before, after) =
        (user("id1", "a@x.example", Status::Active), user("id1", "a@x.example", Status::Inactive));
    let found = see_all(&mut matcher, &[before, after.clone()]);
    assert_eq!(found[&0], Resolution::Change(after));
    assert_eq!(found[&1], Resolution::Duplicate { of_line: 2 });
    assert_eq!(matcher.open(), 0);
}

#[test]
fn a_user_whose_address_changes_while_pages_come_stays_one_job() {
    let mut matcher = matcher(&[("old@x.example", OFF), ("new@x.example", OFF)]);
    let found = see_all(
        &mut matcher,
        &[user("id1", "old@x.example", Status::Active), user("id1", "new@x.example", Status::Active)],
    );
    assert!(matches!(found[&0], Resolution::Change(_)));
    assert_eq!(found[&1], Resolution::Duplicate { of_line: 2 });
}

#[test]
fn an_address_that_passes_to_another_user_decides_about_neither() {
    let mut matcher = matcher(&[("a@x.example", OFF), ("id2", OFF)]);
    let found = see_all(
        &mut matcher,
        &[user("id1", "a@x.example", Status::Active), user("id2", "a@x.example", Status::Active)],
    );
    assert_eq!(code(&found[&0]), Some("ambiguous"));
    assert!(matches!(&found[&1], Resolution::Change(user) if user.id == "id2"), "its id is not ambiguous");
}

#[test]
fn an_invited_user_who_accepts_while_pages_come_is_the_one_with_the_id() {
    let mut matcher = matcher(&[("a@x.example", OFF)]);
    let (invited, active) =
        (user("", "a@x.example", Status::Pending), user("id1", "a@x.example", Status::Active));
    let found = see_all(&mut matcher, &[invited.clone(), active.clone(), invited]);
    assert_eq!(found[&0], Resolution::Change(active));
}

#[test]
fn a_look_up_by_an_alias_finds_the_user_and_its_other_names_are_duplicates() {
    let mut matcher = matcher(&[("alias@x.example", OFF), ("id1", OFF)]);
    let mut found = Vec::new();
    let places = matcher.open_places();
    assert_eq!(matcher.user(places[0]).unwrap().as_str(), "alias@x.example");
    let main = user("id1", "main@x.example", Status::Active);
    matcher.see_at(places[0], &main, |user, _| Resolution::Change(user), &mut found);
    matcher.see_at(places[1], &main, |user, _| Resolution::Change(user), &mut found);
    let found: BTreeMap<_, _> = found.into_iter().collect();
    let decided = found.values().filter(|resolution| matches!(resolution, Resolution::Change(_))).count();
    assert_eq!((found.len(), decided, matcher.open()), (2, 1, 0));
}

#[test]
fn what_is_settled_stays_settled() {
    let mut matcher = matcher(&[("a@x.example", OFF)]);
    let (mut found, place) = (Vec::new(), matcher.open_places()[0]);
    matcher.settle(place, not_found(), &mut found);
    matcher.settle(place, not_found(), &mut found);
    assert_eq!((found.len(), matcher.open(), matcher.open_places().len()), (1, 0, 0));
}

#[test]
fn a_request_takes_less_than_150_bytes_also_when_all_are_found() {
    const REQUESTS: u64 = 250_000;
    let mut gathered = Gathered::with_capacity(REQUESTS);
    let name = |n: u64| format!("firstname.lastname.{n:07}@corp.example");
    for n in 0..REQUESTS {
        gathered.push(n, &request(n + 1, &name(n), OFF));
    }
    let mut matcher = gathered.complete();
    let mut found = Vec::new();
    for n in 0..REQUESTS {
        matcher.see(
            &user(&format!("id{n}"), &name(n), Status::Active),
            |user, _| Resolution::Change(user),
            &mut found,
        );
        assert_eq!(found.len(), 1);
        found.clear();
    }
    assert_eq!(matcher.open(), 0);
    let each = matcher.bytes() as u64 / REQUESTS;
    assert!(each < 150, "{each} bytes");
}

/// A small world, so that names meet often: eight users, each with an id and perhaps an address; requests by either.
fn name_of(n: u8, by_id: bool, upper: bool) -> String {
    match (by_id, upper) {
        (true, _) => format!("id{n}"),
        (false, false) => format!("u{n}@x.example"),
        (false, true) => format!("U{n}@X.EXAMPLE"),
    }
}

proptest! {
    #[test]
    fn every_request_gets_one_resolution_and_every_user_one_deciding_request(
        requests in prop::collection::vec((0u8..10, any::<bool>(), any::<bool>(), any::<bool>()), 1..40),
        directory in prop::collection::btree_set(0u8..8, 0..8),
        seen_again in prop::collection::vec(0u8..8, 0..8),
    ) {
        let requests: Vec<(String, Action)> = requests
            .into_iter()
            .map(|(n, by_id, upper, off)| (name_of(n, by_id, upper), if off { OFF } else { ON }))
            .collect();
        let borrowed: Vec<(&str, Action)> = requests.iter().map(|(name, action)| (name.as_str(), *action)).collect();
        let mut matcher = matcher(&borrowed);
        let person = |n: u8| user(&format!("id{n}"), &name_of(n, false, false), Status::Active);
        let again = seen_again.into_iter().filter(|n| directory.contains(n));
        let users: Vec<ResolvedUser> = directory.iter().copied().chain(again).map(person).collect();
        let mut found: Vec<(u64, Resolution)> = Vec::new();
        for user in &users {
            matcher.see(user, |user, _| Resolution::Change(user), &mut found);
        }
        for place in matcher.open_places() {
            matcher.settle(place, not_found(), &mut found);
        }
        prop_assert_eq!(matcher.open(), 0);
        let last: BTreeMap<u64, Resolution> = found.iter().cloned().collect();
        prop_assert_eq!(last.len(), requests.len(), "each has a resolution");
        for (seq, resolution) in &found {
            let same_kind = std::mem::discriminant(resolution) == std::mem::discriminant(&last[seq]);
            prop_assert!(same_kind, "seen again, it means the same");
        }
        let mut deciding: BTreeMap<String, (u64, Action)> = BTreeMap::new();
        for (seq, (name, action)) in requests.iter().enumerate() {
            let n: u8 = name.bytes().find(u8::is_ascii_digit).unwrap() - b'0';
            let key = format!("id{n}");
            let resolution = &last[&(seq as u64)];
            if !directory.contains(&n) {
                prop_assert_eq!(code(resolution), Some("not_found"));
            } else if let Some((first, wanted)) = deciding.get(&key) {
                if wanted == action {
                    prop_assert_eq!(resolution, &Resolution::Duplicate { of_line: first + 2 });
                } else {
                    prop_assert_eq!(code(resolution), Some("contradiction"));
                }
            } else {
                prop_assert!(matches!(resolution, Resolution::Change(user) if user.id == key));
                deciding.insert(key, (seq as u64, *action));
            }
        }
        let named: BTreeSet<u8> = directory.iter().copied().filter(|n| requests.iter().any(|(name, _)| name.contains(&n.to_string()))).collect();
        prop_assert_eq!(deciding.len(), named.len());
    }
}
