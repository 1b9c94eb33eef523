//! The page's two charts: drawn here, so that nothing has to be loaded to see them.

use std::fmt::Write;

use usher_shared::{Outcome, RunStatus, Timestamp};

use super::{
    pace::Bars,
    text::{Text, moment},
};
use crate::report::{
    numbers::{count, of},
    summary::words,
};

/// The tone of an outcome: as wished, as it was already, left alone, or to be looked at.
pub fn tone(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "good",
        Outcome::AlreadyApplied => "same",
        Outcome::Protected | Outcome::Superseded | Outcome::Cancelled | Outcome::Drifted => "still",
        Outcome::Rejected
        | Outcome::NotFound
        | Outcome::NoSeat
        | Outcome::Exhausted
        | Outcome::Expired
        | Outcome::Poisoned => "bad",
    }
}

/// Users by outcome, a bar each.
#[expect(clippy::cast_precision_loss, reason = "a share of users, shown to a tenth of a percent")]
pub fn outcomes(status: &RunStatus) -> String {
    let counters = &status.counters;
    let left = counters.total.saturating_sub(counters.finished);
    let known =
        Outcome::ALL.map(|outcome| (words(outcome), outcome.as_str(), tone(outcome), counters.of(outcome)));
    let open = ("no outcome yet", "", "still", left);
    let mut text = String::from("<table class=\"outcomes\"><tbody>");
    for (words, name, tone, number) in known.into_iter().chain([open]).filter(|(.., number)| *number > 0) {
        let share = 100.0 * number as f64 / counters.total.max(1) as f64;
        let name =
            if name.is_empty() || name == words { String::new() } else { format!(" <code>{name}</code>") };
        // Writing into a String can't fail.
        let _ = write!(
            text,
            "<tr><th scope=\"row\">{words}{name}</th><td class=\"num\">{}</td><td class=\"num\">{}</td>\
             <td class=\"bar\"><svg viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <rect class=\"track\" width=\"100\" height=\"1\"/><rect class=\"{tone}\" width=\"{:.3}\" height=\"1\"/></svg></td></tr>",
            count(number),
            percent(number, counters.total),
            share.max(0.4),
        );
    }
    text.push_str("</tbody></table>");
    text
}

/// `12.3 %`, on one line; never 0 or 100 where it is not.
#[expect(clippy::cast_precision_loss, reason = "a share of users, shown to a tenth of a percent")]
pub fn percent(number: u64, total: u64) -> String {
    let share = 100.0 * number as f64 / total.max(1) as f64;
    match number {
        0 => "0\u{a0}%".into(),
        _ if number == total => "100\u{a0}%".into(),
        _ if share < 0.1 => "&lt;\u{a0}0.1\u{a0}%".into(),
        _ if share > 99.9 => "&gt;\u{a0}99.9\u{a0}%".into(),
        _ => format!("{share:.1}\u{a0}%"),
    }
}

