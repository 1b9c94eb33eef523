//! The store alone: jobs from lease to finish, with a vendor that answers at once and no limit.

use std::sync::Arc;

use anyhow::Result;
use usher_shared::{
    SystemClock,
    store::{SharedStore, redis::RedisStore, sqlite::SqliteStore},
};
use usher_worker::limiter::LimiterFactory;

use super::{Bench, peers::Bullmq};
use crate::{
    figure::{Row, median, thousands},
    noop::lease_to_finish,
    redis_server::RedisServer,
};

/// Ours and BullMQ's in turn, three times, each on a redis-server of its own that the other never saw.
pub async fn redis(bench: Bench) -> Result<Vec<Row>> {
    let (jobs, rounds) = (bench.number(50_000, 10_000), bench.number(3, 1));
    let bullmq = Bullmq::new(&bench);
    let best = match &bullmq {
        Ok(bullmq) => bullmq.best_way_to_work(bench.number(10_000, 3_000)).await.map(Some),
        Err(_) => Ok(None),
    };
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..rounds {
        let server = RedisServer::start().await?;
        let store: SharedStore = Arc::new(RedisStore::connect(&server.url(), None).await?);
        let limiter = LimiterFactory::Redis(Box::new(redis::Client::open(server.url())?));
        ours.push(lease_to_finish(store, limiter, jobs).await?);
        drop(server);
        if let (Ok(bullmq), Ok(Some(way))) = (&bullmq, &best) {
            theirs.push(bullmq.noop(way, jobs).await?);
        }
    }
    let ours_each = list(&ours);
    let our_rate = median(ours);
    let row = Row::new("store alone, Redis: lease to finish", format!("{} jobs/s", thousands(our_rate)));
    let note = format!("{jobs} jobs through the engine in the bench's process, runs: {ours_each}");
    let row = match (bullmq, best) {
        (Ok(_), Ok(Some(way))) => {
            let each = list(&theirs);
            let their_rate = median(theirs);
            let ratio = our_rate / their_rate;
            row.goal(">= 2x BullMQ", ratio >= 2.0)
                .peer(format!("{ratio:.2}x BullMQ ({} jobs/s)", thousands(their_rate)))
                .note(format!("{note}; BullMQ with {way}, runs: {each}"))
        }
        (Err(why), _) | (_, Err(why)) => without_a_peer(row, ">= 2x BullMQ", &note, &why),
        (_, Ok(None)) => row.note(note),
    };
    Ok(vec![row])
}

/// A figure whose goal is a ratio, without the peer.
pub fn without_a_peer(row: Row, goal: &str, note: &str, why: &anyhow::Error) -> Row {
    Row { goal: goal.to_owned(), ..row.peer("no peer").note(format!("{note}; {why:#}")) }
}

fn list(figures: &[f64]) -> String {
    figures.iter().map(|figure| thousands(*figure)).collect::<Vec<_>>().join(" / ")
}

pub async fn sqlite(bench: Bench) -> Result<Vec<Row>> {
    let (jobs, rounds) = (bench.number(50_000, 10_000), bench.number(3, 1));
    let mut ours = vec![];
    for _ in 0..rounds {
        let dir = tempfile::tempdir()?;
        let store = SqliteStore::open(&dir.path().join("usher.db"), Arc::new(SystemClock))?;
        ours.push(lease_to_finish(Arc::new(store), LimiterFactory::Embedded, jobs).await?);
    }
    let each = list(&ours);
    let rate = median(ours);
    let row = Row::new("store alone, SQLite: lease to finish", format!("{} jobs/s", thousands(rate)));
    Ok(vec![row.goal(">= 10,000 jobs/s", rate >= 10_000.0).note(format!("{jobs} jobs, runs: {each}"))])
}
