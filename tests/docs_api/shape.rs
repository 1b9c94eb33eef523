//! Whether an answer is what the page shows.

use serde_json::Value;

/// Says where an answer is other than the page shows it. The answer may have more fields than the page names; a text with a
/// digit in it (an id, a time, a hash) stands for one that differs from call to call.
pub fn differs(shown: &Value, answer: &Value) -> Option<String> {
    at("", shown, answer)
}

fn at(path: &str, shown: &Value, answer: &Value) -> Option<String> {
    match (shown, answer) {
        (Value::Object(shown), Value::Object(answer)) => shown.iter().find_map(|(key, shown)| {
            let path = format!("{path}/{key}");
            match answer.get(key) {
                Some(answer) => at(&path, shown, answer),
                None => Some(format!("{path} is not in the answer")),
            }
        }),
        (Value::Array(shown), Value::Array(answer)) if shown.len() == answer.len() => {
            let pairs = shown.iter().zip(answer).enumerate();
            pairs.into_iter().find_map(|(n, (shown, answer))| at(&format!("{path}/{n}"), shown, answer))
        }
        (Value::String(shown), Value::String(answer))
            if stands_for_others(shown) == stands_for_others(answer) =>
        {
            (!stands_for_others(shown) && shown != answer)
                .then(|| format!("{path} is {answer:?}, not {shown:?}"))
        }
        (shown, answer) => (shown != answer).then(|| format!("{path} is {answer}, not {shown}")),
    }
}

fn stands_for_others(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
}

#[test]
fn an_answer_may_have_more_than_the_page_and_must_not_have_less_or_other() {
    use serde_json::json;

    let shown = json!({"run": "20261121-k3f9zm", "state": "finished", "total": 3, "rows": [{"line": 1}]});
    let so = |answer: Value| differs(&shown, &answer);
    let rows = json!([{"line": 1}]);
    assert_eq!(
        so(json!({"run": "20261122-aaaaaa", "state": "finished", "total": 3, "rows": rows, "x": 1})),
        None
    );
    let cases = [
        (json!({"state": "finished", "total": 3, "rows": rows}), "/run is not in the answer"),
        (
            json!({"run": "20261122-aaaaaa", "state": "running", "total": 3, "rows": rows}),
            "/state is \"running\"",
        ),
        (json!({"run": "20261122-aaaaaa", "state": "finished", "total": 4, "rows": rows}), "/total is 4"),
        (json!({"run": "20261122-aaaaaa", "state": "finished", "total": 3, "rows": []}), "/rows is []"),
        (json!({"run": "none", "state": "finished", "total": 3, "rows": rows}), "/run is \"none\""),
        (json!({"run": null, "state": "finished", "total": 3, "rows": rows}), "/run is null"),
    ];
    for (answer, expected) in cases {
        let said = so(answer).unwrap_or_default();
        assert!(said.starts_with(expected), "{said}");
    }
}
