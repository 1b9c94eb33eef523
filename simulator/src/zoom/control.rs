//! The simulator's own endpoint: what happened, who is there, and what to change while it runs.

use serde::Deserialize;
use serde_json::{Value, json};

use super::account::Account;
use super::directory::UserChange;
use super::settings::Settings;
use crate::clock::Moment;
use crate::faults::{MsRange, Outage, OutageMode};
use crate::message::{Call, Reply, decode_segment};
use crate::server::CONTROL;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutageNow {
    for_ms: u64,
    #[serde(default)]
    close: bool,
}

/// Answers a call under `/_control`.
pub(super) fn answer(account: &mut Account, now: Moment, call: &Call) -> Reply {
    let path = call.path.strip_prefix(CONTROL).unwrap_or(&call.path);
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["report"]) => {
            let with_changes = call.query_value("changes").as_deref() != Some("false");
            Reply::json(200, &account.report(now, with_changes))
        }
        ("GET", ["calls"]) => Reply::json(200, &json!({"calls": account.journal.lines()})),
        ("POST", ["reset"]) => {
            account.reset_record();
            Reply::empty(204)
        }
        ("GET", ["users"]) => Reply::json(200, &json!({"users": account.users()})),
        (method @ ("GET" | "PATCH" | "DELETE"), ["users", name]) => one_user(account, method, name, call),
        ("GET", ["settings"]) => Reply::json(200, &account.settings),
        ("POST", ["settings"]) => {
            let merged = changed_settings(&account.settings, &call.body);
            match merged.and_then(|settings| account.set(now, settings)) {
                Ok(()) => Reply::json(200, &account.settings),
                Err(why) => wrong(&why),
            }
        }
        ("POST", ["outage"]) => match serde_json::from_slice::<OutageNow>(&call.body) {
            Ok(outage) => {
                let from = now.since(account.start).as_millis() as u64;
                let mode = if outage.close { OutageMode::Close } else { OutageMode::Unavailable };
                let outage = Outage { during: MsRange::new(from, from.saturating_add(outage.for_ms)), mode };
                account.settings.faults.outages.push(outage);
                Reply::json(200, &json!({"outage": outage}))
            }
            Err(error) => wrong(&error.to_string()),
        },
        ("POST", ["tokens", "kill"]) => Reply::json(200, &json!({"killed": account.tokens.kill_all(now)})),
        _ => Reply::json(404, &json!({"error": "no such control call; simulator/README.md lists them"})),
    }
}

fn one_user(account: &mut Account, method: &str, name: &str, call: &Call) -> Reply {
    let Some(name) = decode_segment(name) else { return wrong("the user's name is no UTF-8") };
    let user = match method {
        "PATCH" => match serde_json::from_slice::<UserChange>(&call.body) {
            Ok(change) => account.update_user(&name, change),
            Err(error) => return wrong(&error.to_string()),
        },
        "DELETE" => account.remove_user(&name),
        _ => account.user(&name),
    };
    user.map_or_else(|| Reply::json(404, &json!({"error": "no such user"})), |user| Reply::json(200, &user))
}

fn wrong(why: &str) -> Reply {
    Reply::json(400, &json!({"error": why}))
}

/// The settings with those of `body` in place of the old; what it leaves out stays.
fn changed_settings(old: &Settings, body: &[u8]) -> Result<Settings, String> {
    let change: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if !change.is_object() {
        return Err("the body must be a JSON object of settings".to_owned());
    }
    let mut settings = serde_json::to_value(old).map_err(|error| error.to_string())?;
    merge(&mut settings, change);
    serde_json::from_value(settings).map_err(|error| error.to_string())
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value,
    }
}

#[cfg(test)]
mod tests {
    use super::super::caller::Caller;
    use super::super::directory::Trouble;
    use super::*;

    #[test]
    fn settings_change_in_part_and_the_rest_stays() {
        let mut caller = Caller::new(|_| {});
        let body = r#"{"limits":{"light":5},"faults":{"latency_ms":"10..20","outages":["0..5:503"]}}"#;
        let (status, now) = caller.control("POST", "/_control/settings", Some(body));
        assert_eq!(status, 200, "{now}");
        assert_eq!((&now["limits"]["light"], &now["limits"]["plan"]), (&json!(5), &json!("business")));
        assert_eq!(caller.account.settings.faults.latency_ms, MsRange::new(10, 20));
        let fitted = (0..20).filter(|_| caller.get("/v2/users/me").0 == 200).count();
        assert_eq!(fitted, 0, "the outage lasts until millisecond 5");
        caller.advance(1000);
        let fitted = (0..20).filter(|_| caller.get("/v2/users/me").0 == 200).count();
        assert_eq!(fitted, 5);
    }

