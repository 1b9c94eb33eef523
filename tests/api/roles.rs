//! Who may do what: a table over the whole API, made of its own description, so that no call is forgotten.

use serde_json::Value;

use crate::{
    served::{Answer, Served, place},
    support::Kind,
};

/// One call of the description.
struct Call {
    method: String,
    path: String,
    /// The role that it needs; `None`: any token will do.
    role: Option<String>,
    /// Whether it is answered without a token.
    open: bool,
    takes_body: bool,
}

/// Every call that is described, with something in place of its parameters.
fn calls(description: &Value) -> Vec<Call> {
    let mut calls = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(operation) = operation.as_object().filter(|_| method.len() <= 6 && method != "summary")
            else {
                continue;
            };
            let security = operation.get("security").unwrap_or(&description["security"]);
            let first = &security[0];
            let roles = first["bearer"].as_array();
            let path = path
                .replace("{account}", "zoom-main")
                .replace("{run}", "20261120-k3f9zm")
                .replace("{line}", "1")
                .replace("{place}", "1");
            assert!(!path.contains('{'), "say what stands for the parameters of {path}");
            calls.push(Call {
                method: method.to_uppercase(),
                path,
                role: roles.and_then(|roles| roles.first()?.as_str().map(str::to_owned)),
                open: roles.is_none(),
                takes_body: operation.contains_key("requestBody"),
            });
        }
    }
    calls
}

impl Call {
    fn send(&self, served: &Served, token: Option<&str>) -> Answer {
        let call = served.call(&self.method, &self.path, token);
        // A stream of events that is let through goes on; its head is enough.
        let call = call.timeout(std::time::Duration::from_secs(20));
        let call =
            if self.takes_body { call.header("content-type", "application/json").body("{}") } else { call };
        served.block_on(async {
            let answer = call.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let stream = headers.get("content-type").is_some_and(|found| found == "text/event-stream");
            let text = if stream { String::new() } else { answer.text().await.unwrap() };
            Answer { status, headers, text }
        })
    }
}

fn description(served: &Served) -> Value {
    served.send(served.call("GET", "/openapi.json", None)).status(200).json()
}

#[test]
fn a_token_of_one_role_gets_403_exactly_where_another_is_needed_and_none_gets_401() {
    let (place, tokens) = place(Kind::Sqlite, 1);
    let served = Served::start(&place, &[]);
    let by_role = [
        ("submit", &tokens.submit),
        ("operate", &tokens.operate),
        ("approve", &tokens.approve),
        ("read", &tokens.read),
    ];
    let calls = calls(&description(&served));
    assert!(calls.iter().filter(|call| call.role.is_some()).count() >= 15, "{}", calls.len());
    for call in &calls {
        let what = format!("{} {}", call.method, call.path);
        let without = call.send(&served, None).status;
        // Whoever calls without a token too often hears that instead.
        assert_eq!(matches!(without, 401 | 429), !call.open, "{what} without a token: {without}");
        for (role, token) in by_role {
            let status = call.send(&served, Some(token)).status;
            let may = call.role.as_deref().is_none_or(|needed| needed == role);
            assert_eq!(status == 403, !may, "{what} as {role}: {status}");
            assert!(status < 500 && status != 401, "{what} as {role}: {status}");
        }
        let every = call.send(&served, Some(&tokens.all)).status;
        assert!(every != 403 && every < 500, "{what} with all roles: {every}");
    }
}

#[test]
fn a_token_sees_no_account_but_its_own() {
    let (place, tokens) = place(Kind::Sqlite, 1);
    let served = Served::start(&place, &[]);
    let body = serde_json::json!({"user": "ann@corp.example"});
    let run = served.post(&tokens.all, "/v1/accounts/zoom-main/deactivate", &body).status(201).run();
    for path in ["/v1/accounts/zoom-main/deactivate", "/v1/accounts/zoom-main/activate"] {
        served.post(&tokens.other, path, &body).problem(403, "forbidden", "not for the account zoom-main");
    }
    served.post(&tokens.other, "/v1/accounts/zoom-other/deactivate", &body).status(201);
    let many = |account: &str| serde_json::json!({"account": account, "action": "activate", "users": ["a"]});
    served.post(&tokens.other, "/v1/runs", &many("zoom-main")).problem(403, "forbidden", "zoom-main");
    served.rows(&tokens.other, "text/csv", "account=zoom-main&action=activate", "email\na@x\n").problem(
        403,
        "forbidden",
        "zoom-main",
    );
    // A run of another's account is not told from one that is not there.
    for call in calls(&description(&served)).iter().filter(|call| call.path.contains("20261120-k3f9zm")) {
        let there = Call { path: call.path.replace("20261120-k3f9zm", &run), ..clone(call) };
        let seen = there.send(&served, Some(&tokens.other));
        let missing = call.send(&served, Some(&tokens.other));
        assert_eq!(seen.status, missing.status, "{} {}: {}", call.method, call.path, seen.text);
        assert!(seen.status >= 400 && !seen.text.contains("ann@"), "{}", seen.text);
    }
}

fn clone(call: &Call) -> Call {
    Call {
        method: call.method.clone(),
        path: call.path.clone(),
        role: call.role.clone(),
        open: call.open,
        takes_body: call.takes_body,
    }
}

/// The description is whole: every call has an id of its own, and says how it fails.
#[test]
fn every_call_has_an_id_of_its_own_and_says_how_it_fails() {
    let (place, _tokens) = place(Kind::Sqlite, 1);
    let served = Served::start(&place, &[]);
    let description = description(&served);
    assert_eq!(description["openapi"], "3.1.0");
    let mut ids = std::collections::BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is the id of two calls");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("500"), "{path}");
            for (status, response) in responses {
                let failure = status.starts_with(['4', '5']);
                let is_problem = response["content"].get("application/problem+json").is_some();
                assert_eq!(failure, is_problem, "{path} {status}");
            }
        }
    }
    let page = served.send(served.call("GET", "/docs/", None)).status(200);
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'self'"));
    served.send(served.call("GET", "/docs/swagger-ui-bundle.js", None)).status(200);
    let initializer = served.send(served.call("GET", "/docs/swagger-initializer.js", None)).status(200);
    assert!(initializer.text.contains("/openapi.json"), "{}", initializer.text);
    for beyond in ["/docs/nothing.js", "/docs/..%2f..%2fetc%2fpasswd"] {
        served.send(served.call("GET", beyond, None)).problem(404, "no-such-path", "");
    }
}
