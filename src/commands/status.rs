//! `usher status`: how far a run has come, or what is unfinished.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use usher_producer::steer::find;
use usher_shared::{
    AccountName, RunId, RunState, RunStatus,
    config::StoreAddress,
    store::SharedStore,
    view::{Activity, Lane, Observer, Scene, StatusView},
};

use crate::{
    cli::StatusArgs,
    console,
    exit::{Exit, Failure, Outcome},
    limits,
    progress::{Progress, lowered},
    report::{
        numbers::{count, of, times},
        summary::{Told, summary},
        table::printable,
    },
    wiring::{self, Context},
};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Shows a run, or all that are unfinished; with `--watch`, until the run is over.
pub async fn status(context: &Context, args: &StatusArgs) -> Outcome {
    let (store, address) = context.open_store().await?;
    let Some(run) = &args.run else {
        if args.watch && watch_all(context, &store, &address).await? {
            return Ok(Exit::Interrupted);
        }
        return show_unfinished(&store, &address, args.json).await;
    };
    let mut status = find(&store, run).await?;
    let mut observer = wiring::observer(&store, &address, &status);
    if args.watch {
        let mut progress = Progress::new(&context.bars, context.global.quiet);
        while !status.phase.is_over() {
            progress.show(&status, &observer.look(&status, None).await, Instant::now());
            if pause_or_stop(context).await {
                progress.end();
                return Ok(Exit::Interrupted);
            }
            status = find(&store, run).await?;
        }
        progress.end();
    }
    let scene = observer.look(&status, None).await;
    let plan = plan(context, &status, &scene);
    show(&store, &status, &scene, args.json, plan).await?;
    Ok(if args.watch { verdict(&status) } else { Exit::Success })
}

/// The plan's calls a second for changes: as configured here, or as its workers tell.
fn plan(context: &Context, status: &RunStatus, scene: &Scene) -> Option<f64> {
    let configured = limits::of_changes(&context.config, &status.run.account).map(|rate| rate.per_second);
    let lane = scene.activity.as_ref().and_then(Activity::changes);
    configured.or_else(|| lane.and_then(|lane| lane.plan))
}

async fn show_unfinished(store: &SharedStore, address: &StoreAddress, json: bool) -> Outcome {
    let unfinished = unfinished(store).await?;
    let mut observers = Observers::new(store, address);
    let mut scenes = Vec::new();
    for status in &unfinished {
        scenes.push(observers.look(status).await);
    }
    if json {
        let views: Vec<StatusView<'_>> =
            unfinished.iter().zip(&scenes).map(|(status, scene)| StatusView::with(status, scene)).collect();
        let text = serde_json::to_string_pretty(&views).map_err(std::io::Error::from)?;
        console::print(&format!("{text}\n"))?;
    } else if unfinished.is_empty() {
        console::print(&format!("Nothing is unfinished in {address}.\n"))?;
    } else {
        for (status, scene) in unfinished.iter().zip(&scenes) {
            console::print(&format!("{}{}", line(status), around(scene)))?;
        }
    }
    Ok(Exit::Success)
}

/// What goes on around the runs of several accounts.
struct Observers<'a> {
    store: &'a SharedStore,
    address: &'a StoreAddress,
    accounts: BTreeMap<AccountName, Observer>,
}

impl<'a> Observers<'a> {
    fn new(store: &'a SharedStore, address: &'a StoreAddress) -> Self {
        Self { store, address, accounts: BTreeMap::new() }
    }

    async fn look(&mut self, status: &RunStatus) -> Scene {
        let new = || wiring::observer(self.store, self.address, status);
        self.accounts.entry(status.run.account.clone()).or_insert_with(new).look(status, None).await
    }
}

/// Shows every unfinished run until none is left; `true` where it was asked to stop first.
async fn watch_all(context: &Context, store: &SharedStore, address: &StoreAddress) -> Result<bool, Failure> {
    let mut shown: BTreeMap<RunId, Progress> = BTreeMap::new();
    let mut observers = Observers::new(store, address);
    loop {
        let unfinished = unfinished(store).await?;
        shown.retain(|run, progress| {
            let goes_on = unfinished.iter().any(|status| status.run.id == *run);
            if !goes_on {
                progress.end();
            }
            goes_on
        });
        for status in &unfinished {
            let scene = observers.look(status).await;
            shown
                .entry(status.run.id.clone())
                .or_insert_with(|| Progress::new(&context.bars, context.global.quiet))
                .show(status, &scene, Instant::now());
        }
        if unfinished.is_empty() || pause_or_stop(context).await {
            shown.values_mut().for_each(Progress::end);
            return Ok(!unfinished.is_empty());
        }
    }
}

