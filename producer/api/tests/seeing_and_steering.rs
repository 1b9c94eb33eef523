//! What is seen and steered over HTTP, where the store is made to stand at just the point that matters.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod api_support;

use api_support::{Bench, users};
use axum::http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use usher_shared::store::Store;

const MAIN: &str = "zoom-main";

#[tokio::test]
async fn a_cancel_is_accepted_while_a_call_is_in_flight_and_done_once_that_has_ended() {
    let mut bench = Bench::new();
    let run = bench.queued(MAIN, &users(1_200)).await;
    let lease = bench.leased(MAIN, 2).await.unwrap();
    let path = format!("/v1/runs/{run}/cancel");
    for _twice in 0..2 {
        let (status, seen) = bench.post(&path).await;
        assert_eq!((status, &seen["state"]), (StatusCode::ACCEPTED, &json!("cancelling")), "{seen}");
        assert_eq!((&seen["in_flight"], &seen["outcomes"]), (&json!(2), &json!({"cancelled": 1_198})));
    }
    let (status, problem) = bench.post(&format!("/v1/runs/{run}/pause")).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("being cancelled"), "{problem}");
    bench.applied(lease).await;
    let (status, seen) = bench.post(&path).await;
    assert_eq!((status, &seen["state"]), (StatusCode::OK, &json!("cancelled")));
    assert_eq!(seen["outcomes"], json!({"applied": 2, "cancelled": 1_198}));
    let told = bench.store.audit(1, 100).await.unwrap();
    let cancels = told.iter().filter(|entry| entry.event.contains("\"cancelled\""));
    assert_eq!(cancels.count(), 1, "one who cancels twice is told once");
}

#[tokio::test]
async fn a_run_that_is_over_can_not_be_cancelled_and_says_what_can_be_done() {
    let mut bench = Bench::new();
    let run = bench.finished(MAIN, &users(3)).await;
    let (status, problem) = bench.post(&format!("/v1/runs/{run}/cancel")).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("urn:usher:problem:wrong-state")));
    assert!(problem["detail"].as_str().unwrap().contains("undo"), "{problem}");
}

#[tokio::test]
async fn a_list_looks_at_so_many_runs_in_a_call_and_says_where_to_go_on() {
    let mut bench = Bench::new();
    let wanted = bench.sealed(MAIN, &users(1)).await;
    for _ in 0..2_100 {
        bench.sealed("zoom-branch", &users(1)).await;
    }
    let (_, page) = bench.get("/v1/runs?account=zoom-main").await;
    assert_eq!((&page["runs"], bench.store.calls("runs")), (&json!([]), 10), "2,000 are looked at");
    let next = page["next"].as_str().unwrap();
    let (_, page) = bench.get(&format!("/v1/runs?account=zoom-main&before={next}")).await;
    assert_eq!((&page["runs"][0]["run"], page.get("next")), (&json!(wanted), None), "{page}");
    let (_, page) = bench.get("/v1/runs?limit=200").await;
    assert_eq!(page["runs"].as_array().unwrap().len(), 200);
    // The very last one is followed by none.
    let (_, page) = bench.get("/v1/runs?state=paused&limit=1").await;
    assert_eq!(page["runs"], json!([]));
}

#[tokio::test]
async fn rows_come_page_by_page_and_a_stream_that_breaks_off_is_not_taken_for_the_whole() {
    let mut bench = Bench::new();
    let run = bench.finished(MAIN, &users(2_500)).await;
    let path = format!("/v1/runs/{run}/outcomes");
    for (accept, lines) in [("text/csv", 2_501), ("application/x-ndjson", 2_500)] {
        let whole = bench.call(Method::GET, &path, accept).await;
        let text = whole.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(String::from_utf8(text.to_vec()).unwrap().lines().count(), lines, "{accept}");

        let mut broken = bench.call(Method::GET, &path, accept).await.into_body();
        let first = broken.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(!first.is_empty());
        bench.store.set_away(true);
        let mut ended = Ok(());
        while let Some(frame) = broken.frame().await {
            ended = frame.map(drop);
        }
        assert!(ended.is_err(), "{accept}: the connection is cut, not closed");
        bench.store.set_away(false);
    }
    bench.store.set_away(true);
    let (status, problem) = bench.get(&path).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("urn:usher:problem:unavailable"))
    );
}

#[tokio::test]
async fn pages_of_outcomes_of_a_filter_that_keeps_few_go_on_until_the_end() {
    let mut bench = Bench::new();
    let run = bench.finished(MAIN, &users(2_500)).await;
    let path = format!("/v1/runs/{run}/outcomes");
    let (_, page) = bench.get(&format!("{path}?failed=true&limit=5")).await;
    assert_eq!((&page["outcomes"], page.get("next")), (&json!([]), None));
    let mut from = Some(0);
    let mut seen = 0;
    while let Some(at) = from {
        let (_, page) = bench.get(&format!("{path}?outcome=applied&limit=700&from={at}")).await;
        let outcomes = page["outcomes"].as_array().unwrap();
        assert!(outcomes.is_empty() || outcomes[0]["place"] == seen, "{}", outcomes[0]);
        seen += outcomes.len() as u64;
        from = page.get("next").and_then(Value::as_u64);
    }
    assert_eq!(seen, 2_500);
}

/// The newest thousands are not all: who was decided about 600 runs ago is left alone, too.
#[tokio::test]
async fn an_undo_sees_every_newer_run_however_many_follow() {
    let mut bench = Bench::new();
    let people = users(3);
    let undone = bench.finished(MAIN, &people).await;
    let (_, problem) = bench.post(&format!("/v1/runs/{undone}/resume")).await;
    assert!(problem["detail"].as_str().unwrap().contains("a retry opens it again"), "{problem}");
    let decided = bench.finished(MAIN, &people[..1]).await;
    for _ in 0..600 {
        bench.sealed(MAIN, &["somebody@corp.example".to_owned()]).await;
    }
    let (status, undo) = bench.post(&format!("/v1/runs/{undone}/undo")).await;
    assert_eq!(status, StatusCode::CREATED, "{undo}");
    assert_eq!((&undo["run"]["total"], &undo["run"]["only_planned"]), (&json!(2), &json!(true)));
    assert_eq!(
        undo["left_out"],
        json!({"total": 1, "users": [
            {"line": 1, "user": "user0@corp.example", "why": "decided", "decided_by": decided},
        ]})
    );
}

#[tokio::test]
async fn what_is_said_of_an_account_adds_up_over_its_runs() {
    let mut bench = Bench::new();
    bench.queued(MAIN, &users(10)).await;
    bench.sealed(MAIN, &["late@corp.example".to_owned()]).await;
    let _lease = bench.leased(MAIN, 4).await.unwrap();
    let (_, accounts) = bench.get("/v1/accounts").await;
    let account = &accounts["accounts"][0];
    let figures =
        ["unfinished", "pending", "queued", "in_flight"].map(|figure| account[figure].as_u64().unwrap());
    assert_eq!((account["account"].as_str(), figures), (Some(MAIN), [2, 1, 6, 4]), "{account}");
    assert_eq!(account["hold"], Value::Null);
}
