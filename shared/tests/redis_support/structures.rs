//! That the queue's structures agree with the counters.

use std::collections::BTreeSet;

use usher_shared::RunId;

use super::raw::{FS, Raw};

/// Sees that what the structures hold is what the counters say, for every run of the account.
pub async fn check(raw: &mut Raw, runs: &[RunId]) {
    let mut leased_in_all = 0;
    for run in runs {
        let key = format!(":run:{run}");
        let ready: Vec<String> = raw.get("LRANGE", &format!("{key}:ready"), &["0", "-1"]).await;
        let mut places: Vec<String> = ready.clone();
        for name in ["again", "alone", "wait"] {
            places.extend(raw.get::<Vec<String>>("ZRANGE", &format!("{key}:{name}"), &["0", "-1"]).await);
        }
        let distinct: BTreeSet<&String> = places.iter().collect();
        assert_eq!(distinct.len(), places.len(), "a job of {run} stands in two places");
        assert!(ready.is_sorted_by_key(|seq| seq.parse::<u64>().unwrap()), "{ready:?}");
        assert_eq!(raw.counter(run.as_str(), "queued").await, places.len() as u64, "queued of {run}");
        let mut sum = 0;
        for field in ["pending", "queued", "leased", "done"] {
            sum += raw.counter(run.as_str(), field).await;
        }
        assert_eq!(sum, raw.counter(run.as_str(), "total").await, "the total of {run}");
        leased_in_all += raw.counter(run.as_str(), "leased").await;
        check_offers(raw, run, &key).await;
        check_records(raw, run, &key).await;
    }
    let leases: Vec<String> = raw.get("ZRANGEBYSCORE", ":leases", &["-inf", "(inf"]).await;
    let jobs: usize = leases.iter().map(|lease| lease.split(FS).nth(1).unwrap().split(',').count()).sum();
    assert_eq!(jobs as u64, leased_in_all, "leased jobs");
    assert_eq!(raw.get::<u64>("SCARD", ":busy", &[]).await, leased_in_all, "busy users");
}

/// Sees that a run that may be leased is found where `lease` looks for it, and one that may not is not.
async fn check_offers(raw: &mut Raw, run: &RunId, key: &str) {
    let workable = raw.steered(run.as_str()).await == ('a', false, false);
    for (offer, lists) in [(":order", &["ready", "again"][..]), (":alones", &["alone"]), (":due", &["wait"])]
    {
        let mut waiting = 0;
        for list in lists {
            let command = if *list == "ready" { "LLEN" } else { "ZCARD" };
            waiting += raw.get::<u64>(command, &format!("{key}:{list}"), &[]).await;
        }
        let score: Option<f64> = raw.get("ZSCORE", offer, &[run.as_str()]).await;
        assert!(workable || score.is_none(), "{run} stands in {offer} and may not be leased");
        assert!(
            !workable || waiting == 0 || score.is_some(),
            "{run} has {waiting} jobs and is not in {offer}"
        );
    }
}

/// Sees that each record is where its run's counters say, and the run where its phase says.
async fn check_records(raw: &mut Raw, run: &RunId, key: &str) {
    let pages: Vec<(u64, String)> = raw
        .get::<std::collections::BTreeMap<u64, String>>("HGETALL", &format!("{key}:jobs:0"), &[])
        .await
        .into_iter()
        .collect();
    let (mut finished, mut left, mut unresolved, mut lowest) = (0, 0, 0, u64::MAX);
    for (seq, record) in &pages {
        let mut parts = record.split('\u{1e}').skip(1);
        match (parts.next(), parts.next()) {
            (_, Some(_)) => finished += 1,
            (Some(resolution), None) if resolution.starts_with('D') => {}
            (resolution, None) => {
                left += 1;
                unresolved += u64::from(resolution.is_none());
                lowest = lowest.min(*seq);
            }
        }
    }
    assert_eq!(raw.counter(run.as_str(), "done").await, finished, "finished jobs of {run}");
    let total = raw.counter(run.as_str(), "total").await;
    assert_eq!(total - finished, left, "jobs of {run} that have no outcome");
    let (phase, _, cancelled) = raw.steered(run.as_str()).await;
    if phase == 's' && !cancelled {
        assert_eq!(raw.counter(run.as_str(), "unresolved").await, unresolved, "unresolved jobs of {run}");
        assert!(raw.counter(run.as_str(), "cursor").await <= lowest, "{run} begins behind place {lowest}");
    }
    for (set, member) in [(":active", !matches!(phase, 'f' | 'c')), (":ended", matches!(phase, 'f' | 'c'))] {
        let score: Option<f64> = raw.get("ZSCORE", set, &[run.as_str()]).await;
        assert_eq!(score.is_some(), member, "{run} in {set}, its phase being {phase}");
    }
}