/// Waits until it is time to look again; `true` where the process was asked to stop.
async fn pause_or_stop(context: &Context) -> bool {
    let mut stop = context.stop.clone();
    tokio::select! {
        () = tokio::time::sleep(LOOK_EVERY) => false,
        () = stop.asked() => true,
    }
}

/// All runs that are not over, the newest first.
pub async fn unfinished(store: &SharedStore) -> Result<Vec<RunStatus>, Failure> {
    let mut runs = Vec::new();
    for account in store.accounts().await? {
        runs.extend(store.unfinished(&account).await?);
    }
    runs.sort_by_key(|status| std::cmp::Reverse((status.run.created_at, status.run.id.clone())));
    Ok(runs)
}

/// Prints a status: as JSON, or for people.
pub async fn show(
    store: &SharedStore,
    status: &RunStatus,
    scene: &Scene,
    json: bool,
    plan: Option<f64>,
) -> Outcome {
    if json {
        let view = StatusView::with(status, scene);
        let text = serde_json::to_string_pretty(&view).map_err(std::io::Error::from)?;
        console::print(&format!("{text}\n"))?;
    } else {
        let told = Told::of(store, &status.run.id, plan).await?;
        console::print(&summary(status, &told, plan))?;
        if !status.phase.is_over() {
            let counters = &status.counters;
            let waiting = counters.total - counters.finished - counters.leased;
            console::print(&format!(
                "Still to do: {}, {} in flight.\n{}",
                of(waiting, "user"),
                count(counters.leased),
                around(scene),
            ))?;
        }
    }
    Ok(Exit::Success)
}

/// What goes on in the account, and why the run waits: a line each.
fn around(scene: &Scene) -> String {
    let mut text = String::new();
    if let Some(activity) = scene.activity.as_ref().filter(|activity| activity.workers > 0) {
        let changes = activity.changes().map(|lane| lane.label.clone());
        let busy =
            activity.lanes.iter().filter(|lane| lane.rate > 0.0 || Some(&lane.label) == changes.as_ref());
        let speeds: Vec<String> = busy.map(speed).collect();
        let refusals = activity.lanes.iter().map(|lane| lane.refusals).sum();
        text += &format!(
            "Now: {} by {}; {} so far.\n",
            speeds.join(", "),
            of(activity.workers as u64, "worker"),
            times("refused", refusals),
        );
        for lane in &activity.lanes {
            if let Some(day) = lane.day {
                text += &format!(
                    "Today: {} of {} ({}), the last {} for urgent work alone.\n",
                    count(day.drawn.used),
                    of(day.calls, "call"),
                    lane.label,
                    count(day.urgent_only),
                );
            }
        }
    }
    for wait in &scene.waits {
        text += &format!("Waiting: {}.\n", scene.words(wait));
    }
    text
}

/// `41.0 of the plan's 80 light calls/s (at most 41.2/s now: lowered after refusals)`
fn speed(lane: &Lane) -> String {
    let of = lane.plan.map(|plan| format!(" of the plan's {plan}")).unwrap_or_default();
    let lowered = lowered(lane).map(|lowered| format!(" ({lowered})")).unwrap_or_default();
    format!("{:.1}{of} {} calls/s{lowered}", lane.rate, printable(&lane.label))
}

/// The exit code that a run's outcomes deserve.
pub fn verdict(status: &RunStatus) -> Exit {
    if status.state() == RunState::Refused {
        return Exit::Refused;
    }
    let as_wished: u64 =
        status.counters.outcomes.iter().filter(|(outcome, _)| outcome.is_as_wished()).map(|(_, n)| n).sum();
    if as_wished == status.counters.total { Exit::Success } else { Exit::SomeFailed }
}

/// A run on one line.
pub fn line(status: &RunStatus) -> String {
    format!(
        "{}  {}  {}  {}  {} of {} done\n",
        status.run.id,
        status.run.account,
        status.action_word(),
        status.state(),
        count(status.counters.finished),
        of(status.counters.total, "user"),
    )
}
