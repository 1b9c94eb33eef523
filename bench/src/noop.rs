//! A provider that answers at once and knows no limit, and a run of jobs against it: what is left is the queue.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use usher_shared::{
    Action, Priority, ResolvedUser, Status, UserRef, UserState, Verdict, WorkerId, store::SharedStore,
};
use usher_worker::{
    AccountSetup, Engine, EngineConfig,
    limiter::LimiterFactory,
    provider::{Access, Call, Cursor, Label, Page, Provider, Rate, Reply},
};

use crate::ground::{all_applied, submit_here, until_over};

/// Users on one page of its listing.
const PAGE: usize = 1_000;

#[derive(Debug)]
struct Noop {
    users: usize,
    first_call: OnceLock<Instant>,
}

fn name(n: usize) -> String {
    format!("first{n}.last{n}@corp.example")
}

fn user(n: usize) -> ResolvedUser {
    ResolvedUser {
        // As long as Zoom's, and in no order.
        id: format!("{:016x}{n:06}", (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        email: Some(name(n)),
        before: UserState {
            status: Status::Active,
            license: Some("2".to_owned()),
            role: Some("2".to_owned()),
            groups: vec![],
        },
    }
}

#[async_trait]
impl Provider for Noop {
    fn rates(&self) -> Vec<Rate> {
        vec![Rate { label: Label("light"), per_second: f64::INFINITY, per_day: None }]
    }

    fn label(&self, call: Call) -> Label {
        match call {
            Call::Apply(_) => Label("light"),
            Call::LookUp | Call::List | Call::GiveBack(_) => Label("medium"),
        }
    }

    fn batch(&self) -> usize {
        1
    }

    fn page_size(&self) -> u64 {
        PAGE as u64
    }

    fn listings(&self) -> Vec<Cursor> {
        vec![Cursor { listing: "all", page: None }]
    }

    fn call_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn protected_role(&self, _: &ResolvedUser) -> Option<&'static str> {
        None
    }

    fn blocked(&self, _: &ResolvedUser, _: Action) -> Option<(&'static str, &'static str)> {
        None
    }

    async fn apply(&self, _: Action, users: &[&ResolvedUser]) -> Vec<Reply> {
        self.first_call.get_or_init(Instant::now);
        users.iter().map(|_| Reply { http: Some(204), ..Reply::of(Verdict::Applied) }).collect()
    }

    async fn look_up(&self, _: &UserRef) -> Result<Option<ResolvedUser>, Reply> {
        Ok(None)
    }

    async fn list(&self, cursor: &Cursor) -> Result<Page, Reply> {
        let first = cursor.page.as_deref().and_then(|page| page.parse().ok()).unwrap_or(0);
        let end = self.users.min(first + PAGE);
        let next =
            (end < self.users).then(|| Cursor { listing: cursor.listing, page: Some(end.to_string()) });
        Ok(Page { users: (first..end).map(user).collect(), next, total: Some(self.users as u64) })
    }

    async fn access(&self) -> Result<Access, Reply> {
        Ok(Access { granted: vec![], missing: Default::default(), missing_to_restore: Default::default() })
    }
}

/// Jobs a second, from the first call until every outcome is recorded, through the whole engine in this process.
pub async fn lease_to_finish(store: SharedStore, limiter: LimiterFactory, jobs: usize) -> Result<f64> {
    let provider = Arc::new(Noop { users: jobs, first_call: OnceLock::new() });
    let run = submit_here(&store, (0..jobs).map(name).collect(), Priority::Normal).await?;
    let account = AccountSetup {
        name: "zoom-main".parse()?,
        provider: provider.clone(),
        protected: vec![],
        rules: Default::default(),
    };
    let config = EngineConfig {
        limiter,
        ..EngineConfig::new(Arc::clone(&store), vec![account], WorkerId::new("bench:1"))
    };
    let engine = Engine::start(config).await?;
    let status = until_over(&store, &run, Duration::from_millis(20)).await?;
    let first = provider.first_call.get().context("no call was made")?;
    let seconds = first.elapsed().as_secs_f64();
    engine.shutdown().await;
    all_applied(&status)?;
    Ok(jobs as f64 / seconds)
}
