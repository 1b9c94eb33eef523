//! What a case found out: a figure, its goal, whether that is met, and how a peer did in the same run.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets::NOTHING};

/// The figure of a case that has none.
const FAILED: &str = "FAILED";

/// One line of the table.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What was measured.
    pub case: String,
    /// What came out.
    pub figure: String,
    /// What it should be; empty where there is no goal.
    pub goal: String,
    /// Whether it is; `None` where there is no goal, or no figure to hold against it.
    pub met: Option<bool>,
    /// How that compares with a peer in the same run.
    pub peer: String,
    /// What else was seen, for the reader who asks why.
    pub note: String,
    /// The share of the limit that was used, which the rates of peers are held against at the end.
    pub share: Option<f64>,
}

impl Row {
    /// A line with a figure and no goal.
    pub fn new(case: impl Into<String>, figure: impl Into<String>) -> Self {
        Self { case: case.into(), figure: figure.into(), ..Self::default() }
    }

    /// A line that says why there is no figure.
    pub fn failed(case: impl Into<String>, why: &str) -> Self {
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = why.chars().take(300).collect();
        Self { note: short, ..Self::new(case, FAILED) }
    }

    /// Whether it is such a line.
    pub fn has_failed(&self) -> bool {
        self.figure == FAILED
    }

    /// With a goal.
    #[must_use]
    pub fn goal(mut self, goal: impl Into<String>, met: bool) -> Self {
        (self.goal, self.met) = (goal.into(), Some(met));
        self
    }

    /// With how a peer did.
    #[must_use]
    pub fn peer(mut self, peer: impl Into<String>) -> Self {
        self.peer = peer.into();
        self
    }

    /// With a word more.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        }
    }
}

/// How many goals are met, or missed.
pub fn count(rows: &[Row], met: Option<bool>) -> usize {
    rows.iter().filter(|row| row.met == met).count()
}

/// The table as it is printed.
pub fn printed(rows: &[Row]) -> String {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_style(TableComponent::HeaderLines, '\u{2500}')
        .set_style(TableComponent::MiddleHeaderIntersections, '\u{2500}')
        .set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(160);
    }
    table.set_header(["case", "figure", "goal", "met", "beside a peer"]);
    for row in rows {
        let met = Cell::new(row.verdict()).set_alignment(CellAlignment::Center);
        let [case, figure, goal, peer] = [&row.case, &row.figure, &row.goal, &row.peer].map(Cell::new);
        table.add_row([case, figure, goal, met, peer]);
    }
    table.to_string()
}

/// The notes as they are printed, a line each.
pub fn notes(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows.iter().filter(|row| !row.note.is_empty()) {
        let _ = writeln!(text, "- {}: {}", row.case, row.note);
    }
    text
}

/// The table and its notes in Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = "| Case | Figure | Goal | Met | Beside a peer |\n|---|---|---|---|---|\n".to_owned();
    let cell = |words: &str| words.replace('|', "\\|").replace('\n', " ");
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            cell(&row.case),
            cell(&row.figure),
            cell(&row.goal),
            row.verdict(),
            cell(&row.peer)
        );
    }
    let notes = notes(rows);
    if !notes.is_empty() {
        let _ = write!(text, "\nSeen beside that:\n\n{notes}");
    }
    text
}

/// `12,345`
pub fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `98.25%`, rounded down: a figure never looks better than it is.
pub fn percent(share: f64) -> String {
    format!("{:.1}%", (share * 1000.0).floor() / 10.0)
}

/// The middle of some figures; 0 of none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let (half, odd) = (figures.len() / 2, figures.len() % 2 == 1);
    match figures.get(half) {
        Some(upper) if odd => *upper,
        Some(upper) => f64::midpoint(*upper, figures.get(half.wrapping_sub(1)).copied().unwrap_or(*upper)),
        None => 0.0,
    }
}

/// The figure that `share` of all are not above (nearest rank); 0 of none.
pub fn quantile(mut figures: Vec<f64>, share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let rank = (share * figures.len() as f64).ceil().max(1.0) as usize;
    figures.get(rank - 1).or(figures.last()).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_figure_that_was_measured() {
        let figures: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((quantile(figures.clone(), 0.5), quantile(figures.clone(), 0.99)), (50.0, 99.0));
        assert_eq!(
            (quantile(figures, 1.0), quantile(vec![7.0], 0.99), quantile(vec![], 0.5)),
            (100.0, 7.0, 0.0)
        );
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0]), median(vec![])), (2.0, 2.5, 0.0));
    }

    #[test]
    fn figures_are_written_so_that_people_can_read_them() {
        assert_eq!((thousands(1_234_567.0), thousands(999.0)), ("1,234,567".to_owned(), "999".to_owned()));
        assert_eq!((percent(0.97999), percent(1.0)), ("97.9%".to_owned(), "100.0%".to_owned()));
    }
}
