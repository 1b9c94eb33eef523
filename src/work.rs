//! Works one run in this process until it is over, shows how far it has come, and tells its end.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use usher_producer::steer::{find, let_go_on};
use usher_shared::{
    HeldReason, Hold, RunId, RunPhase, RunState, RunStatus, Timestamp,
    audit::AuditKind,
    config::StoreAddress,
    store::{SharedStore, StoreError},
    view::{Observer, Scene, is_answered},
};
use usher_worker::{
    AccountView, Engine, EngineError, PacedGate,
    provider::{Call, SharedProvider},
    verify::{Verification, verify_run},
};

use crate::{
    audit::{self, About},
    cli::Ending,
    commands::status::verdict,
    console, ending,
    exit::{Exit, Failure},
    progress::Progress,
    report::numbers::{count, of},
    wiring::{self, Context},
};

/// How often progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How a run that was worked or followed here ended.
pub struct Ended {
    /// The exit code that it deserves.
    pub exit: Exit,
    /// What the directory says, where it was asked.
    pub verification: Option<Verification>,
}

/// How far the run has come, as it is shown meanwhile.
struct Shown {
    progress: Progress,
    observer: Observer,
}

/// Until when a run is worked or followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// Every job has its outcome.
    Over,
    /// What it would do is known.
    Planned,
}

enum Stopped {
    Over,
    /// What it would do is known.
    Planned,
    /// It does not go on before a person has said so.
    Waits,
    /// On hold until somebody does something.
    Held(Hold),
    /// Somebody paused it.
    Paused,
    /// This process was asked to stop.
    Interrupted,
}

/// Works the run until it is over, and shows its end. Beside another worker on the embedded store it follows, and takes over
/// when that one ends.
pub async fn to_its_end(
    context: &Context,
    store: &SharedStore,
    address: &StoreAddress,
    run: &RunId,
    provider: SharedProvider,
    ending: &Ending,
) -> Result<Ended, Failure> {
    let status = find(store, run).await?;
    let_go_on(store, &status, &wiring::who()).await?;
    let plan = plan(&provider);
    let mut shown = Shown {
        progress: Progress::new(&context.bars, context.global.quiet),
        observer: wiring::observer(store, address, &status),
    };
    let (stopped, engine) =
        work_or_follow(context, store, address, &status, &provider, &mut shown, Goal::Over).await?;
    shown.progress.end();

    let verification = match (&stopped, ending.verify) {
        (Stopped::Over, true) => {
            console::hint(context.global.quiet, "Comparing the directory with the outcomes ...");
            Some(verify(store, address, &provider, &status).await?)
        }
        _ => None,
    };
    // In-flight calls finish, and the seat is given back, before the end is told.
    if let Some(engine) = engine {
        engine.shutdown().await;
    }
    let status = find(store, run).await?;
    match stopped {
        Stopped::Over => {
            let reports = ending::write_reports(context, store, run).await?;
            let scene = shown.observer.look(&status, None).await;
            ending::show(store, &status, &scene, ending.json, plan, verification.as_ref(), &reports).await?;
            let agrees = verification.as_ref().is_none_or(|found| found.disagreements.is_empty());
            let exit = if agrees { verdict(&status) } else { Exit::SomeFailed };
            Ok(Ended { exit, verification })
        }
        Stopped::Held(hold) => Err(on_hold(&status, &hold)),
        Stopped::Waits | Stopped::Planned => {
            console::hint(false, stands(&status, &shown.observer.look(&status, None).await));
            Ok(Ended { exit: Exit::Refused, verification: None })
        }
        Stopped::Paused | Stopped::Interrupted => {
            console::hint(
                false,
                format_args!(
                    "Run {run} is paused: {} of {} done, {} in flight.\n  go on:      usher resume {run}\n  give it up: usher cancel {run}",
                    count(status.counters.finished),
                    of(status.counters.total, "user"),
                    count(status.counters.leased),
                ),
            );
            Ok(Ended { exit: Exit::Interrupted, verification: None })
        }
    }
}

