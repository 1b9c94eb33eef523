//! What an activation gives back: Zoom takes all licences of a user who is deactivated, and returns none.
//!
//! Sure: deactivating removes the licences and activating returns none of them (API reference, "Update user status"; support
//! article "Deactivating, unlinking or deleting users"). `PATCH /users/{userId}` with `type` gives the licence, and is refused
//! with 2033, 2034, 2038 or 3412 where no seat is free. `POST /groups/{groupId}/members` takes at most 30
//! members and answers 201 (label Medium, scope group:write:member:admin; 4130: no such group).
//! `POST /roles/{roleId}/members` has the same body (role:write:member:admin, 201).
//!
//! Not sure:
//! - Whether deactivating takes role and groups. The support article says "the settings will remain intact", which names neither.
//!   So the user is looked at, and only what is missing is given.
//! - The label of the role call: Medium in a client that is generated from Zoom's specification; nothing else has it.
//! - What these calls answer for who is a member already, and for a role that is gone: no document has it.
//! - Type 99 ("none") can be set on creation alone, by one document. Zoom's refusal then ends in the outcome.

use http::Method;
use serde_json::json;
use usher_shared::{ResolvedUser, Restore, Verdict};

use super::{ADMIN, MEMBER, OWNER, ZoomProvider, segment, unnameable};
use crate::provider::{Call, Part, Reply, Restorable};

/// `type`: what a deactivated user is left with.
const BASIC: &str = "1";
/// `type`: with a licence.
const LICENSED: &str = "2";

/// What an undo puts back at Zoom, and what it can't.
pub(in crate::provider) const RESTORABLE: Restorable = Restorable {
    given_back: &[
        "the sign-in",
        "the licence type, where a seat is free; without one the user is activated as Basic, and the outcome says so",
        "a role of the account's own",
        "the groups that still exist",
    ],
    lost: &[
        "add-ons (large meetings, webinars, Zoom Phone, cloud storage, ...): assign them again in the portal",
        "the phone number and calling plan of Zoom Phone: a number that was released may be somebody else's by now",
        "the primary group, where the user had several: set it in the portal",
        "meetings, webinars and recordings that were handed to somebody else on deactivation: they stay there",
        "what Zoom itself dropped or changed meanwhile, such as a group or role that was deleted",
    ],
};

/// What of `restore` is never given back, each with the reason.
pub(in crate::provider) fn never_given_back(restore: &Restore) -> Vec<String> {
    Part::all(restore).filter_map(|part| refused(&part)).collect()
}

/// Why a part is never given, by whomever it is asked for: whoever may submit a run must not be able to make admins.
fn refused(part: &Part) -> Option<String> {
    match part {
        Part::Role(id) if id == OWNER => {
            Some("the owner's role is never given: hand it over in the portal".into())
        }
        Part::Role(id) if id == ADMIN => {
            Some("the admin role is never given by usher: give it in the portal".into())
        }
        _ => None,
    }
}

/// What the user lacks. Basic and the plain member's role are what deactivating leaves at least, so they are never missing, and a
/// user who has a licence by now keeps it.
pub(super) fn lacking(restore: &Restore, now: &ResolvedUser) -> Vec<Part> {
    let has = &now.before;
    Part::all(restore)
        .filter(|part| match part {
            Part::License(wanted) => {
                let licence = has.license.as_deref();
                wanted != BASIC && licence != Some(LICENSED) && licence != Some(wanted)
            }
            Part::Role(wanted) => wanted != MEMBER && has.role.as_ref() != Some(wanted),
            Part::Group(wanted) => !has.groups.contains(wanted),
        })
        .collect()
}

