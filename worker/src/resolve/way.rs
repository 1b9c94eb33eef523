//! By pages or one by one: whichever is fewer calls.

/// How a run's users are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The whole directory is read, page by page.
    Listing,
    /// One call for each request.
    LookUps,
}

/// How many requests are still looked up one by one where the directory's size is not known, and how many that a listing
/// did not have are looked up before they are called not found.
pub const FEW: u64 = 50;

/// The way before any call: look-ups where they can't be more than the listings' first pages alone; else `None`, for it
/// depends on what the first page tells.
#[must_use]
pub fn before_any_call(requests: u64, listings: u64) -> Option<Way> {
    (requests <= listings.max(1)).then_some(Way::LookUps)
}

/// The way after the first page of the first listing, which `total` users are in.
#[must_use]
pub fn after_first_page(requests: u64, total: Option<u64>, page_size: u64, listings: u64) -> Way {
    let Some(total) = total else {
        return if requests <= FEW { Way::LookUps } else { Way::Listing };
    };
    // The first page is read; each other listing is one page at least.
    let pages_left =
        total.div_ceil(page_size.max(1)).saturating_sub(1).saturating_add(listings.saturating_sub(1));
    if requests < pages_left { Way::LookUps } else { Way::Listing }
}

/// What is done about requests that no listing had: someone who moves from one listing to another while they are read can be
/// missed by both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Each is looked up.
    LookUp,
    /// The listings are read once more: fewer calls than a look-up each.
    ListAgain,
    /// The second listing missed them too: they are not there.
    NotFound,
}

/// What is done about `missing` requests after listings of `pages` pages were read.
#[must_use]
pub fn after_listing(missing: u64, pages: u64, listed_twice: bool) -> Missing {
    if missing <= FEW.max(pages) {
        Missing::LookUp
    } else if listed_twice {
        Missing::NotFound
    } else {
        Missing::ListAgain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_with_fewer_calls_is_taken() {
        assert_eq!(before_any_call(1, 3), Some(Way::LookUps));
        assert_eq!(before_any_call(3, 3), Some(Way::LookUps));
        assert_eq!(before_any_call(4, 3), None);
        // (requests, users in the first listing, way); pages of 300, three listings.
        let cases = [
            (4, Some(100), Way::Listing),
            (4, Some(0), Way::Listing),
            (4, Some(10_000), Way::LookUps),
            (34, Some(10_000), Way::LookUps),
            (35, Some(10_000), Way::Listing),
            (4_000, Some(10_000), Way::Listing),
            (4_000, Some(5_000_000), Way::LookUps),
            (50, None, Way::LookUps),
            (51, None, Way::Listing),
            (u64::MAX, Some(u64::MAX), Way::Listing),
        ];
        for (requests, total, way) in cases {
            assert_eq!(after_first_page(requests, total, 300, 3), way, "{requests} of {total:?}");
        }
    }

    #[test]
    fn the_missing_are_looked_up_where_that_is_cheap_and_listed_again_where_it_is_not() {
        assert_eq!(after_listing(1, 3, false), Missing::LookUp);
        assert_eq!(after_listing(50, 3, false), Missing::LookUp);
        assert_eq!(after_listing(51, 3, false), Missing::ListAgain);
        assert_eq!(after_listing(51, 60, false), Missing::LookUp);
        assert_eq!(after_listing(51, 3, true), Missing::NotFound);
        assert_eq!(after_listing(50, 3, true), Missing::LookUp);
    }
}
