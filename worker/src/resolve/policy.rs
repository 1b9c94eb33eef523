//! What a found user means for a request, before anything is called: protected, impossible, or to be changed.

use usher_shared::{Action, Outcome, ResolvedUser, config::ProtectedPattern, store::Resolution};

use crate::provider::Provider;

/// By which rules users are kept from being changed.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The account's protected users.
    pub protected: Vec<ProtectedPattern>,
}

/// What becomes of a request that found this user. Protection comes first: it is what a person must hear about.
///
/// A user who already is as wished is to be changed all the same: a listing may be stale, and "already there" is the vendor's
/// to say.
#[must_use]
pub fn judge(provider: &dyn Provider, policy: &Policy, user: ResolvedUser, action: Action) -> Resolution {
    let pattern = policy.protected.iter().find(|pattern| pattern.matches(&user));
    if let Some(pattern) = pattern {
        return settled(
            Outcome::Protected,
            pattern.as_str(),
            format!("protected by the rule {pattern} of the account's configuration"),
            Some(user),
        );
    }
    if let Some(role) = provider.protected_role(&user) {
        return settled(
            Outcome::Protected,
            role,
            format!("the user is {role} of the account; the owner and admins are never changed"),
            Some(user),
        );
    }
    if let Some((code, message)) = provider.blocked(&user, action) {
        return settled(Outcome::Rejected, code, message.to_owned(), Some(user));
    }
    Resolution::Change(user)
}

/// A request whose user the vendor does not know.
pub(crate) fn not_found() -> Resolution {
    settled(Outcome::NotFound, "not_found", "the account has no such user".to_owned(), None)
}

/// A resolution that is an outcome.
pub(crate) fn settled(
    outcome: Outcome,
    code: &str,
    message: String,
    user: Option<ResolvedUser>,
) -> Resolution {
    Resolution::Settled { outcome, code: Some(code.to_owned()), message: Some(message), user }
}