/// Works or follows a run until what it would do is known, or something keeps it from that; returns it as it is then. Without
/// a provider workers do it.
pub async fn until_planned(
    context: &Context,
    store: &SharedStore,
    address: &StoreAddress,
    run: &RunId,
    provider: Option<&SharedProvider>,
) -> Result<RunStatus, Failure> {
    let status = find(store, run).await?;
    let mut shown = Shown {
        progress: Progress::new(&context.bars, context.global.quiet),
        observer: wiring::observer(store, address, &status),
    };
    let stopped = match provider {
        Some(provider) => {
            let (stopped, engine) =
                work_or_follow(context, store, address, &status, provider, &mut shown, Goal::Planned).await?;
            if let Some(engine) = engine {
                engine.shutdown().await;
            }
            stopped
        }
        None => follow(context, store, run, &mut shown, None, None, Goal::Planned)
            .await?
            .unwrap_or(Stopped::Interrupted),
    };
    shown.progress.end();
    match stopped {
        Stopped::Planned | Stopped::Waits | Stopped::Over => Ok(find(store, run).await?),
        Stopped::Held(hold) => Err(on_hold(&find(store, run).await?, &hold)),
        Stopped::Paused | Stopped::Interrupted => Err(Failure::new(
            Exit::Interrupted,
            format!(
                "interrupted; nobody was changed. Run {run} is still to be planned: `usher status {run}` shows how far it is, \
                 `usher cancel {run}` forgets it"
            ),
        )),
    }
}

/// What a run stands still for, for people.
pub fn stands(status: &RunStatus, scene: &Scene) -> String {
    let waits: Vec<String> = scene.waits.iter().map(|wait| scene.words(wait)).collect();
    let why = if waits.is_empty() { String::new() } else { format!(": {}", waits.join("; ")) };
    format!("Run {} is {}{why}.", status.run.id, status.state())
}

fn on_hold(status: &RunStatus, hold: &Hold) -> Failure {
    let run = &status.run.id;
    Failure::new(
        Exit::Configuration,
        format!(
            "account {} is on hold: {}. Run {run} stands at {} of {}; no user was failed for it. Once it is put right: \
             usher resume {run}",
            status.run.account,
            hold.message.trim_end_matches('.'),
            count(status.counters.finished),
            of(status.counters.total, "user"),
        ),
    )
}

/// Whether nothing of the run happens before a person has said something.
fn waits_for_a_person(status: &RunStatus, now: Timestamp) -> bool {
    if status.state() == RunState::Planned {
        return status.notes.plan.is_some();
    }
    let held = status.notes.held.as_ref().filter(|held| !is_answered(status, held.since, now, true));
    status.phase == RunPhase::Resolved
        && held.is_some_and(|held| {
            matches!(held.reason, HeldReason::Approval | HeldReason::OverRunCap | HeldReason::OverDayCap)
        })
}

/// The plan's calls a second for changes, where the vendor has such a limit.
fn plan(provider: &SharedProvider) -> Option<f64> {
    let label = provider.label(Call::Apply(usher_shared::Action::Deactivate));
    provider.rates().into_iter().find(|rate| rate.label == label).map(|rate| rate.per_second)
}

