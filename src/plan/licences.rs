//! What a vendor's word for a licence means to a person.

use std::collections::BTreeMap;

use crate::report::{numbers::count, table::printable};

/// A licence type's name, and whether it takes a seat that is paid for. Zoom's API reference has the numbers of user types.
fn zoom(code: &str) -> Option<(&'static str, bool)> {
    match code {
        "1" => Some(("Basic", false)),
        "2" => Some(("Licensed", true)),
        "4" => Some(("Unassigned", false)),
        "99" => Some(("None", false)),
        _ => None,
    }
}

/// `12 Licensed, 3 of type 7`: those that take a seat; `None` where none does.
pub fn seats(provider: Option<&str>, licences: &BTreeMap<String, u64>) -> Option<String> {
    let parts = licences.iter().filter_map(|(code, number)| {
        let known = if provider == Some("zoom") { zoom(code) } else { None };
        match known {
            Some((_, false)) => None,
            Some((name, true)) => Some(format!("{} {name}", count(*number))),
            None => Some(format!("{} of type {}", count(*number), printable(code))),
        }
    });
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_licences_that_take_a_seat_are_told_and_unknown_ones_by_their_code() {
        let licences: BTreeMap<String, u64> =
            [("1".into(), 7), ("2".into(), 1_200), ("12".into(), 3), ("99".into(), 1)].into();
        assert_eq!(seats(Some("zoom"), &licences).unwrap(), "3 of type 12, 1,200 Licensed");
        assert_eq!(seats(Some("zoom"), &BTreeMap::from([("1".into(), 7)])), None);
        assert_eq!(seats(None, &BTreeMap::from([("2".into(), 7)])).unwrap(), "7 of type 2");
    }
}