/// Calls a second over the run's time, and the limit.
pub fn pace(bars: &Bars, limit: Option<f64>, calls: u64) -> String {
    let limit = limit.filter(|limit| limit.is_finite() && *limit > 0.0);
    let peak = bars.rates.iter().copied().fold(limit.unwrap_or(0.0), f64::max);
    let top = round_up(peak * 1.05);
    let (width, height) = (1000.0, 200.0);
    #[expect(clippy::cast_precision_loss, reason = "at most a hundred and twenty bars")]
    let step = width / bars.rates.len().max(1) as f64;
    let y = |rate: f64| height - height * rate / top;
    let mut path = String::new();
    for (at, rate) in bars.rates.iter().enumerate().filter(|(_, rate)| **rate > 0.0) {
        #[expect(clippy::cast_precision_loss, reason = "at most a hundred and twenty bars")]
        let x = at as f64 * step;
        let _ = write!(path, "M{x:.2} {height}V{:.2}h{:.2}V{height}z", y(*rate), step * 0.92);
    }
    let mut lines = format!("M0 {0}H{width}", height / 2.0);
    lines.push_str("M0 0H1000");
    let marked = limit.map(|limit| {
        format!(
            "<path class=\"limit\" vector-effect=\"non-scaling-stroke\" d=\"M0 {0:.2}H{width}\"/>",
            y(limit)
        )
    });
    let seconds = i64::try_from(bars.rates.len()).unwrap_or_default() * bars.width;
    let (from, to) = (bars.from, bars.from + seconds);
    let known = match limit {
        Some(limit) => format!(
            " The dashed line <svg class=\"key\" viewBox=\"0 0 22 10\" aria-hidden=\"true\"><path class=\"limit\" d=\"M0 5H22\"/></svg> \
             is the account's limit on changes as configured now: {} calls a second.",
            number(limit)
        ),
        None => " The account's limit is not known here.".to_owned(),
    };
    let all = match calls.cmp(&bars.calls) {
        std::cmp::Ordering::Equal => String::new(),
        _ => format!(
            " The bars hold {} of the run's {}: those of users who were tried once count as one call, and those of users \
             without an outcome are not there.",
            count(bars.calls),
            of(calls, "call")
        ),
    };
    format!(
        "<figure><div class=\"plot\"><div class=\"axis y\"><span>{top}</span><span>{half}</span><span>0</span></div>\
         <svg viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Calls a second over time\">\
         <path class=\"grid\" vector-effect=\"non-scaling-stroke\" d=\"{lines}\"/><path class=\"calls\" d=\"{path}\"/>{marked}</svg>\
         <div class=\"axis x\"><span>{from}</span><span>{to}</span></div></div>\
         <figcaption class=\"note\">Calls a second, each bar over {bar}.{known}{all}</figcaption></figure>",
        top = number(top),
        half = number(top / 2.0),
        marked = marked.unwrap_or_default(),
        from = Text(&moment(Timestamp::from_millis(from * 1_000))),
        to = Text(&moment(Timestamp::from_millis(to * 1_000))),
        bar = bar(bars.width),
    )
}

fn bar(seconds: i64) -> String {
    match seconds {
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        60 => "1 minute".into(),
        61..3_600 => format!("{} minutes", seconds / 60),
        3_600 => "1 hour".into(),
        3_601..86_400 => format!("{} hours", seconds / 3_600),
        86_400 => "1 day".into(),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `80`, `2.5`, `0.05`
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The next number that an axis can end at.
fn round_up(value: f64) -> f64 {
    let value = value.max(0.1);
    let magnitude = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * magnitude).find(|end| *end >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_never_rounded_to_nothing_or_to_all() {
        assert_eq!(
            [percent(0, 9), percent(9, 9), percent(1, 100_000), percent(99_999, 100_000), percent(1, 3)],
            ["0\u{a0}%", "100\u{a0}%", "&lt;\u{a0}0.1\u{a0}%", "&gt;\u{a0}99.9\u{a0}%", "33.3\u{a0}%"]
        );
    }

    #[test]
    fn the_axis_ends_above_all_that_is_drawn() {
        for (value, end) in [(0.0, 0.1), (0.3, 0.4), (84.0, 100.0), (63.0, 80.0), (100.0, 100.0), (4.2, 5.0)]
        {
            assert!((round_up(value) - end).abs() < 1e-9, "{value}: {}", round_up(value));
        }
    }

    #[test]
    fn the_limit_is_drawn_where_it_is_known_and_said_to_be_unknown_where_it_is_not() {
        let bars = Bars { from: 1_795_176_000, width: 2, rates: vec![78.0, 0.0, 40.0], calls: 236 };
        let known = pace(&bars, Some(80.0), 236);
        assert!(known.contains("M0 40.00H1000") && known.contains("80 calls a second"), "{known}");
        assert!(!known.contains("The bars hold") && known.contains("over 2 seconds"));
        let unknown = pace(&bars, None, 240);
        assert!(unknown.contains("not known here") && unknown.contains("hold 236 of the run's 240 calls"));
        assert!(!unknown.contains("class=\"limit\""));
    }
}
