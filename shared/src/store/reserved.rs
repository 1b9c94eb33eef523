//! Users counted towards the cap of a day.

use std::time::Duration;

use crate::RunId;

/// A day in UTC: days since 1970-01-01.
pub type UtcDay = i64;

/// How long a run that counts users towards a day's cap keeps others from it without another call.
pub const RESERVING: Duration = Duration::from_secs(15);

/// What became of counting users towards a day's cap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// They are counted.
    Counted {
        /// Distinct users counted in that day, by all runs.
        used: u64,
    },
    /// They would be too many; none of them was counted.
    Over {
        /// Distinct users counted in that day, by all runs.
        used: u64,
    },
    /// Another run counts now.
    Busy(RunId),
}
