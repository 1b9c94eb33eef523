//! A plan, for programs: exact, a row for each request.

use std::io::Write;

use usher_shared::{
    RunStatus,
    plan::{Plan, PlanPages},
    store::SharedStore,
    view::plan::{PlanView, PlannedView},
};

use crate::exit::Failure;

/// Writes the whole plan: what is said of all, then a row a line.
pub async fn write(
    store: &SharedStore,
    status: &RunStatus,
    plan: &Plan,
    to: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let head = serde_json::to_string_pretty(&PlanView::of(status, plan)).map_err(std::io::Error::from)?;
    // The users follow within the same object.
    write!(to, "{},\n  \"users\": [", head.trim_end_matches('}').trim_end())?;
    let mut first = true;
    let mut rows = PlanPages::new(store, &status.run.id);
    while let Some(page) = rows.page().await? {
        for row in &page {
            to.write_all(if first { b"\n" } else { b",\n" })?;
            first = false;
            serde_json::to_writer(&mut *to, &PlannedView::from(row)).map_err(std::io::Error::from)?;
        }
    }
    to.write_all(b"\n  ]\n}\n")?;
    to.flush()?;
    Ok(())
}
