//! `usher demo`: one command on a machine that has nothing else.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Kind, Workplace};
use usher_simulator::zoom::Settings;

#[test]
fn the_demo_verifies_itself_and_leaves_its_reports() {
    let place = Workplace::new(Kind::Sqlite, Settings::default());
    // It reads no configuration of the user's: this one would be refused.
    place.file("usher.toml", "nonsense = true");
    let dir = place.path("demo");
    let ended = place.usher(&["demo", "--users", "150", "--dir", dir.to_str().unwrap()]).succeeded();
    for words in ["verified", "applied", "not found", "protected"] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    let reports: Vec<_> =
        std::fs::read_dir(dir.join("reports")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(reports.iter().any(|path| path.extension().is_some_and(|ext| ext == "csv")), "{reports:?}");
    for report in &reports {
        assert!(ended.out.contains(report.to_str().unwrap()), "{} is named", report.display());
    }

    // The same run as a page: every row of the table for spreadsheets is in it.
    let run = reports[0].file_stem().unwrap().to_str().unwrap().to_owned();
    let store = format!("sqlite:{}", dir.join("usher.db").display());
    place.file("usher.toml", "");
    let page = place.usher(&["--store", &store, "report", &run, "--format", "html"]).succeeded().out;
    let csv = place.usher(&["--store", &store, "report", &run, "--format", "csv"]).succeeded().out;
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert_eq!(page.matches("<tr><td").count(), csv.lines().count() - 1);
    for line in csv.lines().skip(1) {
        let user = line.split(',').nth(1).unwrap();
        assert!(page.contains(&format!("<td>{user}<")), "{user}");
    }
}
