//! `usher runs`: the newest runs.

use usher_shared::{RunState, RunStatus, view::StatusView};

use crate::{
    cli::RunsArgs,
    console,
    exit::{Exit, Outcome},
    report::{
        numbers::count,
        table::{self, printable},
    },
    wiring::Context,
};

/// Lists runs, newest first.
pub async fn runs(context: &Context, args: &RunsArgs) -> Outcome {
    let (store, address) = context.open_store().await?;
    let runs = store.runs(None, args.limit as usize).await?;
    if args.json {
        let views: Vec<StatusView<'_>> = runs.iter().map(StatusView::from).collect();
        let text = serde_json::to_string_pretty(&views).map_err(std::io::Error::from)?;
        console::print(&format!("{text}\n"))?;
        return Ok(Exit::Success);
    }
    if runs.is_empty() {
        console::hint(context.global.quiet, format_args!("There are no runs in {address} yet."));
        return Ok(Exit::Success);
    }
    let mut table = table::new(["run", "account", "action", "state", "done", "of", "submitted", "reason"]);
    table::right(&mut table, 4);
    table::right(&mut table, 5);
    for status in &runs {
        table.add_row([
            status.run.id.to_string(),
            status.run.account.to_string(),
            status.action_word().to_owned(),
            status.state().to_string(),
            count(status.counters.finished),
            count(status.counters.total),
            status.run.created_at.to_string().replace('T', " ").chars().take(16).collect(),
            printable(status.run.reason.as_deref().unwrap_or_default()),
        ]);
    }
    console::print(&format!("{}\n", table.trim_fmt()))?;
    for status in &runs {
        if let Some(next) = next(status) {
            console::hint(
                context.global.quiet,
                format_args!("{} is {}: {next}", status.run.id, status.state()),
            );
        }
    }
    Ok(Exit::Success)
}

/// What a person does about a run that waits for one.
fn next(status: &RunStatus) -> Option<String> {
    let run = &status.run.id;
    match status.state() {
        RunState::Planned => Some(format!("usher apply {run}, or usher cancel {run}")),
        RunState::Paused => Some(format!("usher resume {run}, or usher cancel {run}")),
        RunState::Scheduled => status
            .run
            .terms
            .not_before
            .map(|begins| format!("it begins at {begins}; usher cancel {run} forgets it")),
        RunState::Held => status.notes.held.as_ref().map(|held| printable(&held.message)),
        _ => None,
    }
}