async fn work_or_follow(
    context: &Context,
    store: &SharedStore,
    address: &StoreAddress,
    status: &RunStatus,
    provider: &SharedProvider,
    shown: &mut Shown,
    goal: Goal,
) -> Result<(Stopped, Option<Engine>), Failure> {
    let run = &status.run.id;
    let mut told = false;
    loop {
        let account = wiring::account(&context.config, &status.run.account, provider)?;
        let config = wiring::engine(context, store, address, vec![account], Some(run))?;
        match Engine::start(config).await {
            Ok(engine) => {
                let view = engine.views().pop();
                let stopped = follow(context, store, run, shown, view, None, goal).await?;
                if matches!(stopped, Some(Stopped::Interrupted)) && goal == Goal::Over {
                    // Others on this store must not go on with what a person has just stopped.
                    pause(store, status).await?;
                }
                return Ok((stopped.unwrap_or(Stopped::Interrupted), Some(engine)));
            }
            Err(EngineError::Store(StoreError::SeatTaken(_))) => {
                if !told {
                    told = true;
                    console::hint(
                        context.global.quiet,
                        "Another usher works from this store; following. Should it end first, this one goes on by itself.",
                    );
                }
                let a_while = Some(Duration::from_secs(1));
                let followed = follow(context, store, run, shown, None, a_while, goal).await?;
                if let Some(stopped) = followed {
                    if matches!(stopped, Stopped::Interrupted) && goal == Goal::Over {
                        pause(store, status).await?;
                    }
                    return Ok((stopped, None));
                }
            }
            Err(EngineError::Store(error)) => return Err(error.into()),
            Err(error) => return Err(Failure { exit: Exit::Configuration, error: error.into() }),
        }
    }
}

/// Shows how far the run has come until it stands still or is over; `None` when `at_most` has passed first.
async fn follow(
    context: &Context,
    store: &SharedStore,
    run: &RunId,
    shown: &mut Shown,
    view: Option<watch::Receiver<AccountView>>,
    at_most: Option<Duration>,
    goal: Goal,
) -> Result<Option<Stopped>, Failure> {
    let start = Instant::now();
    let mut stop = context.stop.clone();
    loop {
        if stop.is_asked() {
            return Ok(Some(Stopped::Interrupted));
        }
        match store.run(run).await {
            Ok(Some(status)) => {
                let view = view.as_ref().map(|view| view.borrow().clone());
                let scene = shown.observer.look(&status, view.as_ref().map(|view| &view.pulse)).await;
                shown.progress.show(&status, &scene, Instant::now());
                if status.phase.is_over() {
                    return Ok(Some(Stopped::Over));
                }
                if goal == Goal::Planned && status.phase != RunPhase::Sealed && status.notes.plan.is_some() {
                    return Ok(Some(Stopped::Planned));
                }
                if status.paused {
                    return Ok(Some(Stopped::Paused));
                }
                if waits_for_a_person(&status, scene.now)
                    || goal == Goal::Planned && status.state() == RunState::Scheduled
                {
                    return Ok(Some(Stopped::Waits));
                }
                if let Some(hold) = status.hold.filter(|hold| hold.until.is_none()) {
                    return Ok(Some(Stopped::Held(hold)));
                }
            }
            Ok(None) => return Err(StoreError::NoSuchRun(run.clone()).into()),
            // The engine tries again by itself; so does this.
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "how far the run has come is not known")
            }
            Err(error) => return Err(error.into()),
        }
        if at_most.is_some_and(|at_most| start.elapsed() >= at_most) {
            return Ok(None);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.asked() => {}
        }
    }
}

async fn pause(store: &SharedStore, status: &RunStatus) -> Result<(), Failure> {
    let run = &status.run.id;
    audit::tell(store, AuditKind::Paused, About::run(&status.run.account, run).saying("interrupted")).await?;
    match store.pause(run).await {
        // It was over before it could be paused.
        Ok(()) | Err(StoreError::WrongPhase { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Compares the directory with the outcomes of a run.
pub async fn verify(
    store: &SharedStore,
    address: &StoreAddress,
    provider: &SharedProvider,
    status: &RunStatus,
) -> Result<Verification, Failure> {
    let limiter = wiring::limiter(address)?.make(&status.run.account, &provider.rates(), store);
    let gate = PacedGate::new(limiter, provider.clone(), wiring::clock());
    verify_run(&**store, &**provider, &gate, &status.run.id)
        .await
        .map_err(|error| Failure { exit: Exit::Unavailable, error: error.into() })
}
