//! How far clocks are apart, and what that breaks. Pure.

use std::time::Duration;

use usher_shared::{Diagnosis, Timestamp};

use crate::report::numbers;

/// A Date header has whole seconds, and an answer is under way for a while: less than this is no difference.
const VENDORS: Duration = Duration::from_secs(3);
/// A store tells its time to the millisecond.
const STORES: Duration = Duration::from_secs(1);

const SET_IT: &str = "timedatectl set-ntp true, on the machine whose clock is wrong";

/// This machine's clock against the store's, read in the middle of the ask.
pub fn with_store(ours: Timestamp, stores: Timestamp) -> Diagnosis {
    apart(
        ours,
        stores,
        "the store's",
        STORES,
        "leases and waits go by the store's clock and are right; the times in this machine's logs differ from those in \
         reports by as much",
    )
}

/// This machine's clock against the vendor's.
pub fn with_vendor(ours: Timestamp, vendors: Timestamp) -> Diagnosis {
    apart(
        ours,
        vendors,
        "the vendor's",
        VENDORS,
        "a wait that the vendor names by the clock (a Retry-After date, a day's end) is kept too short or too long by as \
         much: calls in vain, or time lost",
    )
}

fn apart(ours: Timestamp, theirs: Timestamp, whose: &str, tolerance: Duration, why: &str) -> Diagnosis {
    let (by, which) =
        if ours > theirs { (ours.since(theirs), "ahead of") } else { (theirs.since(ours), "behind") };
    if by <= tolerance {
        return Diagnosis::ok("clock", format!("within {} of {whose}", numbers::duration(tolerance)));
    }
    let found = format!("{} {which} {whose}", numbers::duration(by));
    Diagnosis::warning("clock", found, why, SET_IT)
}

#[cfg(test)]
mod tests {
    use usher_shared::Level;

    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_with_its_size_and_direction() {
        let at = |ms: i64| Timestamp::from_millis(1_000_000_000 + ms);
        let cases = [
            (with_store(at(0), at(900)), Level::Ok, "within 1.0 s"),
            (with_store(at(0), at(1_100)), Level::Warning, "1.1 s behind the store's"),
            (with_store(at(3_600_000), at(0)), Level::Warning, "60 min 00 s ahead of the store's"),
            (with_vendor(at(2_900), at(0)), Level::Ok, "the vendor's"),
            (with_vendor(at(0), at(42_000)), Level::Warning, "42 s behind the vendor's"),
        ];
        for (told, level, words) in cases {
            assert!(told.level == level && told.found.contains(words), "{told:?}");
        }
    }
}
