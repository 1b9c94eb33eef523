//! Whose turn it is to be leased: urgent work first, and what a flood of it leaves to the others.

use crate::{Priority, store::SHARE_OF_OTHERS};

/// How far an account is in its round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turns {
    /// Urgent leases since the others had one, while they waited.
    urgent_in_a_row: u64,
    /// Whether normal work, not bulk, had the last lease that urgent work left to the others.
    normal_was_last: bool,
}

/// What is leased next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) priority: Priority,
    /// At most so many leases.
    pub(super) leases: usize,
    contended: bool,
}

impl Turns {
    /// The next turn, by what waits (urgent, normal, bulk).
    pub(super) fn next(self, [urgent, normal, bulk]: [bool; 3]) -> Option<Turn> {
        if !(urgent && (normal || bulk)) {
            let waiting = Priority::ALL.into_iter().zip([urgent, normal, bulk]);
            let first = waiting.into_iter().find(|(_, waits)| *waits)?.0;
            return Some(Turn { priority: first, leases: usize::MAX, contended: false });
        }
        let before_the_others = (SHARE_OF_OTHERS - 1).saturating_sub(self.urgent_in_a_row);
        let (priority, leases) = match (before_the_others, normal, bulk) {
            (1.., ..) => (Priority::Urgent, usize::try_from(before_the_others).unwrap_or(usize::MAX)),
            (0, true, true) if self.normal_was_last => (Priority::Bulk, 1),
            (0, true, _) => (Priority::Normal, 1),
            (0, false, _) => (Priority::Bulk, 1),
        };
        Some(Turn { priority, leases, contended: true })
    }

    /// Counts what a turn came to.
    pub(super) fn granted(&mut self, turn: Turn, leases: usize) {
        if leases == 0 {
            return;
        }
        if turn.priority == Priority::Urgent {
            self.urgent_in_a_row += if turn.contended { leases as u64 } else { 0 };
        } else {
            // Whoever was leased without a contest has had its share as well.
            self.urgent_in_a_row = 0;
            if turn.contended {
                self.normal_was_last = turn.priority == Priority::Normal;
            }
        }
    }
}
