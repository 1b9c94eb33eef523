//! `GET /users`: pages, and the tokens that lead from one to the next.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use super::account::Account;
use super::answer::{error, invalid};
use super::directory::{SimUser, Status};
use super::users::Shown;
use crate::clock::Moment;
use crate::message::{Call, Reply};
use crate::seeded::Seeded;

/// `page_size` where a call names none.
const DEFAULT_PAGE: u32 = 30;
/// Expired tokens are thrown away once there are so many.
const MANY_TOKENS: usize = 10_000;

/// What a call lists; a token is good for the query that it came from alone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Query {
    status: Status,
    role_id: Option<String>,
    page_size: u32,
}

impl Query {
    fn matches(&self, user: &SimUser) -> bool {
        user.status == self.status && self.role_id.as_deref().is_none_or(|role| *user.role_id == *role)
    }
}

#[derive(Clone, Debug)]
struct Cursor {
    query: Query,
    position: usize,
    page_number: u64,
    total: u64,
    expires: Moment,
}

/// The page tokens given out.
#[derive(Debug)]
pub(crate) struct Cursors {
    by_token: HashMap<String, Cursor>,
    rng: Seeded,
}

impl Cursors {
    pub(crate) fn new(seed: u64) -> Self {
        Self { by_token: HashMap::new(), rng: Seeded::keyed(seed, 3, 0) }
    }

    fn keep(&mut self, now: Moment, cursor: Cursor) -> String {
        if self.by_token.len() >= MANY_TOKENS {
            self.by_token.retain(|_, cursor| cursor.expires > now);
        }
        let token = format!("{:016x}{:016x}", self.rng.bits(), self.rng.bits());
        self.by_token.insert(token.clone(), cursor);
        token
    }

    fn find(&self, now: Moment, token: &str, query: &Query) -> Option<Cursor> {
        self.by_token.get(token).filter(|cursor| cursor.expires > now && cursor.query == *query).cloned()
    }
}

/// What more of each user a call asks for.
#[derive(Clone, Copy, Default)]
struct Extras {
    host_key: bool,
    custom_attributes: bool,
}

fn query(call: &Call, max_page_size: u32) -> Result<(Query, Extras), Reply> {
    let value = |name: &str| call.query_value(name).filter(|value| !value.is_empty());
    let status = match value("status").as_deref() {
        None | Some("active") => Status::Active,
        Some("inactive") => Status::Inactive,
        Some("pending") => Status::Pending,
        Some(_) => return Err(invalid("status", "Invalid field.")),
    };
    let page_size = match value("page_size").map(|text| text.parse::<u32>()) {
        None => DEFAULT_PAGE,
        Some(Ok(size)) if (1..=max_page_size).contains(&size) => size,
        Some(_) => {
            let message = format!("Enter a value that is less than or equal to {max_page_size}.");
            return Err(invalid("page_size", &message));
        }
    };
    let mut extras = Extras::default();
    for field in value("include_fields").as_deref().into_iter().flat_map(|fields| fields.split(',')) {
        match field.trim() {
            "host_key" => extras.host_key = true,
            "custom_attributes" => extras.custom_attributes = true,
            _ => return Err(invalid("include_fields", "Invalid field.")),
        }
    }
    Ok((Query { status, role_id: value("role_id"), page_size }, extras))
}

