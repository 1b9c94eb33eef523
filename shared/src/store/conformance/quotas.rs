//! A day's quota: drawn from by many, never over its cap, and free again when the vendor says so.

use std::time::Duration;

use super::{
    Fixture,
    samples::{account, other_account},
    steps::Steps,
};
use crate::{Drawn, QuotaWindow, Timestamp, store::SharedStore};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn draw(store: &SharedStore, window: QuotaWindow, calls: u64, cap: u64) -> Drawn {
    store.draw_quota(&account(), "light", window, calls, cap).await.unwrap()
}

/// Lets time pass until some minutes after the next 00:00 UTC, so that a check has the day before it.
async fn until_the_day_is_young(steps: &Steps<'_>) {
    let midnight = QuotaWindow::UtcDay.frees_at(steps.now(), None);
    steps.pass(midnight.since(steps.now()) + Duration::from_secs(600)).await;
}

pub async fn a_quota_is_drawn_up_to_its_cap_and_not_over_it(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for window in [QuotaWindow::UtcDay, QuotaWindow::Rolling24h] {
        let label = format!("{window:?}");
        let draw = |calls, cap| {
            let (store, label) = (&steps.store, &label);
            async move { store.draw_quota(&account(), label, window, calls, cap).await.unwrap() }
        };
        let first = draw(30, 100).await;
        assert_eq!((first.granted, first.used, first.at), (30, 30, steps.now()));
        assert!(first.frees_at > steps.now() && first.frees_at <= steps.now().after(DAY + HOUR));
        let second = draw(60, 100).await;
        assert_eq!((second.granted, second.used), (60, 90));
        let third = draw(60, 100).await;
        assert_eq!((third.granted, third.used), (10, 100));
        let fourth = draw(60, 100).await;
        assert_eq!((fourth.granted, fourth.used), (0, 100));
        // A plan that was made larger has room at once, one that was made smaller is over its cap.
        assert_eq!(draw(60, 110).await.granted, 10);
        let smaller = draw(60, 50).await;
        assert_eq!((smaller.granted, smaller.used), (0, 110));
    }
}

pub async fn drawing_nothing_only_looks(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for (window, days) in [(QuotaWindow::UtcDay, 1), (QuotaWindow::Rolling24h, 2)] {
        let label = format!("{window:?}");
        let draw = |calls| {
            let (store, label) = (&steps.store, &label);
            async move { store.draw_quota(&account(), label, window, calls, 100).await.unwrap() }
        };
        let never_drawn = draw(0).await;
        assert_eq!((never_drawn.granted, never_drawn.used, never_drawn.at), (0, 0, steps.now()));
        assert!(never_drawn.frees_at > steps.now(), "{never_drawn:?}");
        let drawn = draw(7).await;
        for _ in 0..3 {
            assert_eq!(draw(0).await, Drawn { granted: 0, ..drawn });
        }
        assert!(drawn.frees_at <= steps.now().after(DAY * days));
    }
}

pub async fn many_who_draw_at_once_never_get_more_than_the_cap(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    let draws = (0..40_u64).map(|n| {
        let store = if n % 2 == 0 { &steps.store } else { &second };
        draw(store, QuotaWindow::UtcDay, 1 + n % 7, 100)
    });
    let drawn = futures::future::join_all(draws).await;
    assert_eq!(drawn.iter().map(|drawn| drawn.granted).sum::<u64>(), 100);
    // Whoever was granted something saw a sum that nobody else saw.
    let mut sums: Vec<u64> = drawn.iter().filter(|drawn| drawn.granted > 0).map(|drawn| drawn.used).collect();
    let granted = sums.len();
    sums.sort_unstable();
    sums.dedup();
    assert_eq!((sums.len(), sums.last()), (granted, Some(&100)));
}

pub async fn calls_given_back_can_be_drawn_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for window in [QuotaWindow::UtcDay, QuotaWindow::Rolling24h] {
        let label = format!("{window:?}");
        let draw = |calls| {
            let (store, label) = (&steps.store, &label);
            async move { store.draw_quota(&account(), label, window, calls, 100).await.unwrap() }
        };
        let drawn = draw(100).await;
        steps.store.return_quota(&account(), &label, drawn.at, 15).await.unwrap();
        assert_eq!(draw(0).await.used, 85);
        let again = draw(40).await;
        assert_eq!((again.granted, again.used), (15, 100));
        // Nobody gets a larger day by giving back what was never drawn.
        steps.store.return_quota(&account(), &label, drawn.at, 1_000).await.unwrap();
        assert_eq!(draw(0).await.used, 0);
        assert_eq!(draw(1_000).await.granted, 100);
    }
    steps.store.return_quota(&account(), "never drawn", steps.now(), 5).await.unwrap();
    let untouched =
        steps.store.draw_quota(&account(), "never drawn", QuotaWindow::UtcDay, 9, 8).await.unwrap();
    assert_eq!((untouched.granted, untouched.used), (8, 8));
}

