//! `usher audit`: who did what, and whether that record is whole.

use std::{
    collections::VecDeque,
    io::{self, Write},
    path::Path,
};

use serde::Serialize;
use usher_shared::{
    RunId,
    audit::{AuditEntry, AuditHead, verify},
    config::StoreAddress,
    store::{SharedStore, StoreError},
};

use crate::{
    cli::AuditCommand,
    console,
    exit::{Exit, Failure, Outcome},
    report::{
        numbers::{count, of},
        table::printable,
    },
    wiring::{self, Context},
};

/// Entries read at once.
const PAGE: usize = 1_000;

/// Shows, exports or verifies the audit.
pub async fn audit(context: &Context, command: &AuditCommand) -> Outcome {
    let (store, address) = context.open_store().await?;
    match command {
        AuditCommand::List { limit, run } => list(context, &store, *limit as usize, run.as_ref()).await,
        AuditCommand::Export { output } => export(context, &store, output.as_deref()).await,
        AuditCommand::Verify { head } => verified(context, &store, &address, head).await,
    }
}

/// The audit's entries, page by page.
struct Entries<'a> {
    store: &'a SharedStore,
    from: Option<u64>,
}

impl<'a> Entries<'a> {
    fn from(store: &'a SharedStore, from: u64) -> Self {
        Self { store, from: Some(from) }
    }

    async fn next(&mut self) -> Result<Option<Vec<AuditEntry>>, StoreError> {
        let Some(from) = self.from else { return Ok(None) };
        let page = self.store.audit(from, PAGE).await?;
        self.from = if page.len() < PAGE { None } else { page.last().map(|entry| entry.number + 1) };
        Ok(Some(page))
    }
}

async fn list(context: &Context, store: &SharedStore, limit: usize, run: Option<&RunId>) -> Outcome {
    // The numbers have no gaps: what is last can be gone to. Of one run any entry may be.
    let sealed = store.audit_head().await?.map_or(0, |head| head.number);
    let from = if run.is_some() { 1 } else { (sealed + 1).saturating_sub(limit as u64).max(1) };
    let (mut last, mut unsealed) = (VecDeque::new(), 0);
    let mut entries = Entries::from(store, from);
    while let Some(page) = entries.next().await? {
        for entry in page {
            unsealed += u64::from(entry.seal.is_none());
            let of_run = entry.read().and_then(|event| event.run);
            if run.is_some_and(|run| of_run.as_ref() != Some(run)) {
                continue;
            }
            if last.len() == limit {
                last.pop_front();
            }
            last.push_back(entry);
        }
    }
    if last.is_empty() {
        console::hint(context.global.quiet, "The audit has no such entry yet.");
        return Ok(Exit::Success);
    }
    let width = console::out_width();
    let text: String = last.iter().map(|entry| shown(entry, width)).collect();
    console::print(&text)?;
    tell_unsealed(context, unsealed);
    Ok(Exit::Success)
}

/// An entry on two lines or more: when what happened to which run, and by whom.
fn shown(entry: &AuditEntry, width: usize) -> String {
    let when: String = entry.at.to_string().replace('T', " ").chars().take(19).collect();
    let (number, unsealed) = (count(entry.number), if entry.seal.is_none() { "  not sealed" } else { "" });
    let Some(event) = entry.read() else {
        let line = format!("{number:>6}  {when}  unreadable: {}{unsealed}", printable(&entry.event));
        return console::indented(&line, width, 0, 8);
    };
    let run = event.run.map(|run| format!("  {run}")).unwrap_or_default();
    let account = event.account.map(|account| format!("  {account}")).unwrap_or_default();
    let from = event.from.map(|from| format!(" from {}", printable(&from))).unwrap_or_default();
    let more = printable(&more(event.detail.as_deref(), event.plan.as_ref().map(|plan| plan.short())));
    let more = if more.is_empty() { more } else { format!(": {more}") };
    let what = format!("{number:>6}  {when}  {:<13}{run}{account}{unsealed}", event.what);
    let by = format!("by {}{from}{more}", printable(&event.by));
    console::indented(&what, width, 0, 8) + &console::indented(&by, width, 8, 10)
}

fn more(detail: Option<&str>, plan: Option<&str>) -> String {
    match (detail, plan) {
        (Some(detail), Some(plan)) => format!("{detail} (plan {plan})"),
        (Some(detail), None) => detail.to_owned(),
        (None, Some(plan)) => format!("plan {plan}"),
        (None, None) => String::new(),
    }
}

fn tell_unsealed(context: &Context, unsealed: u64) {
    if unsealed > 0 {
        let are = if unsealed == 1 { "entry is" } else { "entries are" };
        console::hint(
            context.global.quiet,
            format_args!(
                "{} {are} not sealed yet: the next worker that has the key does it.",
                count(unsealed)
            ),
        );
    }
}

