//! What a reply of Zoom means: one pure function over the call, the status, the headers, the body and the time.
//!
//! Sources: Zoom's API reference for `PUT /users/{userId}/status` (its error table), "Rate limits", and "Error definitions".
//! Decisions where the documents are silent:
//! - A change is `applied` where the answer is a whole 200 or 204 (one document has the one, another the other) with no body, or
//!   with a JSON object that states no error; a 204 that announces a body is none. Anything else under a 2xx is not Zoom's word that it is done (a portal's page, a
//!   gateway's 202, an answer that broke off): `transient`, for "deactivated" must be true. The next try tells.
//! - A 403 of a change is about that user (an app whose owner has no rights over admins, say), so that user is `rejected`:
//!   halting would let one such user stop everybody behind it, the urgent ones too. What concerns the whole account, a
//!   missing scope, has codes of its own (4711, 4700), which do halt it. A 403 of a listing or a look-up is about nobody in
//!   particular, so it halts the account.
//! - A 4xx that is no JSON object or has neither code nor message, a 404 without a code, and a status that is none of HTTP's, are not Zoom's: a gateway, a firewall or
//!   the wrong host has answered, and would answer so for everybody. They are `transient`, so that the breaker stops the run
//!   instead of every user ending as rejected.
//! - A redirect is never followed (the token would go with it); it may be a portal in front of the network or a
//!   maintenance page, so it is `transient`.

use usher_shared::{Action, HoldReason, Verdict};

use super::{access, said::Said, throttle};
use crate::provider::{Call, PAGE_EXPIRED, PartKind, Reply, http::Answer};

/// What an answer to this call means.
pub(super) fn classify(call: Call, answer: &Answer, now: usher_shared::Timestamp) -> Reply {
    let status = answer.status;
    let mut reply = Reply {
        http: Some(status),
        remaining: throttle::remaining(&answer.headers),
        ..Reply::of(Verdict::Unknown)
    };
    if (200..300).contains(&status) {
        return succeeded(call, answer, reply);
    }
    let said = Said::read(answer.body.bytes());
    reply.code = said.code.clone();
    reply.message = said.message.clone();
    match status {
        429 => {
            let refusal = throttle::refusal(&answer.headers, &said, now);
            reply.verdict = Verdict::Throttled;
            reply.throttle = Some(refusal.throttle);
            reply.retry_at = refusal.retry_at;
        }
        500..600 => {
            reply.verdict = Verdict::Transient;
            reply.retry_at = throttle::retry_at(&answer.headers, now);
            // A gateway's 502 says nothing of what the server behind it did.
            reply.may_have_applied = call.changes();
        }
        // The vendor did not get, or did not look at, the request.
        407 | 408 | 421 | 425 => {
            reply.verdict = Verdict::Transient;
            reply.retry_at = throttle::retry_at(&answer.headers, now);
        }
        300..400 => {
            reply.verdict = Verdict::Transient;
            reply.code = Some("redirect".to_owned());
            reply.message = Some(redirected(answer));
        }
        400..500 if answer.body.cut().is_some() && !said.json => cut(answer, &mut reply),
        400..500
            if status != 401
                && said.code.is_none()
                && (status == 404 || !said.json || said.message.is_none()) =>
        {
            foreign(status, &said, &mut reply);
        }
        400..500 => refused(call, status, &said, &mut reply),
        _ => {
            foreign(status, &said, &mut reply);
            reply.may_have_applied = call.changes();
        }
    }
    reply
}

fn succeeded(call: Call, answer: &Answer, mut reply: Reply) -> Reply {
    let doubt = match call {
        Call::Apply(_) | Call::GiveBack(_) => not_done(call, answer),
        Call::List | Call::LookUp => (answer.status != 200)
            .then(|| ("status", format!("HTTP {} is no answer of Zoom's to a question", answer.status))),
    };
    reply.verdict = Verdict::Applied;
    if answer.body.cut().is_some() {
        // A page that broke off is no page, and an answer that broke off confirms nothing.
        cut(answer, &mut reply);
    } else if let Some((code, message)) = doubt {
        reply.verdict = Verdict::Transient;
        reply.code = Some(code.to_owned());
        reply.message = Some(limit(message));
    }
    reply.may_have_applied = reply.verdict == Verdict::Transient && call.changes();
    reply
}

