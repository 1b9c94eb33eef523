//! Limits that are not what the plan says: late calls, other apps, a plan that is set too high.

use anyhow::{Context as _, Result};
use usher_simulator::{
    faults::{Faults, MsRange},
    zoom::{Limits, OtherApp},
};

use super::{
    Bench,
    pace::{PLAN, busiest, figure, fleet, refusals, settings},
};
use crate::{
    figure::{Row, percent},
    ground::Ground,
    journal::Seen,
};

const WORKERS: usize = 4;

fn latency() -> Faults {
    Faults { latency_ms: MsRange::new(60, 60), ..Faults::default() }
}

pub async fn jitter(bench: Bench) -> Result<Vec<Row>> {
    let faults = Faults { delay_ms: MsRange::new(0, 50), ..latency() };
    let (seen, _ground) =
        fleet(settings(bench.number(2_400, 800), Limits::default(), faults), WORKERS).await?;
    let share = seen.rate() / PLAN;
    let row = figure("each call 0 to 50 ms late, 4 workers", &seen, share);
    let met = share >= 0.95 && seen.refused_share() <= 0.005;
    Ok(vec![row.goal(">= 95%, <= 0.5% refused", met).note(busiest(&seen))])
}

pub async fn other_app(bench: Bench) -> Result<Vec<Row>> {
    let app = OtherApp { per_second: 16, label: usher_simulator::zoom::Label::Light, on_ms: 0, off_ms: 0 };
    let limits = Limits { other_app: Some(app), ..Limits::default() };
    let (seen, ground) = fleet(settings(bench.number(2_400, 900), limits, latency()), WORKERS).await?;
    let share = seen.rate() / (PLAN - 16.0);
    let row = figure("another app uses 16/s, 4 workers", &seen, share);
    let met = share >= 0.95 && seen.refused_share() <= 0.01;
    Ok(vec![row.goal(">= 95% of the 64/s left, <= 1%", met).note(beside_the_app(&seen, &ground).await?)])
}

pub async fn coming_and_going(bench: Bench, per_second: u32) -> Result<Vec<Row>> {
    let label = usher_simulator::zoom::Label::Light;
    let app = OtherApp { per_second, label, on_ms: 10_000, off_ms: 10_000 };
    let limits = Limits { other_app: Some(app), ..Limits::default() };
    let (seen, ground) = fleet(settings(bench.number(3_600, 1_800), limits, latency()), WORKERS).await?;
    let (first, last) = seen.ends().context("no status call arrived")?;
    let start = started(&ground).await?;
    let left = PLAN * (last - first) - f64::from(per_second) * on_between(first - start, last - start, 10.0);
    let share = seen.let_in() as f64 / left;
    let row = figure(&format!("an app of {per_second}/s comes and goes, 4 workers"), &seen, share);
    let row = row.note(beside_the_app(&seen, &ground).await?);
    let met = share >= 0.90 && seen.refused_share() <= 0.02;
    Ok(vec![row.goal(">= 90% of what is left, <= 2%", met)])
}

pub async fn wrong_plan(bench: Bench) -> Result<Vec<Row>> {
    let limits = Limits { light: Some(30), ..Limits::default() };
    let (seen, _ground) = fleet(settings(bench.number(1_800, 900), limits, latency()), WORKERS).await?;
    let (first, _) = seen.ends().context("no status call arrived")?;
    let share = seen.rate_from(first + 10.0) / 30.0;
    let figure = format!("{} from second 10 on, {}", percent(share), refusals(&seen));
    let met = share >= 0.90 && seen.refused_share() <= 0.03;
    let early = seen.refused_between(first, first + 10.0);
    let note = format!("{}; {early} of the refusals in the first 10 s", busiest(&seen));
    let row = Row::new("the plan says 80/s, the account has 30/s, 4 workers", figure);
    Ok(vec![row.goal(">= 90% of 30/s, <= 3% refused", met).note(note)])
}

/// What the other app suffered: who takes what it leaves must not take what it does not leave.
async fn beside_the_app(seen: &Seen, ground: &Ground) -> Result<String> {
    let report = ground.sim.report().await?;
    let (calls, refused) = (report.other_app_calls, report.other_app_refused);
    let share = refused as f64 / (calls + refused).max(1) as f64;
    Ok(format!(
        "{}; {:.1}% of the other app's {} calls were refused",
        busiest(seen),
        share * 100.0,
        calls + refused
    ))
}

/// When the simulator started, in seconds since the Unix epoch: the other app's periods count from there.
async fn started(ground: &Ground) -> Result<f64> {
    let report = ground.sim.report().await?;
    Ok(jiff::Timestamp::now().as_millisecond() as f64 / 1e3 - report.uptime_ms as f64 / 1e3)
}

/// How much of the time between two moments lies in the even periods of this length.
fn on_between(from: f64, to: f64, period: f64) -> f64 {
    let on_until = |at: f64| {
        let whole = (at / (2.0 * period)).floor();
        whole * period + (at - whole * 2.0 * period).min(period)
    };
    on_until(to) - on_until(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_the_other_app_is_counted_over_whole_and_broken_periods() {
        for (from, to, on) in [(0.0, 10.0, 10.0), (10.0, 20.0, 0.0), (5.0, 25.0, 10.0), (12.0, 47.0, 17.0)] {
            assert!((on_between(from, to, 10.0) - on).abs() < 1e-9, "{from} to {to}");
        }
    }
}
