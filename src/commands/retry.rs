//! `usher retry`: tries users of a run that is over again, as part of the same run.

use std::collections::BTreeMap;

use usher_shared::{
    Outcome as Ended, OutcomeRow, RunPhase, RunStatus, Timestamp, audit::AuditKind, config::StoreAddress,
    store::CHUNK,
};

use super::{
    apply::{Follow, carry_out, worked_here},
    steer::find,
};
use crate::{
    audit::{self, About},
    cli::RetryArgs,
    console,
    exit::{Exit, Failure, Outcome},
    report::{
        Filter, Rows,
        numbers::{count, of},
    },
    wiring::Context,
};

/// Selects, shows, asks, reopens, and lets the run go on.
pub async fn retry(context: &Context, args: &RetryArgs) -> Outcome {
    if let Some(wished) = args.outcome.iter().find(|outcome| outcome.is_as_wished()) {
        return Err(Failure::new(
            Exit::InvalidInput,
            format!("{wished} users are as wished: there is nothing to retry; `usher undo` puts them back"),
        ));
    }
    let (store, address) = context.open_store().await?;
    let status = find(&store, &args.run).await?;
    can_be_retried(&status)?;
    has_time(&status, store.now().await?)?;
    // Before anything is reopened: a secret that can't be read should not leave a run behind.
    let provider = if args.detach { None } else { worked_here(context, &store, &address, &status)? };
    let (mut seqs, mut counts) = (Vec::new(), BTreeMap::<Ended, u64>::new());
    let mut rows = Rows::new(&store, &args.run, Filter::default());
    while let Some(page) = rows.page().await? {
        for row in page.iter().filter(|row| is_meant(args, row)) {
            seqs.push(row.seq);
            *counts.entry(row.outcome).or_default() += 1;
        }
    }
    let begun = !status.phase.is_over();
    if seqs.is_empty() && !begun {
        return Err(Failure::new(Exit::InvalidInput, nothing(args, &status)));
    }
    let named: Vec<String> =
        counts.iter().map(|(outcome, number)| format!("{} {outcome}", count(*number))).collect();
    let what = format!("{} of run {} on {}", of(seqs.len() as u64, "user"), args.run, status.run.account);
    console::hint(context.global.quiet, format_args!("To be tried again: {what} ({}).", named.join(", ")));
    console::hint(
        context.global.quiet,
        "They are looked up again, and caps, approval and protection apply as to any run.",
    );
    if !args.yes {
        console::confirm("Try them again?".to_owned(), false).await?;
    }
    let about = About::run(&status.run.account, &args.run).saying(named.join(", "));
    audit::tell(&store, AuditKind::Retried, about).await?;
    let mut reopened = 0;
    for chunk in seqs.chunks(CHUNK) {
        reopened += store.reopen(&args.run, chunk).await?;
    }
    tracing::debug!(reopened, "jobs are tried again");
    let follow = Follow { watch: false, ending: args.ending.clone() };
    if let Some(provider) = provider {
        return carry_out(context, &store, &address, &args.run, Some(provider), &follow).await;
    }
    store.resume(&args.run).await?;
    let who = match address {
        StoreAddress::Redis(_) => "workers go on with it",
        StoreAddress::Sqlite(_) => "a worker on this store goes on with it",
    };
    console::hint(
        context.global.quiet,
        format_args!(
            "Run {} is open again: {who}. How far it is: usher status {} --watch",
            args.run, args.run
        ),
    );
    Ok(Exit::Success)
}

fn can_be_retried(status: &RunStatus) -> Result<(), Failure> {
    // Sealed and paused: a retry that was interrupted while it reopened.
    if status.phase.is_over() || (status.phase == RunPhase::Sealed && status.paused) {
        return Ok(());
    }
    let run = &status.run.id;
    Err(Failure::new(
        Exit::InvalidInput,
        format!(
            "run {run} is {}: users can be tried again once it is over; see usher status {run}",
            status.state()
        ),
    ))
}

/// A run's deadline outlives its end: past it, every user would end as expired at once.
fn has_time(status: &RunStatus, now: Timestamp) -> Result<(), Failure> {
    match status.run.terms.deadline.filter(|deadline| *deadline <= now) {
        None => Ok(()),
        Some(deadline) => Err(Failure::new(
            Exit::InvalidInput,
            format!(
                "the deadline of run {} was {deadline}, so nobody of it is tried again: submit those users anew; `usher report \
                 {} --failed --format csv` lists them",
                status.run.id, status.run.id
            ),
        )),
    }
}

/// Whether a row is to be tried again.
fn is_meant(args: &RetryArgs, row: &OutcomeRow) -> bool {
    if row.outcome.is_as_wished() {
        return false;
    }
    let by_outcome = if args.outcome.is_empty() {
        // A newer run decides about the one; the plan that was approved is not of the other as it is now.
        !matches!(row.outcome, Ended::Superseded | Ended::Drifted)
    } else {
        args.outcome.contains(&row.outcome)
    };
    let code = row.code.as_deref().unwrap_or_default();
    by_outcome && (args.code.is_empty() || args.code.iter().any(|wanted| wanted == code))
}

fn nothing(args: &RetryArgs, status: &RunStatus) -> String {
    let outcomes = status.counters.outcomes.iter();
    let there: Vec<String> =
        outcomes.map(|(outcome, number)| format!("{} {outcome}", count(*number))).collect();
    let codes = if args.code.is_empty() {
        String::new()
    } else {
        format!(" with the code {}", args.code.join(" or "))
    };
    format!("run {} has nobody to be tried again{codes}: it ended with {}", status.run.id, there.join(", "))
}

#[cfg(test)]
mod tests {
    use usher_shared::Action;

    use super::*;
    use crate::cli::Ending;

    fn args(outcome: &[Ended], code: &[&str]) -> RetryArgs {
        RetryArgs {
            run: "20261121-k3f9zm".parse().unwrap(),
            outcome: outcome.to_vec(),
            code: code.iter().map(|code| (*code).to_owned()).collect(),
            yes: true,
            detach: false,
            ending: Ending { verify: false, json: false },
        }
    }

    fn row(outcome: Ended, code: Option<&str>) -> OutcomeRow {
        OutcomeRow {
            seq: 0,
            line: 1,
            user: "ann@corp.example".parse().unwrap(),
            resolved: None,
            action: Action::Deactivate,
            reason: None,
            outcome,
            code: code.map(str::to_owned),
            message: None,
            attempts: 1,
            first_attempt_at: None,
            last_attempt_at: None,
            worker: None,
        }
    }

    #[test]
    fn all_that_failed_is_tried_again_and_superseded_and_drifted_only_when_named() {
        for outcome in Ended::ALL {
            let expected = !outcome.is_as_wished() && !matches!(outcome, Ended::Superseded | Ended::Drifted);
            assert_eq!(is_meant(&args(&[], &[]), &row(outcome, None)), expected, "{outcome}");
            assert_eq!(is_meant(&args(&[outcome], &[]), &row(outcome, None)), !outcome.is_as_wished());
        }
    }

    #[test]
    fn outcomes_and_codes_narrow_it_down_together() {
        let events = row(Ended::Rejected, Some("300"));
        assert!(is_meant(&args(&[], &["300"]), &events));
        assert!(is_meant(&args(&[Ended::Rejected], &["200", "300"]), &events));
        assert!(!is_meant(&args(&[Ended::Exhausted], &["300"]), &events));
        assert!(!is_meant(&args(&[], &["200"]), &events));
        assert!(!is_meant(&args(&[], &["300"]), &row(Ended::Superseded, Some("300"))));
    }
}
