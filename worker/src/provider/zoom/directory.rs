//! Zoom's users as it lists them: read tolerantly, for fields are missing, and numbers come as text.

use serde::{
    Deserialize,
    de::{Error, MapAccess, SeqAccess, value::MapAccessDeserializer},
};
use usher_shared::{ResolvedUser, Status, UserRef, UserState};

use super::json::{Read, Tolerant, object};

/// More entries than any page has: Zoom's guide says 300, one of its specifications 2,000.
const MOST_ENTRIES: usize = 10_000;
/// Longer than any id or address (RFC 5321 allows 254 characters).
const LONGEST_NAME: usize = 512;
/// Longer than any page token: it goes into the next page's address.
const LONGEST_TOKEN: usize = 2_048;

/// A page of `GET /users`.
#[derive(Debug)]
pub(super) struct ListPage {
    pub(super) users: Vec<ResolvedUser>,
    /// Entries that are no user: neither an id nor an address, or one that can't be read.
    pub(super) unreadable: usize,
    pub(super) next_page_token: Option<String>,
    pub(super) total_records: Option<u64>,
}

#[derive(Deserialize)]
struct PageBody {
    users: Read<Entries>,
    #[serde(default)]
    next_page_token: Read<Option<String>>,
    #[serde(default)]
    total_records: Read<Option<String>>,
}

/// The list of a page; `None` where it is no list.
#[derive(Default)]
struct Entries(Option<Vec<Entry>>);

impl Tolerant for Entries {
    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut entries = Vec::new();
        while let Some(Read(entry)) = list.next_element()? {
            if entries.len() == MOST_ENTRIES {
                return Err(A::Error::custom("more entries than a page has"));
            }
            entries.push(entry);
        }
        Ok(Self(Some(entries)))
    }
}

/// One entry of it; `None` where it is no object.
#[derive(Default)]
struct Entry(Option<UserBody>);

impl Tolerant for Entry {
    fn object<'de, A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        UserBody::deserialize(MapAccessDeserializer::new(object)).map(|user| Self(Some(user)))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserBody {
    id: Read<Option<String>>,
    email: Read<Option<String>>,
    status: Read<Option<String>>,
    #[serde(rename = "type")]
    license: Read<Option<String>>,
    role_id: Read<Option<String>>,
    group_ids: Read<Vec<String>>,
}

/// Reads a page of the listing of `status`. `None` where it is none: an answer without `users` must never pass for an empty
/// directory.
pub(super) fn page(body: &[u8], status: Status) -> Option<ListPage> {
    let body: PageBody = object(&String::from_utf8_lossy(body))?;
    let entries = body.users.0.0?;
    let count = entries.len();
    let users: Vec<ResolvedUser> =
        entries.into_iter().filter_map(|entry| user(entry.0?, Some(status))).collect();
    let next_page_token = body.next_page_token.0;
    if next_page_token.as_ref().is_some_and(|token| token.len() > LONGEST_TOKEN) {
        return None;
    }
    Some(ListPage {
        unreadable: count - users.len(),
        users,
        next_page_token,
        total_records: body.total_records.0.and_then(|total| total.parse().ok()),
    })
}

/// Why the answer to a look-up is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoUser {
    /// It is not Zoom's: no JSON object, or one that names nobody.
    NotZoom,
    /// Half a name, or it does not tell whether the user can sign in.
    Incomplete,
}

/// Reads the answer of `GET /users/{id}`.
pub(super) fn single(body: &[u8]) -> Result<ResolvedUser, NoUser> {
    match object::<UserBody>(&String::from_utf8_lossy(body)) {
        Some(entry) if entry.id.0.is_some() || entry.email.0.is_some() => {
            user(entry, None).ok_or(NoUser::Incomplete)
        }
        Some(_) | None => Err(NoUser::NotZoom),
    }
}

