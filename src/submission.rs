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
use usher_shared::{
    Action, RunId, Terms, Timestamp,
    config::StoreAddress,
    store::SharedStore,
    view::{
        activity,
        guards::{guards, share},
    },
};
use usher_worker::provider::SharedProvider;

use crate::{
    cli::Submission,
    console,
    exit::{Exit, Failure},
    outlook::outlook,
    report::{numbers::of, table::printable},
    timing, who,
    wiring::{self, Context},
};

/// Reads the file into the store, shows what it holds and how long it will take, asks, and makes it a run. `provider`: it will
/// be worked here and alone, so that other runs are no matter, and the vendor can be asked how many users there are.
pub async fn submit(
    context: &Context,
    store: &SharedStore,
    address: &StoreAddress,
    asked: &Submission,
    provider: Option<&SharedProvider>,
) -> Result<Submitted, Failure> {
    let quiet = context.global.quiet;
    let (terms, told) = timing::terms(&asked.timing, now(store).await)?;
    let draft = draft(context, store, asked, terms).await?;
    let contents = draft.contents().clone();
    console::hint(quiet, describe(&contents, asked, address));
    told.iter().for_each(|line| console::hint(quiet, line));
    for line in touches(context, store, asked, &contents, provider).await {
        console::hint(quiet, line);
    }
    let alone = provider.is_some();
    let outlook =
        outlook(&context.config, store, &asked.account, contents.requests, asked.priority, alone).await;
    if let Some(outlook) = outlook {
        console::hint(quiet, outlook);
    }
    if !asked.yes
        && let Err(refused) = console::confirm("Go ahead?".to_owned(), is_stdin(&asked.file)).await
    {
        draft.discard().await?;
        return Err(refused);
    }
    let submitted = draft.seal(Key::Content).await?;
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

/// Reads the file into the store and makes it a run that is only planned. Nothing is asked: nothing is changed.
pub async fn plan(context: &Context, store: &SharedStore, asked: &Submission) -> Result<RunId, Failure> {
    let (terms, told) = timing::terms(&asked.timing, now(store).await)?;
    told.iter().for_each(|line| console::hint(context.global.quiet, line));
    let draft = draft(context, store, asked, Terms { plan: true, ..terms }).await?;
    // What was planned yesterday is not what is there today.
    Ok(draft.seal(Key::Fresh).await?.run().clone())
}

/// The store's time: what its workers go by.
pub async fn now(store: &SharedStore) -> Timestamp {
    store.now().await.unwrap_or_else(|_| wiring::clock().now())
}

/// Which share of the account's users it may touch, and what guards the account: a line each.
async fn touches(
    context: &Context,
    store: &SharedStore,
    asked: &Submission,
    contents: &Contents,
    provider: Option<&SharedProvider>,
) -> Vec<String> {
    let out = contents.by_action.get(&Action::Deactivate).copied().unwrap_or(0);
    let mut active = activity::active_users(store, &asked.account).await;
    if let (None, Some(provider), false) = (active, provider, asked.yes) {
        // Asked of the vendor only where somebody reads it.
        active = first_page(provider).await;
    }
    let mut lines = Vec::new();
    if let Some(share) = active.filter(|_| out > 0).and_then(|active| share(out.min(active), active)) {
        lines.push(format!("It may deactivate up to {share}."));
    }
    let guards = guards(&context.config, &asked.account, contents.requests, active, true, false);
    // Whoever only submits knows nothing of caps, and hears of them from the workers.
    if context.config.accounts.contains_key(&asked.account) {
        lines.extend(guards.lines);
    }
    lines
}

/// How many users the vendor says are active.
async fn first_page(provider: &SharedProvider) -> Option<u64> {
    let listings = provider.listings();
    provider.list(listings.first()?).await.ok()?.total
}

/// Reads the file into the store, where nobody sees it yet; tells what is wrong with it.
pub async fn draft(
    context: &Context,
    store: &SharedStore,
    asked: &Submission,
    terms: Terms,
) -> Result<Draft, Failure> {
    let quiet = context.global.quiet;
    let (filled, notices) = fill(context, store, asked, terms).await?;
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
    match filled {
        Filled::Clean(draft) => Ok(draft),
        Filled::Flawed(flawed) => {
            let bad = flawed.contents().bad.total;
            if asked.skip_invalid && contradictions > 0 {
                flawed.discard().await?;
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
                flawed.discard().await?;
                return Err(Failure::new(
                    Exit::InvalidInput,
                    format!(
                        "{} can't be used; nothing was submitted. Correct the file, or leave such rows out with --skip-invalid",
                        of(bad, "row")
                    ),
                ));
            }
            console::hint(quiet, format_args!("Left out: {}.", of(bad, "bad row")));
            Ok(flawed.skip_invalid()?)
        }
    }
}

async fn fill(
    context: &Context,
    store: &SharedStore,
    asked: &Submission,
    terms: Terms,
) -> Result<(Filled, Notices), Failure> {
    let options = IntakeOptions { format: asked.format, action: asked.action };
    let file = asked.file.clone();
    // Looking at the first block of a pipe may take as long as its writer likes.
    let rows = tokio::task::spawn_blocking(move || intake::parse_file(&file, options))
        .await
        .map_err(|error| Failure::new(Exit::Internal, error))?
        .map_err(SubmitError::from)?;
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
        from: Some(wiring::host()),
        terms,
        ..Description::new(asked.account.clone(), &wiring::asked_by())
    };
    let quiet = context.global.quiet;
    let notices = Arc::new(Mutex::new(Notices::default()));
    let noted = Arc::clone(&notices);
    let mut progress = ReadingProgress { bars: context.bars.clone(), quiet, last: Instant::now() };
    let options = FillOptions {
        clock: wiring::clock(),
        signer: who::signer(&context.config, asked.name.as_deref())?,
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
            let filled = filled?;
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
