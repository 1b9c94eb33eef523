//! Measures usher on this machine, and others beside it. Started by `bench/run`; bench/README.md says what each case does.
#![allow(clippy::print_stdout, reason = "a program whose results are what it prints")]

mod cases;
mod figure;
mod ground;
mod journal;
mod machine;
mod noop;
mod open_loop;
mod process;
mod redis_server;
mod served;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cases::{Bench, Case},
    figure::{Row, percent},
};

const BEGIN: &str = "<!-- begin: written by bench/run -->";
const END: &str = "<!-- end: written by bench/run -->";

/// Measures usher on this machine, and BullMQ and a plain script beside it.
#[derive(Debug, Parser)]
#[command(name = "bench/run", max_term_width = 110)]
struct Args {
    /// Only this case, or the group of cases whose names begin so; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// List the cases, and stop
    #[arg(long)]
    list: bool,
    /// Fewer users, jobs and rounds: to see whether something works, not how well
    #[arg(long)]
    quick: bool,
    /// Every combination, also those that are left out by default to save time
    #[arg(long)]
    all: bool,
    /// Write BENCHMARKS.md although it was not a whole run [default: only a whole run is written]
    #[arg(long)]
    write: bool,
    /// Where the peers' packages are installed
    #[arg(long, value_name = "DIR", hide = true, default_value = "target/bench-peers")]
    peers: PathBuf,
}

fn main() -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let ended = runtime.block_on(bench(Args::parse()));
            runtime.shutdown_timeout(Duration::from_secs(5));
            match ended {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("bench: {error:#}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(args: Args) -> Result<()> {
    let cases = cases::all();
    if args.list {
        for case in &cases {
            println!("{:<26} {}{}", case.name, case.about, if case.extra { " (with --all)" } else { "" });
        }
        return Ok(());
    }
    ensure!(!cfg!(debug_assertions), "figures of a debug build say nothing; bench/run makes a release build");
    // Ring, like all of usher; somebody else may have installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let chosen = choose(&cases, &args)?;
    let machine = machine::description();
    println!("{}\n", machine.join("\n"));
    let began = Instant::now();
    let bench = Bench { quick: args.quick, peers: fs::canonicalize(&args.peers).unwrap_or(args.peers) };
    let mut rows = vec![];
    for (done, case) in chosen.iter().enumerate() {
        println!("[{}/{}] {} ...", done + 1, chosen.len(), case.about);
        let started = Instant::now();
        let found = tokio::select! {
            found = measure(case, &bench) => found,
            stopped = asked_to_stop() => { stopped?; bail!("stopped") }
        };
        for row in &found {
            println!(
                "    {}{}",
                row.figure,
                if row.note.is_empty() { String::new() } else { format!("  ({})", row.note) }
            );
        }
        println!("    {:.0} s", started.elapsed().as_secs_f64());
        rows.extend(found);
    }
    beside_peers(&mut rows);
    println!("\n{}\n", figure::printed(&rows));
    let (met, missed) = (figure::count(&rows, Some(true)), figure::count(&rows, Some(false)));
    let failed = match rows.iter().filter(|row| row.has_failed()).count() {
        0 => String::new(),
        n => format!(", {n} cases failed"),
    };
    println!("{met} goals met, {missed} missed{failed}, in {:.0} min.", began.elapsed().as_secs_f64() / 60.0);
    let whole = args.only.is_empty() && !args.quick;
    if whole || args.write {
        let shortened = if args.quick {
            "\n**A shortened run (`--quick`): to be taken for nothing but a proof that it works.**\n"
        } else {
            ""
        };
        let list: String = machine.iter().map(|line| format!("- {line}\n")).collect();
        let path = Path::new("BENCHMARKS.md");
        write_between(path, &format!("{list}{shortened}\n{}", figure::markdown(&rows)))?;
        println!("Written to {}.", path.display());
    }
    Ok(())
}

/// Ctrl-C, or SIGTERM: what a case has started must not stay behind.
async fn asked_to_stop() -> Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped?,
        _ = term.recv() => {}
    }
    Ok(())
}

fn choose<'a>(cases: &'a [Case], args: &Args) -> Result<Vec<&'a Case>> {
    for only in &args.only {
        ensure!(
            cases.iter().any(|case| is_named(case, only)),
            "there is no case {only:?}; --list shows them"
        );
    }
    Ok(cases
        .iter()
        .filter(|case| match args.only.as_slice() {
            [] => args.all || !case.extra,
            names => names
                .iter()
                .any(|only| case.name == *only || (is_named(case, only) && (args.all || !case.extra))),
        })
        .collect())
}

fn is_named(case: &Case, name: &str) -> bool {
    case.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '-']))
}

/// Runs a case to its end, or until it has taken too long. Whatever goes wrong is a line of the table.
async fn measure(case: &Case, bench: &Bench) -> Vec<Row> {
    // In a task of its own, so that a panic is this case's alone.
    let mut task = tokio::spawn((case.run)(bench.clone()));
    match tokio::time::timeout(case.at_most, &mut task).await {
        Ok(Ok(Ok(rows))) => rows,
        Ok(Ok(Err(error))) => vec![Row::failed(&case.about, &format!("{error:#}"))],
        Ok(Err(error)) => vec![Row::failed(&case.about, &error.to_string())],
        Err(_) => {
            task.abort();
            // What it started ends when it is dropped.
            let _dropped = task.await;
            vec![Row::failed(&case.about, &format!("not done after {} s", case.at_most.as_secs()))]
        }
    }
}

/// Holds our shares of the limit against the peers', where they were measured in this run.
fn beside_peers(rows: &mut [Row]) {
    let is_peer = |row: &Row| row.case.starts_with("peer: ");
    let share_of =
        |who: &str| rows.iter().find(|row| is_peer(row) && row.case.contains(who)).and_then(|row| row.share);
    let peers = [("BullMQ", share_of("BullMQ")), ("the script", share_of("script"))];
    for row in rows.iter_mut().filter(|row| !row.case.starts_with("peer: ")) {
        let Some(share) = row.share else { continue };
        let words: Vec<String> = peers
            .iter()
            .filter_map(|(name, theirs)| {
                let theirs = theirs.filter(|theirs| *theirs > 0.0)?;
                Some(format!("{:.2}x {name} ({})", share / theirs, percent(theirs)))
            })
            .collect();
        row.peer = words.join(", ");
    }
}

/// Replaces what stands between the two markers of a file.
fn write_between(path: &Path, text: &str) -> Result<()> {
    let old = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let parts = old.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.with_context(|| format!("{} has lost its markers", path.display()))?;
    fs::write(path, format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", text.trim()))?;
    Ok(())
}
