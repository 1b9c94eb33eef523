//! Whose turn it is to be leased: urgent work first, and what a flood of it leaves to the others.

use rusqlite::{Row, params};

use super::{errors::StepResult, writer::Step};
use crate::{Priority, store::SHARE_OF_OTHERS};

/// Urgent leases in a row before the others have one.
const IN_A_ROW: u64 = SHARE_OF_OTHERS - 1;

/// How far an account is in its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Urgent leases since the others had one, while they waited.
    urgent_in_a_row: u64,
    /// Whether bulk had the others' last lease while both of them waited.
    bulk_was_last: bool,
}

/// What is to be leased next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) priority: Priority,
    /// At most so many leases.
    pub(super) leases: usize,
    /// Whether urgent work and others both wait.
    contended: bool,
}

impl Share {
    /// Reads the two columns of an account.
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let last_of_others: u8 = row.get(first + 1)?;
        let bulk_was_last = last_of_others == Priority::Bulk.rank();
        Ok(Self { urgent_in_a_row: row.get(first)?, bulk_was_last })
    }

    /// Writes them.
    pub(super) fn write(self, step: &Step<'_>, account: i64) -> StepResult<()> {
        let last = if self.bulk_was_last { Priority::Bulk } else { Priority::Normal };
        step.conn
            .prepare_cached("UPDATE accounts SET urgent_in_a_row = ?2, last_of_others = ?3 WHERE key = ?1")?
            .execute(params![account, self.urgent_in_a_row, last.rank()])?;
        Ok(())
    }

    /// The next turn, by what waits; `None` where nothing does.
    pub(super) fn next(self, urgent: bool, normal: bool, bulk: bool) -> Option<Turn> {
        let contended = urgent && (normal || bulk);
        let all = |priority| Some(Turn { priority, leases: usize::MAX, contended });
        if contended {
            let left = usize::try_from(IN_A_ROW.saturating_sub(self.urgent_in_a_row)).unwrap_or(usize::MAX);
            if left > 0 {
                return Some(Turn { priority: Priority::Urgent, leases: left, contended });
            }
            let for_bulk = bulk && !(normal && self.bulk_was_last);
            let priority = if for_bulk { Priority::Bulk } else { Priority::Normal };
            return Some(Turn { priority, leases: 1, contended });
        }
        match (urgent, normal, bulk) {
            (true, ..) => all(Priority::Urgent),
            (_, true, _) => all(Priority::Normal),
            (.., true) => all(Priority::Bulk),
            _ => None,
        }
    }

    /// Counts what a turn came to.
    pub(super) fn granted(&mut self, turn: &Turn, leases: usize) {
        if leases == 0 {
            return;
        }
        if turn.priority == Priority::Urgent {
            // What nobody else waited for takes nothing from the others.
            self.urgent_in_a_row += if turn.contended { leases as u64 } else { 0 };
            return;
        }
        // Whoever was leased without a contest has had its share as well: the next urgent job does not wait for it.
        self.urgent_in_a_row = 0;
        if turn.contended {
            self.bulk_was_last = turn.priority == Priority::Bulk;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Share = Share { urgent_in_a_row: 0, bulk_was_last: true };

    /// Leases `count` times with these waiting; one letter a lease.
    fn letters(share: &mut Share, count: usize, (urgent, normal, bulk): (bool, bool, bool)) -> String {
        let mut letters = String::new();
        while letters.len() < count {
            let turn = share.next(urgent, normal, bulk).unwrap();
            let leases = turn.leases.min(count - letters.len());
            share.granted(&turn, leases);
            let letter = turn.priority.as_str().chars().next().unwrap();
            letters.extend(std::iter::repeat_n(letter, leases));
        }
        letters
    }

    #[test]
    fn the_turns_go_round_as_promised() {
        for (waiting, expected) in [
            ((true, false, true), "uuuuuuuuubuuuuuuuuub"),
            ((true, true, false), "uuuuuuuuunuuuuuuuuun"),
            ((true, true, true), "uuuuuuuuunuuuuuuuuub"),
            ((true, false, false), "uuuuuuuuuuuuuuuuuuuu"),
            ((false, true, true), "nnnnnnnnnnnnnnnnnnnn"),
            ((false, false, true), "bbbbbbbbbbbbbbbbbbbb"),
        ] {
            assert_eq!(letters(&mut FRESH.clone(), 20, waiting), expected, "{waiting:?}");
        }
        assert_eq!(FRESH.next(false, false, false), None);
    }

    #[test]
    fn however_a_round_is_cut_its_shares_are_the_same() {
        for cut in 1..30 {
            let mut share = FRESH;
            let all: String =
                (0..20).map(|_| letters(&mut share, cut, (true, true, true))).collect::<String>();
            assert_eq!(all, letters(&mut FRESH.clone(), all.len(), (true, true, true)), "{cut}");
        }
    }

    #[test]
    fn others_who_had_theirs_uncontended_do_not_come_before_the_next_urgent_job() {
        let mut share = FRESH;
        letters(&mut share, 9, (true, false, true));
        letters(&mut share, 1, (false, false, true));
        assert_eq!(letters(&mut share, 1, (true, false, true)), "u");
    }
}
