//! Pages: from where, and how much.

use crate::problem::{Kind, Problem};

/// The last place that can be asked for: no store holds a run of so many users.
pub const LAST_PLACE: u64 = 1_000_000_000_000;

/// A page's length, where it is one that can be asked for.
pub fn length(asked: Option<u64>, default: usize, most: usize) -> Result<usize, Problem> {
    let Some(asked) = asked else { return Ok(default) };
    usize::try_from(asked)
        .ok()
        .filter(|asked| (1..=most).contains(asked))
        .ok_or_else(|| Problem::new(Kind::BadRequest, format!("limit is {asked}, and has to be 1 to {most}")))
}

/// A place in a run, where it is one that there can be.
pub fn place(asked: Option<u64>) -> Result<u64, Problem> {
    match asked {
        None => Ok(0),
        Some(place) if place <= LAST_PLACE => Ok(place),
        Some(place) => Err(Problem::new(
            Kind::BadRequest,
            format!("{place} is no place in a run; take the one that `next` names"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_length_and_a_place_that_there_can_be() {
        assert_eq!(length(None, 50, 200).unwrap(), 50);
        assert_eq!(length(Some(200), 50, 200).unwrap(), 200);
        for bad in [0, 201, u64::MAX] {
            assert_eq!(length(Some(bad), 50, 200).unwrap_err().kind(), Kind::BadRequest, "{bad}");
        }
        assert_eq!((place(None).unwrap(), place(Some(LAST_PLACE)).unwrap()), (0, LAST_PLACE));
        assert_eq!(place(Some(LAST_PLACE + 1)).unwrap_err().kind(), Kind::BadRequest);
    }
}
