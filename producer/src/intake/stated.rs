//! Requests that a caller states one by one, not in a file: read as rows all the same.

use usher_shared::Action;

use super::{
    IntakeError, Row,
    columns::Names,
    row::{BadRow, Cells},
    seen::Seen,
};

/// One user as a caller states it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// An e-mail address or the vendor's id.
    pub user: String,
    /// What is wanted; blank or `None` goes by what was asked for all.
    pub action: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Requests that a caller states, as rows: what is refused in a file is refused here, too. Their lines are their places, from 1.
/// `given`: the action for every one; `None` goes by what each says.
pub fn stated<I: IntoIterator<Item = Stated>>(requests: I, given: Option<Action>) -> Statements<I::IntoIter> {
    Statements { requests: requests.into_iter(), given, line: 0, seen: Seen::new() }
}

/// What [`stated`] makes of requests.
#[derive(Debug)]
pub struct Statements<I> {
    requests: I,
    given: Option<Action>,
    line: u64,
    seen: Seen,
}

impl<I: Iterator<Item = Stated>> Iterator for Statements<I> {
    type Item = Result<Row, IntakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let stated = self.requests.next()?;
        self.line += 1;
        let cells = Cells {
            user: ("user", stated.user.into()),
            names: Names::Anything,
            action: stated.action.map(|text| ("action", text.into())),
            reason: stated.reason.map(|text| ("reason", text.into())),
        };
        let request: Result<_, BadRow> = cells.request(self.line, self.given);
        Some(Ok(match request {
            Ok(request) => self.seen.admit(request, Some("action")),
            Err(bad) => Row::Bad(bad),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(all: &[(&str, Option<&str>)], given: Option<Action>) -> Vec<String> {
        let all = all.iter().map(|(user, action)| Stated {
            user: (*user).to_owned(),
            action: action.map(str::to_owned),
            reason: None,
        });
        let all: Vec<Stated> = all.collect();
        let said = stated(all, given).map(|row| match row.unwrap() {
            Row::Request(request) => format!("{} {} {}", request.line, request.action, request.user),
            Row::Duplicate(duplicate) => duplicate.to_string(),
            Row::Bad(bad) => bad.to_string(),
        });
        said.collect()
    }

    #[test]
    fn what_is_refused_in_a_file_is_refused_when_it_is_stated() {
        let all = [
            ("ann@x", None),
            ("ANN@x", None),
            ("me", None),
            ("a/b", None),
            ("bob;eve", None),
            ("ann@x", Some("activate")),
            ("bob@x", Some("fire")),
        ];
        let rows = rows(&all, Some(Action::Deactivate));
        assert_eq!(rows[0], "1 deactivate ann@x");
        assert_eq!(rows[1], "line 2: ANN@x stands on line 1 already");
        for (place, says) in [(2, "\"me\""), (3, "'/'"), (4, "';'"), (5, "activate"), (6, "\"fire\"")] {
            assert!(rows[place].starts_with(&format!("line {}, column ", place + 1)), "{}", rows[place]);
            assert!(rows[place].contains(says), "{}", rows[place]);
        }
    }

    #[test]
    fn two_wishes_for_one_user_contradict_each_other() {
        let rows = rows(&[("ann@x", Some("activate")), ("ann@x", Some("Deactivate")), ("bob@x", None)], None);
        assert!(rows[1].contains("line 1 says activate"), "{}", rows[1]);
        assert!(rows[2].contains("no action"), "{}", rows[2]);
    }
}