/// Why an answer under a 2xx does not say that the change is done: (code, message).
fn not_done(call: Call, answer: &Answer) -> Option<(&'static str, String)> {
    let status = answer.status;
    // A member that was added to a group or a role is a 201.
    let added = status == 201 && matches!(call, Call::GiveBack(PartKind::Role | PartKind::Group));
    if !(added || matches!(status, 200 | 204)) {
        return Some(("status", format!("HTTP {status} does not say that the change is done")));
    }
    // A 204 has no body (RFC 9110, 15.3.5), so one that is announced is never read, and can't tell its sender.
    let announced = answer.headers.get(http::header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if status == 204 && announced {
        return Some((
            "not_zoom",
            "HTTP 204 with a body is none of Zoom's: another server answered".to_owned(),
        ));
    }
    if answer.body.bytes().trim_ascii().is_empty() {
        return None;
    }
    let said = Said::read(answer.body.bytes());
    // What is not UTF-8 is no JSON, even where an error's words could be made out of it.
    let json = said.json && std::str::from_utf8(answer.body.bytes()).is_ok();
    match (json, said.code, said.message) {
        (false, ..) => Some((
            "not_json",
            "the answer says that it is done, but it is not Zoom's: its body is no JSON object".to_owned(),
        )),
        (true, Some(code), message) => Some((
            "contradiction",
            format!(
                "HTTP {status} says that it is done, its body has error {code}: {}",
                message.unwrap_or_default()
            ),
        )),
        (true, None, _) => None,
    }
}

/// An answer that is not Zoom's own.
fn foreign(status: u16, said: &Said, reply: &mut Reply) {
    reply.verdict = Verdict::Transient;
    reply.code = Some(status.to_string());
    let excerpt = said.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    reply.message = Some(limit(format!("HTTP {status}, and not as Zoom answers{excerpt}")));
}

/// An answer that was not read to its end, and that means nothing without it.
fn cut(answer: &Answer, reply: &mut Reply) {
    if let Some(cut) = answer.body.cut() {
        reply.verdict = Verdict::Transient;
        reply.code = Some(cut.code().to_owned());
        reply.message = Some(cut.message().to_owned());
    }
}

/// A 4xx other than 429 and those that say "try again".
fn refused(call: Call, status: u16, said: &Said, reply: &mut Reply) {
    let code = said.code.as_deref().unwrap_or_default();
    reply.verdict = match (status, code) {
        (_, "4711" | "4700") => return scope(call, said, reply),
        (401, _) | (400, "124") => Verdict::Unauthorized,
        // The four codes that documents have for "no licence is free"; 3412 is about a policy as well, which a person has to look at, too.
        (400..=409, "2033" | "2034" | "2038" | "3412") if call == Call::GiveBack(PartKind::License) => {
            Verdict::NoSeat
        }
        // "Group not belong to the account" is about the group, not about the user.
        (_, "1010") if matches!(call, Call::GiveBack(PartKind::Group | PartKind::Role)) => Verdict::Rejected,
        (400 | 404, "1010") | (404, "1001") => Verdict::NotFound,
        // Force locked; a Zoom Room or an admin; no licence or not approved.
        (400, "1000" | "200" | "3412") => Verdict::Rejected,
        (403, _) => match call {
            Call::Apply(_) | Call::GiveBack(_) => Verdict::Rejected,
            Call::List | Call::LookUp => Verdict::Forbidden,
        },
        _ => match call {
            Call::Apply(action) if already(action, said) => Verdict::AlreadyApplied,
            Call::GiveBack(kind) if has_already(kind, said) => Verdict::AlreadyApplied,
            Call::List if page_expired(said) => {
                reply.code = Some(PAGE_EXPIRED.to_owned());
                Verdict::Rejected
            }
            _ if said.code.is_some() => Verdict::Rejected,
            _ => Verdict::Unknown,
        },
    };
    if reply.code.is_none() && reply.verdict != Verdict::AlreadyApplied {
        reply.code = Some(status.to_string());
    }
    if reply.message.is_none() {
        reply.message = Some(format!("HTTP {status} without a message"));
    }
    if reply.verdict == Verdict::Forbidden {
        reply.halt = Some(HoldReason::Scope);
        let needed = access::needs(call).join(" or ");
        let said = said.message.as_deref().unwrap_or("insufficient permission");
        reply.message = Some(limit(format!(
            "Zoom does not let the app read users: {said}. Check that the app has the scope {needed} and that its \
             owner's role may see users"
        )));
    }
}

/// A token without the scope that the call needs: no user is at fault, and no retry helps.
fn scope(call: Call, said: &Said, reply: &mut Reply) {
    let message = said.message.as_deref().unwrap_or_default();
    let mut named: Vec<&str> = message
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, ':' | '_')))
        .filter(|word| word.contains(':') && !word.starts_with(':') && !word.ends_with(':'))
        .collect();
    if named.is_empty() {
        named = access::needs(call).to_vec();
    }
    reply.verdict = Verdict::Forbidden;
    reply.halt = Some(HoldReason::Scope);
    reply.message = Some(limit(format!(
        "the token lacks a scope; add {} to the server-to-server OAuth app in Zoom's App Marketplace, then release the \
         account. Zoom says: {message}",
        named.join(" or ")
    )));
}