impl Account {
    pub(super) fn list_users(&mut self, now: Moment, call: &Call) -> Reply {
        let (query, extras) = match query(call, self.settings.rules.max_page_size) {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        let at = match call.query_value("next_page_token").filter(|token| !token.is_empty()) {
            Some(token) => match self.cursors.find(now, &token, &query) {
                Some(cursor) => cursor,
                None => return error(400, 300, "The next page token is invalid or expired."),
            },
            None => match self.first_page(now, call, query) {
                Ok(cursor) => cursor,
                Err(reply) => return reply,
            },
        };
        self.page(now, at, extras)
    }

    /// Where a listing begins that has no token yet: at the start, or at the `page_number` of old.
    fn first_page(&self, now: Moment, call: &Call, query: Query) -> Result<Cursor, Reply> {
        let page_number = match call.query_value("page_number").map(|text| text.parse::<u64>()) {
            None => 1,
            Some(Ok(number)) if number >= 1 => number,
            Some(_) => return Err(invalid("page_number", "Invalid field.")),
        };
        let total = self.directory.from(0).filter(|(_, user)| query.matches(user)).count() as u64;
        let before = (page_number - 1).saturating_mul(u64::from(query.page_size));
        let mut skipped = self.directory.from(0).filter(|(_, user)| query.matches(user));
        let position = match usize::try_from(before).unwrap_or(usize::MAX) {
            0 => 0,
            skip => skipped.nth(skip - 1).map_or(usize::MAX, |(position, _)| position),
        };
        Ok(Cursor { query, position, page_number, total, expires: now })
    }

    fn page(&mut self, now: Moment, at: Cursor, extras: Extras) -> Reply {
        let Cursor { query, position, page_number, total, .. } = at;
        let mut matching = self.directory.from(position).filter(|(_, user)| query.matches(user)).peekable();
        let mut after = position;
        let mut users = Vec::with_capacity(query.page_size as usize);
        while users.len() < query.page_size as usize {
            let Some((next, user)) = matching.next() else { break };
            after = next;
            let mut shown = Shown::of(user);
            if extras.host_key {
                shown.host_key = Some(format!("{:06}", next % 1_000_000));
            }
            shown.custom_attributes = extras.custom_attributes.then_some([]);
            users.push(shown);
        }
        let more = matching.peek().is_some();
        let life = Duration::from_secs(self.settings.rules.page_token_life_s);
        let page_size = query.page_size;
        let cursors = &mut self.cursors;
        let next_page_token = if more {
            let expires = now.plus(life);
            cursors.keep(now, Cursor { query, position: after, page_number: page_number + 1, total, expires })
        } else {
            String::new()
        };
        Reply::json(
            200,
            &json!({
                "page_count": total.div_ceil(u64::from(page_size)),
                "page_number": page_number,
                "page_size": page_size,
                "total_records": total,
                "next_page_token": next_page_token,
                "users": users,
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::super::caller::Caller;
    use super::*;

    fn many(users: u32) -> Caller {
        Caller::new(|s| {
            s.directory.users = users;
            s.limits.plan = super::super::plan::Plan::Unlimited;
        })
    }

    fn walk(caller: &mut Caller, query: &str) -> (Vec<Value>, u32) {
        let (mut users, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let (status, page) = caller.get(&format!("/v2/users?{query}&next_page_token={token}"));
            assert_eq!(status, 200, "{page}");
            pages += 1;
            users.extend(page["users"].as_array().unwrap().iter().cloned());
            token = page["next_page_token"].as_str().unwrap().to_owned();
            if token.is_empty() {
                assert_eq!(page["total_records"].as_u64().unwrap(), users.len() as u64);
                return (users, pages);
            }
        }
    }

    #[test]
    fn the_pages_of_each_status_hold_every_user_once() {
        let mut caller = many(1000);
        let mut emails = HashSet::new();
        for (status, pages) in [("active", 4), ("inactive", 1), ("pending", 1)] {
            let (users, walked) = walk(&mut caller, &format!("status={status}&page_size=300"));
            assert_eq!(walked, pages, "{status}");
            assert!(users.iter().all(|u| u["status"] == status && emails.insert(u["email"].clone())));
        }
        assert_eq!(emails.len(), caller.account.users().len());
    }

    #[test]
    fn a_last_page_that_is_just_full_has_no_successor() {
        let mut caller = many(591);
        // With the owner and the troubled who are active: 600.
        let (users, pages) = walk(&mut caller, "page_size=300");
        assert_eq!((users.len(), pages), (600, 2));
    }

    #[test]
    fn a_page_token_is_good_for_its_own_query_and_for_fifteen_minutes() {
        let mut caller = many(1000);
        let (_, page) = caller.get("/v2/users?page_size=100");
        let token = page["next_page_token"].as_str().unwrap().to_owned();
        let same = format!("/v2/users?page_size=100&next_page_token={token}");
        assert_eq!(caller.get(&same).0, 200);
        assert_eq!(caller.get(&same).0, 200, "a page whose reply was lost can be asked for again");
        let other = format!("/v2/users?page_size=100&status=inactive&next_page_token={token}");
        assert_eq!(caller.get(&other).0, 400);
        caller.advance(899_000);
        assert_eq!(caller.get(&same).0, 200);
        caller.advance(1_000);
        let (status, body) = caller.get(&same);
        assert_eq!((status, body["code"].as_u64()), (400, Some(300)));
    }

    #[test]
    fn page_sizes_and_other_values_are_checked() {
        let mut caller = many(100);
        assert_eq!(caller.get("/v2/users").1["users"].as_array().unwrap().len(), 30);
        assert_eq!(caller.get("/v2/users?page_size=300").0, 200);
        for query in [
            "page_size=301",
            "page_size=0",
            "page_size=x",
            "status=gone",
            "include_fields=x",
            "page_number=0",
        ] {
            let (status, body) = caller.get(&format!("/v2/users?{query}"));
            assert_eq!((status, body["code"].as_u64()), (400, Some(300)), "{query}");
        }
    }

    #[test]
    fn the_page_numbers_of_old_and_the_role_filter_work() {
        let mut caller = many(100);
        let (all, _) = walk(&mut caller, "page_size=40");
        let (_, second) = caller.get("/v2/users?page_size=40&page_number=2");
        assert_eq!(second["users"].as_array().unwrap()[..], all[40..80]);
        let (_, beyond) = caller.get("/v2/users?page_size=40&page_number=9");
        assert_eq!(beyond["users"], json!([]));
        let (_, admins) = caller.get("/v2/users?role_id=1");
        assert_eq!(admins["total_records"], json!(2));
        assert!(admins["users"].as_array().unwrap().iter().all(|u| u["role_id"] == "1"));
    }

    #[test]
    fn more_fields_come_only_when_asked_for() {
        let mut caller = many(3);
        let (_, page) = caller.get("/v2/users?include_fields=host_key,custom_attributes");
        assert!(page["users"][0]["host_key"].is_string() && page["users"][0]["custom_attributes"].is_array());
        let (_, page) = caller.get("/v2/users");
        assert!(page["users"][0].get("host_key").is_none());
    }
}