    #[test]
    fn settings_that_are_wrong_or_fixed_are_refused_by_name() {
        let mut caller = Caller::new(|_| {});
        let rows = [
            (r#"{"seed":2}"#, "seed"),
            (r#"{"directory":{"users":7}}"#, "directory"),
            (r#"{"faults":{"lost":2}}"#, "lost"),
            (r#"{"limits":{"lihgt":5}}"#, "lihgt"),
            ("[]", "object"),
        ];
        for (body, word) in rows {
            let before = caller.account.settings.clone();
            let (status, said) = caller.control("POST", "/_control/settings", Some(body));
            assert_eq!(status, 400, "{body}");
            assert!(said["error"].as_str().unwrap().contains(word), "{said}");
            assert_eq!(caller.account.settings, before);
        }
    }

    #[test]
    fn users_are_looked_at_changed_and_removed_by_hand() {
        let mut caller = Caller::new(|_| {});
        let user = caller.someone(Trouble::None);
        let path = format!("/_control/users/{}", user.email);
        let (_, changed) = caller.control("PATCH", &path, Some(r#"{"role_id":"1","type":1}"#));
        assert_eq!((&changed["role_id"], &changed["type"]), (&json!("1"), &json!(1)));
        assert_eq!(caller.set_status(&user.email, "deactivate").0, 400, "an admin now");
        assert_eq!(caller.control("PATCH", &path, Some(r#"{"rule_id":"1"}"#)).0, 400);
        assert_eq!(caller.control("DELETE", &path, None).0, 200);
        assert_eq!(caller.control("GET", &path, None).0, 404);
        assert_eq!(caller.set_status(&user.email, "deactivate").0, 404);
        let (_, all) = caller.control("GET", "/_control/users", None);
        assert_eq!(all["users"].as_array().unwrap().len(), caller.account.users().len());
    }

    #[test]
    fn the_report_says_what_was_called_and_a_reset_forgets_it() {
        let mut caller = Caller::new(|_| {});
        let user = caller.someone(Trouble::None);
        caller.set_status(&user.email, "deactivate");
        let (_, report) = caller.control("GET", "/_control/report", None);
        assert_eq!(report["calls"]["PUT /users/{userId}/status"]["204"], json!(1));
        assert_eq!(report["changes"][0]["user"], json!(*user.email));
        assert_eq!((&report["tokens_issued"], &report["live_tokens"]), (&json!(1), &json!(1)));
        assert_eq!(report["pace"]["status"]["max_in_any_second"], json!(1));
        let (_, short) = caller.control("GET", "/_control/report?changes=false", None);
        assert_eq!(short["changes"], json!([]));
        assert_eq!(caller.control("POST", "/_control/reset", None).0, 204);
        let (_, report) = caller.control("GET", "/_control/report", None);
        assert_eq!((&report["calls"], &report["live_tokens"]), (&json!({}), &json!(1)));
    }

    #[test]
    fn every_call_is_written_down_while_the_journal_is_on() {
        let mut caller = Caller::new(|_| {});
        let user = caller.someone(Trouble::None);
        caller.set_status(&user.email, "deactivate");
        assert_eq!(caller.control("GET", "/_control/calls", None).1["calls"], json!([]), "off by default");
        caller.control("POST", "/_control/settings", Some(r#"{"journal":true,"limits":{"light":1}}"#));
        let body = r#"{"action":"activate"}"#;
        let call = caller.authorized("PUT", &format!("/v2/users/{}/status", user.email), Some(body));
        let arrived = caller.clock.now().as_micros();
        let ticket = caller.arrive(&call);
        let (_, said) = caller.control("GET", "/_control/calls", None);
        assert_eq!(
            (&said["calls"][0]["ending"], &said["calls"][0]["ended_us"]),
            (&Value::Null, &Value::Null)
        );
        caller.advance(60);
        caller.finish(&call, ticket);
        assert_eq!(caller.set_status(&user.email, "activate").0, 429);
        let (_, said) = caller.control("GET", "/_control/calls", None);
        let line = json!({"route": "PUT /users/{userId}/status", "user": *user.email, "seen_us": arrived,
            "arrived_us": arrived, "ended_us": arrived + 60_000, "ending": "204"});
        assert_eq!((&said["calls"][0], &said["calls"][1]["ending"]), (&line, &json!("429")));
        caller.control("POST", "/_control/reset", None);
        assert_eq!(caller.control("GET", "/_control/calls", None).1["calls"], json!([]));
    }

    #[test]
    fn tokens_are_killed_and_outages_begin_on_demand() {
        let mut caller = Caller::new(|_| {});
        assert_eq!(caller.control("POST", "/_control/tokens/kill", None).1["killed"], json!(1));
        assert_eq!(caller.get("/v2/users/me").0, 401);
        caller.renew_token();
        caller.advance(500);
        assert_eq!(caller.control("POST", "/_control/outage", Some(r#"{"for_ms":1000}"#)).0, 200);
        let call = caller.authorized("GET", "/v2/users/me", None);
        let during = super::super::caller::replied(caller.send(&call));
        assert_eq!(during.status, 503);
        caller.advance(1001);
        assert_eq!(caller.get("/v2/users/me").0, 200);
        assert_eq!(caller.control("POST", "/_control/nothing", None).0, 404);
    }
}