/// Whether a refusal only says that the user is already as wished. Zoom documents no such answer, so the wording is free:
/// "already inactive", "has already been deactivated", "is inactive", "inactive already", "already in this status".
fn already(action: Action, said: &Said) -> bool {
    const BETWEEN: [&str; 11] =
        ["been", "in", "is", "set", "to", "an", "a", "the", "status", "state", "currently"];
    const SAME: [&str; 5] = ["this", "that", "same", "requested", "desired"];
    let wished: &[&str] = match action {
        Action::Deactivate => &["inactive", "deactivated", "disabled"],
        Action::Activate => &["active", "activated", "enabled"],
    };
    let message = said.lower();
    let words: Vec<&str> =
        message.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.iter().enumerate().any(|(at, word)| {
        let (before, after) = (&words[..at], &words[at + 1..]);
        match (before, *word) {
            ([.., "not"], _) => false,
            // "... inactive already", "... in this status already"
            ([.., last], "already") if wished.contains(last) => true,
            ([.., "in", same, "status" | "state"], "already") if SAME.contains(same) => true,
            // "already been deactivated", "already in the requested state"
            (_, "already") => after
                .iter()
                .find(|word| !BETWEEN.contains(word))
                .is_some_and(|found| wished.contains(found) || SAME.contains(found)),
            (_, "is") => after.first().is_some_and(|found| wished.contains(found)),
            _ => false,
        }
    })
}

/// Whether a refusal only says that the user has the role, or is in the group: no document has such an answer, so the wording is
/// free ("is already a member of this group", "already been assigned").
fn has_already(kind: PartKind, said: &Said) -> bool {
    const BETWEEN: [&str; 8] = ["been", "in", "is", "to", "an", "a", "the", "this"];
    let there: &[&str] = match kind {
        PartKind::License => return false,
        PartKind::Role => &["member", "assigned", "added", "role"],
        PartKind::Group => &["member", "added", "belongs", "group", "exists"],
    };
    let message = said.lower();
    let words: Vec<&str> =
        message.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.iter().enumerate().any(|(at, word)| {
        *word == "already"
            && words.get(at.wrapping_sub(1)) != Some(&"not")
            && words[at + 1..]
                .iter()
                .find(|word| !BETWEEN.contains(word))
                .is_some_and(|found| there.contains(found))
    })
}

/// `next_page_token` lives 15 minutes.
fn page_expired(said: &Said) -> bool {
    let message = said.lower();
    (message.contains("next_page_token")
        || message.contains("next page token")
        || message.contains("page token"))
        && ["expired", "invalid"].iter().any(|word| message.contains(word))
}

fn redirected(answer: &Answer) -> String {
    let host = answer
        .headers
        .get("location")
        .and_then(|to| to.to_str().ok())
        .and_then(|to| url::Url::parse(to).ok())
        .and_then(|to| to.host_str().map(str::to_owned));
    let to = host.map(|host| format!(" to {host}")).unwrap_or_default();
    limit(format!("redirected{to}; usher follows no redirect with a token: check base_url and the network"))
}

/// The contract's bound on messages.
fn limit(text: String) -> String {
    if text.chars().count() <= 500 { text } else { text.chars().take(500).collect() }
}

#[cfg(test)]
#[path = "classify_table.rs"]
mod tests;
