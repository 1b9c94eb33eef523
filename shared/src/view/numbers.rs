//! Numbers and times, as people read them.

use std::time::Duration;

/// `12,345`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 user`, `12,345 users`
pub fn of(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `never refused`, `refused 1 time`, `refused 12 times`
pub fn times(what: &str, number: u64) -> String {
    if number == 0 { format!("never {what}") } else { format!("{what} {}", of(number, "time")) }
}

/// `0.8 s`, `42 s`, `3 min 05 s`, `2 h 10 min`, `3 days 4 h`
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        7200..172_800 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        _ if (seconds / 3600).is_multiple_of(24) => format!("{} days", seconds / 86_400),
        _ => format!("{} days {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Calls a second over a time; 0 where there was none.
#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
pub fn per_second(calls: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { calls as f64 / time.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_counted_things_agree_with_them() {
        assert_eq!([count(0), count(999), count(1000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([times("retried", 0), times("retried", 2)], ["never retried", "retried 2 times"]);
        assert_eq!([of(1, "user"), of(0, "user"), of(4000, "user")], ["1 user", "0 users", "4,000 users"]);
    }

    #[test]
    fn times_have_the_precision_a_person_needs() {
        let shown = |ms| duration(Duration::from_millis(ms));
        assert_eq!(
            [shown(840), shown(42_400), shown(185_000), shown(7_800_000), shown(273_600_000)],
            ["0.8 s", "42 s", "3 min 05 s", "2 h 10 min", "3 days 4 h"]
        );
    }
}