pub async fn midnight_utc_frees_the_whole_day(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let window = QuotaWindow::UtcDay;
    until_the_day_is_young(&steps).await;
    let drawn = draw(&steps.store, window, 60, 100).await;
    assert_eq!(drawn.frees_at, window.frees_at(steps.now(), None));
    steps.pass(HOUR * 5).await;
    assert_eq!(draw(&steps.store, window, 60, 100).await.granted, 40);

    steps.pass(drawn.frees_at.since(steps.now()) - Duration::from_millis(1)).await;
    let late = draw(&steps.store, window, 1, 100).await;
    assert_eq!((late.granted, late.used, late.frees_at), (0, 100, drawn.frees_at));
    steps.pass(Duration::from_millis(1)).await;
    let next_day = draw(&steps.store, window, 60, 100).await;
    assert_eq!((next_day.granted, next_day.used), (60, 60));
    assert_eq!(next_day.frees_at, steps.now().after(DAY));
}

pub async fn what_is_given_back_after_midnight_does_not_lengthen_the_new_day(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let window = QuotaWindow::UtcDay;
    let drawn = draw(&steps.store, window, 100, 100).await;
    steps.pass(drawn.frees_at.since(steps.now())).await;
    assert_eq!(draw(&steps.store, window, 30, 100).await.used, 30);
    steps.store.return_quota(&account(), "light", drawn.at, 20).await.unwrap();
    assert_eq!(draw(&steps.store, window, 0, 100).await.used, 30);
}

pub async fn a_rolling_window_frees_hour_by_hour(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let window = QuotaWindow::Rolling24h;
    until_the_day_is_young(&steps).await;
    let first_hour = QuotaWindow::bucket(steps.now());
    for calls in [10, 20, 30] {
        let drawn = draw(&steps.store, window, calls, 100).await;
        assert_eq!((drawn.granted, drawn.frees_at), (calls, first_hour.after(DAY + HOUR)));
        steps.pass(HOUR).await;
    }
    // Midnight is a moment like any other.
    let frees_at = first_hour.after(DAY + HOUR);
    steps.pass(frees_at.since(steps.now()) - Duration::from_millis(1)).await;
    assert_eq!(draw(&steps.store, window, 0, 100).await.used, 60);
    steps.pass(Duration::from_millis(1)).await;
    for left in [50, 30, 0] {
        let look = draw(&steps.store, window, 0, 100).await;
        assert_eq!(look.used, left);
        if left > 0 {
            assert_eq!(look.frees_at, QuotaWindow::bucket(steps.now()).after(HOUR));
        }
        steps.pass(HOUR).await;
    }
    assert_eq!(draw(&steps.store, window, 200, 100).await.granted, 100);
}

pub async fn an_hour_given_back_whole_holds_up_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let window = QuotaWindow::Rolling24h;
    let first = draw(&steps.store, window, 10, 100).await;
    steps.pass(HOUR).await;
    let second = draw(&steps.store, window, 10, 100).await;
    assert_eq!(second.frees_at, first.frees_at);
    steps.store.return_quota(&account(), "light", first.at, 10).await.unwrap();
    let look = draw(&steps.store, window, 0, 100).await;
    assert_eq!((look.used, look.frees_at), (10, first.frees_at.after(HOUR)));
}

pub async fn labels_and_accounts_have_quotas_of_their_own(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let window = QuotaWindow::UtcDay;
    assert_eq!(draw(&steps.store, window, 100, 100).await.granted, 100);
    let heavy = steps.store.draw_quota(&account(), "heavy", window, 60, 100).await.unwrap();
    assert_eq!((heavy.granted, heavy.used), (60, 60));
    let other = steps.store.draw_quota(&other_account(), "light", window, 70, 100).await.unwrap();
    assert_eq!((other.granted, other.used), (70, 70));
    steps.store.return_quota(&other_account(), "light", other.at, 50).await.unwrap();
    assert_eq!(draw(&steps.store, window, 0, 100).await.used, 100);
}

pub async fn what_was_drawn_is_known_to_another_handle(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let drawn = draw(&steps.store, QuotaWindow::UtcDay, 42, 100).await;
    let second = fixture.second_handle().await;
    assert_eq!(draw(&second, QuotaWindow::UtcDay, 0, 100).await, Drawn { granted: 0, ..drawn });
    second.return_quota(&account(), "light", drawn.at, 2).await.unwrap();
    assert_eq!(draw(&steps.store, QuotaWindow::UtcDay, 100, 100).await.granted, 60);
}

/// Long ago is out of every window: nothing is given back to today.
pub async fn what_is_given_back_of_long_ago_stays_away(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for (label, window) in [("day", QuotaWindow::UtcDay), ("rolling", QuotaWindow::Rolling24h)] {
        let drawn = steps.store.draw_quota(&account(), label, window, 5_000, 1 << 53).await.unwrap();
        assert_eq!((drawn.granted, drawn.used), (5_000, 5_000));
        steps.store.return_quota(&account(), label, Timestamp::from_millis(0), 1).await.unwrap();
        let look = steps.store.draw_quota(&account(), label, window, 0, 1).await.unwrap();
        assert_eq!((look.granted, look.used), (0, 5_000));
    }
}
