//! What to do about each kind of failure.

use usher_shared::{ACTIVATED_AS_BASIC, Ending, Outcome, PARTLY_RESTORED};

/// The kind of failure of whoever a call had been made for before the run was ended.
pub const TRIED: &str = "tried_before";

/// What a person can do about an outcome that is not as wished; `None` where there is nothing to do.
///
/// Zoom's codes: its API reference of "Update user status"; the rest are usher's own words.
pub fn advice(outcome: Outcome, code: Option<&str>) -> Option<&'static str> {
    let code = code.unwrap_or("");
    match (outcome, code) {
        (Outcome::Applied | Outcome::AlreadyApplied, _) => None,
        (Outcome::Cancelled | Outcome::Expired | Outcome::Superseded, TRIED) => {
            Some("`usher verify` with the run's id says whether the user is as before")
        }
        (Outcome::Rejected, "pending") => {
            Some("revoke the invitation in the vendor's user management, or wait until it is accepted")
        }
        (Outcome::Rejected, "contradiction") => {
            Some("the file asks for two different actions on this user: keep one of the lines")
        }
        (Outcome::Rejected, "200") => {
            Some("make the user a member first (the owner can), or use the portal for a Zoom Room")
        }
        (Outcome::Rejected, "300") => {
            Some("end or hand over the user's upcoming Zoom Event, then run the file again")
        }
        (Outcome::Rejected, "1000") => Some("locked by the vendor: only Zoom support can release this user"),
        (Outcome::Rejected, "3412") => {
            Some("a free licence or an approval is missing: see the account's plan and policies")
        }
        (Outcome::Rejected | Outcome::Exhausted | Outcome::Poisoned, PARTLY_RESTORED) => Some(
            "activated, but not given everything back: put the rest right in the vendor's portal, as the message says",
        ),
        (Outcome::Rejected, _) => Some("see the vendor's message; once it is put right, run the file again"),
        (Outcome::NotFound, _) => {
            Some("check the spelling; the user may have been deleted, or belong to another account")
        }
        (Outcome::Protected, "owner" | "admin") => {
            Some("make the user a member first (the owner can), then run the file again")
        }
        (Outcome::Protected, _) => {
            Some("a rule of the account's protected users covers this user: `usher protect list` shows them")
        }
        (Outcome::Drifted, _) => Some("the user has changed since the plan was made: plan again"),
        (Outcome::Superseded, _) => Some("a newer run decides about this user: see its report"),
        (Outcome::NoSeat, ACTIVATED_AS_BASIC) => {
            Some("can sign in, but has no licence: free one, then give it to the user or retry")
        }
        (Outcome::NoSeat, _) => Some("free a licence, then run the file again"),
        (Outcome::Exhausted, _) => Some("the vendor kept failing: run the file again later"),
        (Outcome::Expired, _) => Some("the deadline came first: submit again with a later one"),
        (Outcome::Cancelled, Ending::OVER_CAP) => {
            Some("not touched: split the file, or have the cap raised, then retry the run")
        }
        (Outcome::Cancelled, _) => Some("not touched; run the file again if it is wanted after all"),
        (Outcome::Poisoned, _) => {
            Some("workers died on this user: look at their logs, and at the user in the portal")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_that_is_not_as_wished_comes_with_advice() {
        for outcome in Outcome::ALL {
            assert_eq!(advice(outcome, None).is_none(), outcome.is_as_wished(), "{outcome}");
        }
    }
}