/// Whether this is the user who was asked for. On a connection that has lost its step, or behind a cache, a look-up may be
/// answered with somebody else, who must not be changed in the place of the one that the file names.
pub(super) fn is_asked_for(user: &ResolvedUser, asked: &UserRef) -> bool {
    if asked.is_email() {
        user.email.as_ref().is_some_and(|email| email.to_lowercase() == asked.key())
    } else {
        user.id == asked.as_str()
    }
}

/// Reads one user; its status is `listed` where it does not tell one that is known. `None` where its id or its address can't be
/// read: a user by half a name would slip past the patterns that protect it.
fn user(entry: UserBody, listed: Option<Status>) -> Option<ResolvedUser> {
    let (id, email) = (entry.id.0.unwrap_or_default(), entry.email.0.filter(|email| email.contains('@')));
    let readable = |name: &str| {
        name.len() <= LONGEST_NAME
            && !name.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER)
    };
    if (id.is_empty() && email.is_none()) || !readable(&id) || !email.as_deref().is_none_or(readable) {
        return None;
    }
    let status = match entry.status.0.map(|status| status.to_lowercase()).as_deref() {
        Some("active") => Some(Status::Active),
        Some("inactive") => Some(Status::Inactive),
        Some("pending") => Some(Status::Pending),
        _ => listed,
    };
    Some(ResolvedUser {
        id,
        email,
        before: UserState {
            status: status?,
            license: entry.license.0,
            role: entry.role_id.0,
            groups: entry.group_ids.0,
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
        for body in [r#"{"id":"a"}"#, r#"{"id":"a","status":"gone"}"#, "{\"id\":\"a\\n\"}"] {
            assert_eq!(single(body.as_bytes()), Err(NoUser::Incomplete), "{body}");
        }
        for body in ["", "x", "[]", "<html>", r#"{"status":"active"}"#, "{}"] {
            assert_eq!(single(body.as_bytes()), Err(NoUser::NotZoom), "{body}");
        }
    }

    #[test]
    fn a_page_that_says_a_thing_twice_or_has_no_measure_is_none() {
        let long = format!(r#"{{"users":[],"next_page_token":"{}"}}"#, "t".repeat(LONGEST_TOKEN + 1));
        let zeros = format!(r#"{{"users":[{}0]}}"#, "0,".repeat(MOST_ENTRIES));
        for body in [
            r#"{"users":[{"id":"a"}],"users":[]}"#,
            r#"{"users":[{"id":"a","id":"b"}]}"#,
            r#"[[],"",0]"#,
            &long,
            &zeros,
        ] {
            assert!(page(body.as_bytes(), Status::Active).is_none(), "{body:.40}");
        }
    }

    #[test]
    fn a_user_with_half_a_name_is_not_taken() {
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(LONGEST_NAME + 1));
        for entry in [
            &b"{\"id\":\"a\xff\"}"[..],
            b"{\"id\":\"a\",\"email\":\"b\xc3@x\"}",
            b"{\"id\":\"a\\u0000\"}",
            b"{\"email\":\"a\\n@x\"}",
            long.as_bytes(),
        ] {
            let body = [b"{\"users\":[", entry, b"]}"].concat();
            let page = page(&body, Status::Active).unwrap();
            assert_eq!((page.users.len(), page.unreadable), (0, 1), "{}", String::from_utf8_lossy(entry));
        }
    }

    #[test]
    fn only_the_user_who_was_asked_for_is_taken() {
        let ann = single(br#"{"id":"a1","email":"Ann@X.example","status":"active"}"#).unwrap();
        let nobody = single(br#"{"id":"a1","status":"active"}"#).unwrap();
        for (asked, is_ann, is_nobody) in [
            ("a1", true, true),
            ("A1", false, false),
            ("ann@x.EXAMPLE", true, false),
            ("bob@x.example", false, false),
        ] {
            let asked: UserRef = asked.parse().unwrap();
            assert_eq!(
                (is_asked_for(&ann, &asked), is_asked_for(&nobody, &asked)),
                (is_ann, is_nobody),
                "{asked}"
            );
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