/// Gives one part back.
pub(super) async fn give_back(zoom: &ZoomProvider, part: &Part, user: &ResolvedUser) -> Reply {
    if let Some(why) = refused(part) {
        return of_ours("role", why);
    }
    let call = Call::GiveBack(part.kind());
    let (method, path, body) = match part {
        Part::License(of_type) => {
            // Zoom's types are numbers.
            let Ok(of_type) = of_type.parse::<u8>() else {
                return of_ours("license", format!("{of_type:?} is no licence type of Zoom's"));
            };
            let name = if user.id.is_empty() { user.email.as_deref().unwrap_or_default() } else { &user.id };
            let Some(name) = segment(name) else { return unnameable(name) };
            (Method::PATCH, format!("/users/{name}"), json!({ "type": of_type }))
        }
        Part::Role(id) | Part::Group(id) => {
            let collection = if matches!(part, Part::Role(_)) { "roles" } else { "groups" };
            let Some(id) = segment(id) else {
                return of_ours(collection, format!("{id:?} names nothing in an address"));
            };
            (Method::POST, format!("/{collection}/{id}/members"), json!({ "members": [member(user)] }))
        }
    };
    let (Ok((_, mut reply)) | Err(mut reply)) = zoom.call(call, method, &path, &[], Some(&body)).await;
    if let (Verdict::NoSeat, Part::License(of_type)) = (reply.verdict, part) {
        let zooms = reply.message.take().unwrap_or_default();
        let code = reply.code.as_deref().unwrap_or_default();
        let zooms: String = zooms.chars().take(300).collect();
        reply.message = Some(format!("no seat of type {of_type} was free (Zoom: {code}, {zooms})"));
    }
    reply
}

/// One member in the body: by id where there is one, for an address may change.
fn member(user: &ResolvedUser) -> serde_json::Value {
    if user.id.is_empty() { json!({ "email": user.email }) } else { json!({ "id": user.id }) }
}

fn of_ours(code: &str, message: String) -> Reply {
    Reply { code: Some(code.to_owned()), message: Some(message), ..Reply::of(Verdict::Rejected) }
}

#[cfg(test)]
mod tests {
    use usher_shared::{Status, UserState};

    use super::*;

    fn user(license: &str, role: &str, groups: &[&str]) -> ResolvedUser {
        let groups = groups.iter().map(ToString::to_string).collect();
        let before = UserState {
            status: Status::Active,
            license: (!license.is_empty()).then(|| license.to_owned()),
            role: Some(role.to_owned()),
            groups,
        };
        ResolvedUser { id: "KDcuGIm1QgePTO8WbOqwIQ".into(), email: None, before }
    }

    fn wanted(license: &str, role: &str, groups: &[&str]) -> Restore {
        let before = user(license, role, groups).before;
        Restore { license: before.license, role: before.role, groups: before.groups }
    }

    #[test]
    fn only_what_is_missing_is_given_back_and_nothing_is_taken_away() {
        let cases: &[(Restore, ResolvedUser, &[&str])] = &[
            (
                wanted("2", "R1", &["a", "b"]),
                user("1", "2", &[]),
                &["licence type 2", "role R1", "group a", "group b"],
            ),
            (wanted("2", "R1", &["a", "b"]), user("1", "R1", &["b"]), &["licence type 2", "group a"]),
            (wanted("2", "2", &["a"]), user("2", "2", &["a", "c"]), &[]),
            (wanted("1", "2", &[]), user("2", "R9", &["c"]), &[]),
            (wanted("4", "2", &[]), user("1", "2", &[]), &["licence type 4"]),
            (wanted("4", "2", &[]), user("2", "2", &[]), &[]),
            (wanted("2", "2", &[]), user("", "2", &[]), &["licence type 2"]),
            (Restore::default(), user("1", "2", &[]), &[]),
        ];
        for (restore, now, expected) in cases {
            let found: Vec<String> = lacking(restore, now).iter().map(ToString::to_string).collect();
            assert_eq!(found, *expected, "{restore:?} {now:?}");
        }
    }

    #[test]
    fn nobody_is_made_an_admin_or_the_owner() {
        for role in [OWNER, ADMIN] {
            assert_eq!(never_given_back(&wanted("2", role, &["a"])).len(), 1);
        }
        assert!(never_given_back(&wanted("2", "R1", &["a"])).is_empty());
    }
}
