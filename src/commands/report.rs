//! `usher report`: what happened to every user of a run.

use std::io::{self, Write};

use usher_shared::store::StoreError;

use crate::{
    cli::{ReportArgs, ReportFormat},
    console,
    exit::{Exit, Failure, Outcome},
    limits,
    report::{Filter, Rows, csv, html, json, numbers, table},
    wiring::{self, Context},
};

/// Writes the report. Exit code 0 whatever the outcomes: it could report.
pub async fn report(context: &Context, args: &ReportArgs) -> Outcome {
    let (store, _) = context.open_store().await?;
    let status = store.run(&args.run).await?.ok_or_else(|| StoreError::NoSuchRun(args.run.clone()))?;
    let filter = Filter { outcomes: args.outcome.clone(), failed: args.failed };
    let mut rows = Rows::new(&store, &args.run, filter.clone());
    let mut to: Box<dyn Write + Send> = match &args.output {
        Some(path) => Box::new(io::BufWriter::new(wiring::private_file(path)?)),
        None => Box::new(io::BufWriter::new(io::stdout())),
    };
    let written = match args.format {
        ReportFormat::Table => table::write(&mut rows, &mut *to).await,
        ReportFormat::Csv => csv::write(&mut rows, &mut *to).await,
        ReportFormat::Json => json::write(&mut rows, &mut *to).await,
        ReportFormat::Html => {
            let limit = limits::of_changes(&context.config, &status.run.account).map(|rate| rate.per_second);
            let page = html::Page::of(&store, status.clone(), filter, limit).await?;
            page.write(&mut rows, &mut *to).await
        }
    };
    match written {
        // A reader that has seen enough (`| head`) is no error.
        Err(Failure { error, .. }) if reader_left(&error) => return Ok(Exit::Success),
        Err(failure) => return Err(failure),
        Ok(rows) => {
            if let Some(path) = &args.output {
                let quiet = context.global.quiet;
                console::hint(
                    quiet,
                    format_args!("{} written to {}", numbers::of(rows, "row"), path.display()),
                );
            }
        }
    }
    if !status.phase.is_over() {
        let left = status.counters.total - status.counters.finished;
        console::hint(
            context.global.quiet,
            format_args!(
                "The run is {}: {} without an outcome yet, not in this report.",
                status.state(),
                numbers::of(left, "user")
            ),
        );
    }
    Ok(Exit::Success)
}

fn reader_left(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
            || cause.downcast_ref::<::csv::Error>().is_some_and(
                |error| matches!(error.kind(), ::csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::BrokenPipe),
            )
    })
}
