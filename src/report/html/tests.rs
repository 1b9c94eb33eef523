//! The page, read as text: what must be in it, and what must never be.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tempfile::TempDir;
use usher_shared::{
    Action, Attempt, JobReport, NewRun, Outcome, Priority, Request, ResolvedUser, Status, SystemClock, Then,
    UserState, Verdict, WorkerId,
    store::{Idempotency, LeaseAsk, Resolution, Seal, SharedStore, sqlite::SqliteStore},
};

use super::*;

/// What nobody should be able to bring into a page: from a file, and from a vendor.
const NASTY: &str = "<script>alert(1)</script>";
const NASTIER: &str = "\"><img src=x onerror=alert(2)>&amp;</table>'\u{202e}";

/// A run with `plain` users who were deactivated after one refusal each, and two with names and messages that are markup.
async fn a_run(plain: u64) -> (TempDir, SharedStore, RunId) {
    let dir = tempfile::tempdir().unwrap();
    let store: SharedStore =
        Arc::new(SqliteStore::open(&dir.path().join("usher.db"), Arc::new(SystemClock)).unwrap());
    let run: RunId = "20261120-k3f9a2".parse().unwrap();
    let new = NewRun {
        id: run.clone(),
        account: "zoom-main".parse().unwrap(),
        priority: Priority::Normal,
        reason: Some(NASTIER.into()),
        asked_by: NASTY.into(),
        source: Some("leavers<b>.csv".into()),
        created_at: store.now().await.unwrap(),
        terms: Default::default(),
    };
    store.open_run(&new).await.unwrap();
    let names = (0..plain)
        .map(|n| format!("user{n}@corp.example"))
        .chain(["<svgonload=alert(3)>".to_owned(), "a&b@corp.example".to_owned()]);
    let requests: Vec<Request> = (1..)
        .zip(names)
        .map(|(line, name)| Request {
            line,
            user: name.parse().unwrap(),
            action: Action::Deactivate,
            reason: None,
            restore: None,
        })
        .collect();
    for (chunk, requests) in requests.chunks(500).enumerate() {
        store.append(&run, chunk as u64 * 500, requests).await.unwrap();
    }
    let total = requests.len() as u64;
    let seal = Seal {
        total,
        by_action: BTreeMap::from([(Action::Deactivate, total)]),
        idempotency: Idempotency { key: run.to_string(), digest: "0".into(), again_after_end: true },
    };
    store.seal(&run, &seal).await.unwrap();
    let worker = WorkerId::new("w1");
    store.take_seat(&worker).await.unwrap();
    let steward = store.take_steward(&run, &worker, Duration::from_secs(60)).await.unwrap().unwrap();
    let resolved: Vec<(u64, Resolution)> = (0..)
        .zip(&requests)
        .map(|(seq, request)| {
            let before =
                UserState { status: Status::Active, license: Some(NASTY.into()), role: None, groups: vec![] };
            let user = ResolvedUser { id: format!("id{NASTIER}{seq}"), email: None, before };
            if seq < plain {
                return (seq, Resolution::Change(user));
            }
            let (code, message) = (Some(NASTY.to_owned()), Some(format!("{} said {NASTIER}", request.user)));
            (seq, Resolution::Settled { outcome: Outcome::Rejected, code, message, user: Some(user) })
        })
        .collect();
    for chunk in resolved.chunks(500) {
        store.resolve(&steward, chunk).await.unwrap();
    }
    store.finish_resolving(steward).await.unwrap();
    store.admit(&run).await.unwrap();
    while store.promote(&run, 500).await.unwrap() > 0 {}
    for verdict in [Verdict::Throttled, Verdict::Applied] {
        work(&store, &worker, verdict).await;
    }
    (dir, store, run)
}

/// Tries every job that is due once.
async fn work(store: &SharedStore, worker: &WorkerId, verdict: Verdict) {
    let ask = LeaseAsk {
        account: "zoom-main".parse().unwrap(),
        worker: worker.clone(),
        leases: 500,
        batch: 1,
        ttl: Duration::from_secs(60),
        only_run: None,
        urgent_only: false,
        idle: false,
    };
    let mut held = vec![];
    loop {
        let leased = store.lease(&ask).await.unwrap();
        if leased.leases.is_empty() {
            break;
        }
        held.extend(leased.leases);
    }
    for lease in held {
        let now = store.now().await.unwrap();
        let attempt = Attempt {
            began_at: now,
            ended_at: now,
            calls: 1,
            http: None,
            verdict,
            code: None,
            worker: worker.clone(),
        };
        let then = match verdict {
            Verdict::Applied => Then::Finish { outcome: Outcome::Applied, code: None, message: None },
            _ => Then::Snooze { until: now, reason: usher_shared::SnoozeReason::Throttled },
        };
        let report = JobReport { seq: lease.jobs[0].seq, attempt: Some(attempt), throttled: 0, then };
        store.finish(lease, vec![report]).await.unwrap();
    }
}

