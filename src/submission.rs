//! From a file to a run: read, stored unseen, shown, asked about, sealed.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use usher_producer::{
    intake::{self, BadRow, IntakeOptions, Row, RowProblem},
    submit::{Contents, Description, Draft, FillOptions, Filled, Key, SubmitError, Submitted},
};
use usher_shared::{config::StoreAddress, store::SharedStore};

use crate::{
    cli::Submission,
    console,
    exit::{Exit, Failure},
    outlook::outlook,
    report::{numbers::of, table::printable},
    wiring::{self, Context},
};

/// Reads the file into the store, shows what it holds and how long it will take, asks, and makes it a run. `alone`: it will
/// be worked alone, so that other runs are no matter.
pub async fn submit(
    context: &Context,
    store: &SharedStore,
    address: &StoreAddress,
    asked: &Submission,
    alone: bool,
) -> Result<Submitted, Failure> {
    let quiet = context.global.quiet;
    let (filled, notices) = fill(context, store, asked).await?;
    let contradictions = notices.contradictions;
    if filled.contents().requests == 0 && filled.contents().bad.total == notices.no_action.len() as u64 {
        // One word is missing on the command line, not one in each row.
        return Err(Failure::new(
            Exit::InvalidInput,
            format!(
                "{} does not say what to do with its users: add --action deactivate (or activate), or give it an action column",
                asked.file.display()
            ),
        ));
    }
    for bad in &notices.no_action {
        console::hint(false, printable(&bad.to_string()));
    }
    let draft = match filled {
        Filled::Clean(draft) => draft,
        Filled::Flawed(flawed) => {
            let bad = flawed.contents().bad.total;
            if asked.skip_invalid && contradictions > 0 {
                flawed.discard().await.map_err(failure)?;
                return Err(Failure::new(
                    Exit::InvalidInput,
                    format!(
                        "{} want different things of one user, and --skip-invalid can't say which is right; nothing was \
                         submitted. Keep one row of each such user",
                        of(contradictions, "row")
                    ),
                ));
            }
            if !asked.skip_invalid {
                flawed.discard().await.map_err(failure)?;
                return Err(Failure::new(
                    Exit::InvalidInput,
                    format!(
                        "{} can't be used; nothing was submitted. Correct the file, or leave such rows out with --skip-invalid",
                        of(bad, "row")
                    ),
                ));
            }
            console::hint(quiet, format_args!("Left out: {}.", of(bad, "bad row")));
            flawed.skip_invalid().map_err(failure)?
        }
    };
    let contents = draft.contents().clone();
    console::hint(quiet, describe(&contents, asked, address));
    let outlook =
        outlook(&context.config, store, &asked.account, contents.requests, asked.priority, alone).await;
    if let Some(outlook) = outlook {
        console::hint(quiet, outlook);
    }
    if !asked.yes
        && let Err(refused) = console::confirm("Go ahead?".to_owned(), is_stdin(&asked.file)).await
    {
        draft.discard().await.map_err(failure)?;
        return Err(refused);
    }
    let submitted = draft.seal(Key::Content).await.map_err(failure)?;
    match &submitted {
        Submitted::New { run, previous: None } => console::hint(quiet, format_args!("This is run {run}.")),
        Submitted::New { run, previous: Some(previous) } => console::hint(
            quiet,
            format_args!("This is a new run, {run}: run {previous} had the same content, and is over."),
        ),
        Submitted::Existing { run } => {
            console::hint(
                quiet,
                format_args!("The same content is run {run} already, which is unfinished: going on with it."),
            );
        }
    }
    Ok(submitted)
}

async fn fill(
    context: &Context,
    store: &SharedStore,
    asked: &Submission,
) -> Result<(Filled, Notices), Failure> {
    let options = IntakeOptions { format: asked.format, action: asked.action };
    let file = asked.file.clone();
    // Looking at the first block of a pipe may take as long as its writer likes.
    let rows = tokio::task::spawn_blocking(move || intake::parse_file(&file, options))
        .await
        .map_err(|error| Failure::new(Exit::Internal, error))?
        .map_err(|error| failure(error.into()))?;
    let passed_over: Vec<&str> = rows.columns_passed_over().collect();
    if !passed_over.is_empty() {
        console::hint(
            context.global.quiet,
            format_args!(
                "Users are taken from the column {}, not from {}.",
                rows.user_column(),
                passed_over.join(", ")
            ),
        );
    }
    let description = Description {
        priority: asked.priority,
        reason: asked.reason.clone(),
        source: Some(asked.file.display().to_string()),
        ..Description::new(asked.account.clone(), &wiring::asked_by())
    };
    let quiet = context.global.quiet;
    let notices = Arc::new(Mutex::new(Notices::default()));
    let noted = Arc::clone(&notices);
    let mut progress = ReadingProgress { bars: context.bars.clone(), quiet, last: Instant::now() };
    let options = FillOptions {
        clock: wiring::clock(),
        progress: Some(Box::new(move |so_far| progress.show(so_far.read))),
        // Bad rows are errors, and told even to those who want quiet.
        notice: Some(Box::new(move |row| match row {
            Row::Bad(bad) => {
                // Counts are whole after a panic of another holder, too.
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                match bad.problem {
                    RowProblem::NoAction => return noted.no_action.push(bad.clone()),
                    RowProblem::Contradiction { .. } => noted.contradictions += 1,
                    _ => {}
                }
                console::hint(false, printable(&bad.to_string()));
            }
            Row::Duplicate(duplicate) => console::hint(quiet, printable(&duplicate.to_string())),
            Row::Request(_) => {}
        })),
        ..FillOptions::default()
    };
    let filling = Draft::fill(store, description, rows, options);
    let mut stop = context.stop.clone();
    tokio::select! {
        filled = filling => {
            let filled = filled.map_err(failure)?;
            let notices = std::mem::take(&mut *notices.lock().unwrap_or_else(PoisonError::into_inner));
            Ok((filled, notices))
        }
        () = stop.asked() => Err(Failure::new(Exit::Interrupted, "interrupted while reading; nothing was submitted")),
    }
}

/// What the bad rows have in common.
#[derive(Default)]
struct Notices {
    /// Rows that want something else of a user than an earlier one.
    contradictions: u64,
    /// Rows that say nothing of what to do; told at the end, for if there are no others, it is one mistake.
    no_action: Vec<BadRow>,
}

/// A word about reading, for files that take longer than a moment.
struct ReadingProgress {
    bars: indicatif::MultiProgress,
    quiet: bool,
    last: Instant,
}

impl ReadingProgress {
    fn show(&mut self, read: u64) {
        if !self.quiet && self.last.elapsed().as_secs() >= 2 {
            self.last = Instant::now();
            self.bars.suspend(|| console::hint(false, format_args!("{} read", of(read, "row"))));
        }
    }
}

fn describe(contents: &Contents, asked: &Submission, address: &StoreAddress) -> String {
    let actions: Vec<String> = contents
        .by_action
        .iter()
        .filter(|(_, number)| **number > 0)
        .map(|(action, number)| format!("{action} {}", of(*number, "user")))
        .collect();
    let duplicates = match contents.duplicates.total {
        0 => String::new(),
        n => format!(" ({} left out)", of(n, "repeated row")),
    };
    format!(
        "This will {} of the account {}{duplicates}. Store: {address}",
        actions.join(" and "),
        asked.account
    )
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn failure(error: SubmitError) -> Failure {
    match error {
        SubmitError::Store(error) => error.into(),
        error => Failure { exit: Exit::InvalidInput, error: error.into() },
    }
}