/// An entry, as exports show it: read, and the very text and time that are sealed.
#[derive(Serialize)]
struct View<'a> {
    number: u64,
    at: String,
    at_millis: i64,
    what: Option<&'static str>,
    by: Option<&'a str>,
    from: Option<&'a str>,
    account: Option<&'a str>,
    run: Option<&'a str>,
    plan: Option<&'a str>,
    detail: Option<&'a str>,
    event: &'a str,
    seal: Option<&'a str>,
}

async fn export(context: &Context, store: &SharedStore, output: Option<&Path>) -> Outcome {
    let mut to: Box<dyn Write + Send> = match output {
        Some(path) => Box::new(io::BufWriter::new(wiring::private_file(path)?)),
        None => Box::new(io::BufWriter::new(io::stdout())),
    };
    match write(store, &mut to).await {
        // A reader that has seen enough (`| head`) is no error.
        Err(Failure { error, .. })
            if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(Exit::Success)
        }
        Err(failure) => Err(failure),
        Ok(written) => {
            if let Some(path) = output {
                let entries = if written == 1 { "entry" } else { "entries" };
                console::hint(
                    context.global.quiet,
                    format_args!("{} {entries} written to {}", count(written), path.display()),
                );
            }
            Ok(Exit::Success)
        }
    }
}

async fn write(store: &SharedStore, to: &mut (dyn Write + Send)) -> Result<u64, Failure> {
    let mut written = 0;
    let mut entries = Entries::from(store, 1);
    while let Some(page) = entries.next().await? {
        for entry in &page {
            let event = entry.read();
            let event = event.as_ref();
            let view = View {
                number: entry.number,
                at: entry.at.to_string(),
                at_millis: entry.at.as_millis(),
                what: event.map(|event| event.what.as_str()),
                by: event.map(|event| event.by.as_str()),
                from: event.and_then(|event| event.from.as_deref()),
                account: event.and_then(|event| event.account.as_ref()).map(|account| account.as_str()),
                run: event.and_then(|event| event.run.as_ref()).map(RunId::as_str),
                plan: event.and_then(|event| event.plan.as_ref()).map(|plan| plan.as_str()),
                detail: event.and_then(|event| event.detail.as_deref()),
                event: &entry.event,
                seal: entry.seal.as_deref(),
            };
            serde_json::to_writer(&mut *to, &view).map_err(io::Error::from)?;
            to.write_all(b"\n")?;
        }
        written += page.len() as u64;
    }
    to.flush()?;
    Ok(written)
}

async fn verified(
    context: &Context,
    store: &SharedStore,
    address: &StoreAddress,
    given: &[AuditHead],
) -> Outcome {
    let Some(key) = wiring::audit_key(&context.config, address)? else {
        return Err(Failure::new(Exit::Configuration, no_key(address)));
    };
    let mut noted = given.to_vec();
    noted.extend(wiring::noted_heads(&context.config, address)?);
    let mut all = Vec::new();
    let mut entries = Entries::from(store, 1);
    while let Some(page) = entries.next().await? {
        all.extend(page);
    }
    let (head, flaws) = verify(&key, &all, &noted);
    if !flaws.is_empty() {
        let lines: Vec<String> = flaws.iter().map(|flaw| format!("FLAW: {flaw}\n")).collect();
        console::print(&lines.concat())?;
        console::hint(
            false,
            format_args!(
                "The audit in {address} is not what was sealed: {} in {}. If the key is another than the workers', set [audit] key.",
                of(flaws.len() as u64, "flaw"),
                entries_of(all.len() as u64),
            ),
        );
        return Ok(Exit::Refused);
    }
    let unsealed = all.iter().filter(|entry| entry.seal.is_none()).count() as u64;
    let sealed = entries_of(all.len() as u64 - unsealed);
    let against = match noted.len() as u64 {
        0 => "; no head was noted elsewhere, so that a cut-off end would not show: --head NUMBER:SEAL names one".to_owned(),
        number => format!(", and {} noted elsewhere {}", of(number, "head"), if number == 1 { "agrees" } else { "agree" }),
    };
    console::print(&format!("The audit is whole: {sealed} as sealed{against}.\n"))?;
    if let Some(head) = head {
        console::print(&format!("Head: {head}\n"))?;
    }
    tell_unsealed(context, unsealed);
    Ok(Exit::Success)
}

fn entries_of(number: u64) -> String {
    format!("{} {}", count(number), if number == 1 { "entry" } else { "entries" })
}

fn no_key(address: &StoreAddress) -> String {
    match address {
        StoreAddress::Redis(_) => {
            "the audit can't be verified without its key: set key in [audit], as on the workers; without \
                                   one there, entries are kept unsealed"
                .to_owned()
        }
        StoreAddress::Sqlite(_) => {
            "the audit can't be verified without its key: there is no audit.key in the data directory \
                                    yet (the first worker makes it), and no key in [audit]"
                .to_owned()
        }
    }
}