async fn page(store: &SharedStore, run: &RunId, filter: Filter) -> (String, u64) {
    let status = store.run(run).await.unwrap().unwrap();
    let page = Page::of(store, status, filter.clone(), Some(80.0)).await.unwrap();
    let mut text = Vec::new();
    let written = page.write(&mut Rows::new(store, run, filter), &mut text).await.unwrap();
    (String::from_utf8(text).unwrap(), written)
}

#[tokio::test]
async fn no_name_and_no_message_is_read_as_markup() {
    let (_dir, store, run) = a_run(3).await;
    let (page, _) = page(&store, &run, Filter::default()).await;
    for markup in ["<script>alert", "<img", "<svgonload", "leavers<b>", "onerror=alert(2)>&amp;<", "\u{202e}"]
    {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("a&amp;b@corp.example"));
    assert!(page.contains("&lt;svgonload=alert(3)&gt;") && page.contains("leavers&lt;b&gt;.csv"));
    assert_eq!(page.matches("<script").count(), 1, "our own");
    assert_eq!(page.matches("</table>").count(), 2, "the chart's and the users'");
}

#[tokio::test]
async fn nothing_is_loaded_and_the_page_is_whole_without_its_script() {
    let (_dir, store, run) = a_run(3).await;
    let (page, _) = page(&store, &run, Filter::default()).await;
    let policy = format!("default-src 'none'; script-src '{}'; style-src '{}';", hash(SCRIPT), hash(STYLE));
    assert!(page.contains(&policy));
    for outside in ["http://", "https://", "src=", "href=", "url(", "@import", " style=", " onclick"] {
        let own: String = page.replace("src=x onerror", "");
        assert!(!own.contains(outside), "{outside}");
    }
    // What the policy knows by its hash must be in the page byte by byte.
    let between = |from: &str, to: &str| {
        let rest = &page[page.find(from).unwrap() + from.len()..];
        rest[..rest.find(to).unwrap()].to_owned()
    };
    assert_eq!(
        (between("<script>", "</script>"), between("<style>", "</style>")),
        (SCRIPT.into(), STYLE.into())
    );
    let without = page.replace(SCRIPT, "");
    for words in [
        "5 users",
        "users in the run",
        "Asked by",
        "Outcomes",
        "calls a second",
        "what to do",
        "user0@corp.example",
    ] {
        assert!(without.contains(words), "{words}");
    }
    assert!(STYLE.contains(".controls{display:none") && STYLE.contains("prefers-color-scheme:dark"));
}

#[tokio::test]
async fn every_user_has_a_row_and_the_figures_are_those_of_the_ledger() {
    let (_dir, store, run) = a_run(1_201).await;
    let rows = store.outcomes(&run, 0, 5_000).await.unwrap();
    let (text, written) = page(&store, &run, Filter::default()).await;
    assert_eq!((written, rows.len(), text.matches("<tr><td").count()), (1_203, 1_203, 1_203));
    for row in &rows {
        assert!(text.contains(&format!(
            "<tr><td class=\"num\">{}</td><td>{}<",
            row.line,
            Text(row.user.as_str())
        )));
    }
    assert!(text.contains("<b>1,203</b>") && text.contains("<b>1,201</b>") && text.contains("<b>2</b>"));
    // Each user was refused once: what was tried in between is in the chart, too.
    assert!(text.contains("<b>2,402</b>") && !text.contains("The bars hold"), "every call is in the chart");
    assert!(text.len() < 600 * 1_203 + 40_000, "{} bytes", text.len());

    let failed = Filter { failed: true, ..Filter::default() };
    let (text, written) = page(&store, &run, failed).await;
    assert_eq!((written, text.matches("<tr><td").count()), (2, 2));
    assert!(text.contains("a part of the users") && text.contains("<b>1,203</b>"));
}
