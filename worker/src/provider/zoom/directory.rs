//! Zoom's users as it lists them: read tolerantly, for fields are missing, and numbers come as text.

use serde_json::{Map, Value};
use usher_shared::{ResolvedUser, Status, UserState};

use super::said::scalar;

/// A page of `GET /users`.
#[derive(Debug)]
pub(super) struct ListPage {
    pub(super) users: Vec<ResolvedUser>,
    /// Entries that are no user: neither an id nor an address.
    pub(super) unreadable: usize,
    pub(super) next_page_token: Option<String>,
    pub(super) total_records: Option<u64>,
}

/// Reads a page of the listing of `status`. `None` where it is none: an answer without `users` must never pass for an empty
/// directory.
pub(super) fn page(body: &[u8], status: Status) -> Option<ListPage> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str::<Value>(&String::from_utf8_lossy(body)) else {
        return None;
    };
    let Some(Value::Array(entries)) = fields.remove("users") else { return None };
    let count = entries.len();
    let users: Vec<ResolvedUser> = entries
        .into_iter()
        .filter_map(|entry| match entry {
            Value::Object(entry) => user(&entry, Some(status)),
            _ => None,
        })
        .collect();
    Some(ListPage {
        unreadable: count - users.len(),
        users,
        next_page_token: fields.get("next_page_token").and_then(scalar),
        total_records: fields.get("total_records").and_then(scalar).and_then(|total| total.parse().ok()),
    })
}

/// Why the answer to a look-up is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoUser {
    /// It is not Zoom's: no JSON object.
    NotZoom,
    /// It names nobody, or does not tell whether the user can sign in.
    Incomplete,
}

/// Reads the answer of `GET /users/{id}`.
pub(super) fn single(body: &[u8]) -> Result<ResolvedUser, NoUser> {
    match serde_json::from_str(&String::from_utf8_lossy(body)) {
        Ok(Value::Object(entry)) => user(&entry, None).ok_or(NoUser::Incomplete),
        _ => Err(NoUser::NotZoom),
    }
}

/// Reads one user; its status is `listed` where it does not tell one that is known.
fn user(entry: &Map<String, Value>, listed: Option<Status>) -> Option<ResolvedUser> {
    let text = |key: &str| entry.get(key).and_then(scalar);
    let id = text("id").unwrap_or_default();
    let email = text("email").filter(|email| email.contains('@'));
    if id.is_empty() && email.is_none() {
        return None;
    }
    let status = match text("status").map(|status| status.to_lowercase()).as_deref() {
        Some("active") => Some(Status::Active),
        Some("inactive") => Some(Status::Inactive),
        Some("pending") => Some(Status::Pending),
        _ => listed,
    };
    let groups = entry.get("group_ids").and_then(Value::as_array).into_iter().flatten().filter_map(scalar);
    Some(ResolvedUser {
        id,
        email,
        before: UserState {
            status: status?,
            license: text("type"),
            role: text("role_id"),
            groups: groups.collect(),
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_is_read_with_what_is_there() {
        let body = br#"{"page_size":300,"total_records":5,"next_page_token":"","users":[
            {"id":"a1","email":"Ann@Corp.Example","type":2,"status":"active","role_id":"1","group_ids":["g1","g2"],"dept":"x"},
            {"id":"b2","type":"1","role_id":2},
            {"email":"new@corp.example","status":"pending"},
            {"id":"c3","status":"on holiday"},
            {"type":1}, 7]}"#;
        let page = page(body, Status::Inactive).unwrap();
        assert_eq!((page.users.len(), page.unreadable), (4, 2));
        assert_eq!((page.next_page_token, page.total_records), (None, Some(5)));
        let ann = &page.users[0];
        assert_eq!((ann.id.as_str(), ann.email.as_deref()), ("a1", Some("Ann@Corp.Example")));
        assert_eq!(ann.before.license.as_deref(), Some("2"));
        assert_eq!(ann.before.role.as_deref(), Some("1"));
        assert_eq!(ann.before.groups, ["g1", "g2"]);
        assert_eq!(ann.before.status, Status::Active);
        assert_eq!(page.users[1].before.status, Status::Inactive, "the listing's own");
        assert_eq!(page.users[1].before.role.as_deref(), Some("2"));
        assert_eq!((page.users[2].id.as_str(), page.users[2].before.status), ("", Status::Pending));
        assert_eq!(page.users[3].before.status, Status::Inactive, "an unknown word tells nothing");
    }

    #[test]
    fn what_is_no_page_never_passes_for_an_empty_directory() {
        for body in ["", "{}", "[]", "<html>", r#"{"users":null}"#, r#"{"users":{}}"#, r#"{"code":300}"#] {
            assert!(page(body.as_bytes(), Status::Active).is_none(), "{body}");
        }
        assert_eq!(page(br#"{"users":[]}"#, Status::Active).unwrap().users.len(), 0);
    }

    #[test]
    fn a_single_user_without_a_known_status_is_not_taken() {
        assert!(single(br#"{"id":"a","status":"active"}"#).is_ok());
        for body in [r#"{"id":"a"}"#, r#"{"id":"a","status":"gone"}"#, r#"{"status":"active"}"#, "{}"] {
            assert_eq!(single(body.as_bytes()), Err(NoUser::Incomplete), "{body}");
        }
        for body in ["", "x", "[]", "<html>"] {
            assert_eq!(single(body.as_bytes()), Err(NoUser::NotZoom), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _page = page(&body, Status::Active);
            let _user = single(&body);
        }
    }
}
