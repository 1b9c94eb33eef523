//! The end of a run: the directory compared, the reports written, the summary shown.

use std::path::PathBuf;

use usher_shared::{RunId, RunStatus, store::SharedStore, view::Scene};
use usher_worker::verify::Verification;

use crate::{
    commands::status,
    console,
    exit::Failure,
    report::{
        Filter, Rows, csv, json,
        numbers::{count, of},
        table::printable,
    },
    wiring::{self, Context},
};

/// Disagreements that are named on the screen.
const NAMED: usize = 20;

/// Writes the reports into the data directory; says where they lie.
pub async fn write_reports(
    context: &Context,
    store: &SharedStore,
    run: &RunId,
) -> Result<[PathBuf; 2], Failure> {
    let dir = context.config.data_dir()?.join("reports");
    wiring::private_dir(&dir)?;
    let [csv_path, json_path] = ["csv", "json"].map(|ending| dir.join(format!("{run}.{ending}")));
    let all = || Rows::new(store, run, Filter::default());
    let mut file = std::io::BufWriter::new(wiring::private_file(&csv_path)?);
    csv::write(&mut all(), &mut file).await?;
    let mut file = std::io::BufWriter::new(wiring::private_file(&json_path)?);
    json::write(&mut all(), &mut file).await?;
    Ok([csv_path, json_path])
}

/// Shows the end of a run: JSON alone, or the summary, the verification and where the reports lie.
pub async fn show(
    store: &SharedStore,
    run: &RunStatus,
    scene: &Scene,
    json: bool,
    plan: Option<f64>,
    verification: Option<&Verification>,
    reports: &[PathBuf],
) -> Result<(), Failure> {
    status::show(store, run, scene, json, plan).await?;
    let mut text = String::new();
    if let Some(verification) = verification {
        text += &format!("\n{}", describe(verification));
    }
    if !reports.is_empty() {
        let paths: Vec<String> = reports.iter().map(|path| format!("  {}\n", path.display())).collect();
        text += &format!("\nReports:\n{}", paths.concat());
    }
    if json {
        console::hint(false, text.trim());
        Ok(())
    } else {
        console::print(&text)
    }
}

/// What a verification found, for people.
pub fn describe(verification: &Verification) -> String {
    let checked = of(verification.checked, "user");
    let mut text = match verification.disagreements.len() {
        0 => format!("The directory agrees: {checked} verified.\n"),
        n => format!("\nThe directory DISAGREES about {} of {} verified:\n", count(n as u64), checked),
    };
    for wrong in verification.disagreements.iter().take(NAMED) {
        let found = wrong.found.map_or("not there".to_owned(), |status| status.to_string());
        text += &format!(
            "  line {}  {}  is {found}, and should be {} ({})\n",
            wrong.line,
            printable(wrong.user.as_str()),
            wrong.expected,
            wrong.outcome,
        );
    }
    if verification.disagreements.len() > NAMED {
        text += &format!("  and {} more\n", count((verification.disagreements.len() - NAMED) as u64));
    }
    if !verification.changed_by_others.is_empty() {
        text += &format!(
            "{} that this run did not change {} changed since it began; somebody else did that.\n",
            of(verification.changed_by_others.len() as u64, "user"),
            if verification.changed_by_others.len() == 1 { "has" } else { "have" },
        );
    }
    text
}
