//! What a found user means for a request, before anything is called: protected, impossible, or to be changed.

use usher_shared::{
    Action, Outcome, Protection, Protections, ResolvedUser, config::ProtectedPattern, store::Resolution,
};

use crate::provider::Provider;

/// By which rules users are kept from being changed.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The users whom the account's configuration protects.
    pub protected: Vec<ProtectedPattern>,
    /// Those whom the list in the store protects.
    pub listed: Protections,
    /// Whether caps count whom a run changes: nobody is changed then who was not counted.
    pub capped: bool,
}

/// What becomes of a request that found this user. Protection comes first: it is what a person must hear about.
///
/// A user who already is as wished is to be changed all the same: a listing may be stale, and "already there" is the vendor's
/// to say.
#[must_use]
pub fn judge(provider: &dyn Provider, policy: &Policy, user: ResolvedUser, action: Action) -> Resolution {
    match ruled_out(provider, policy, &user, action) {
        Some((outcome, code, message)) => settled(outcome, &code, message, Some(user)),
        None => Resolution::Change(user),
    }
}

/// Why a user is not to be changed, whatever the vendor would say: outcome, code and message.
pub(crate) fn ruled_out(
    provider: &dyn Provider,
    policy: &Policy,
    user: &ResolvedUser,
    action: Action,
) -> Option<(Outcome, String, String)> {
    if let Some(pattern) = policy.protected.iter().find(|pattern| pattern.matches(user)) {
        let message = format!("protected by the rule {pattern} of the account's configuration");
        return Some((Outcome::Protected, pattern.as_str().to_owned(), message));
    }
    if let Some(entry) = policy.listed.list.iter().find(|entry| entry.pattern.matches(user)) {
        return Some((Outcome::Protected, entry.pattern.as_str().to_owned(), listed(entry)));
    }
    if let Some(role) = provider.protected_role(user) {
        let message = format!("the user is {role} of the account; the owner and admins are never changed");
        return Some((Outcome::Protected, role.to_owned(), message));
    }
    let (code, message) = provider.blocked(user, action)?;
    Some((Outcome::Rejected, code.to_owned(), message.to_owned()))
}

/// Who put somebody on the list, and why.
fn listed(entry: &Protection) -> String {
    let Protection { pattern, reason, by, at } = entry;
    let why = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("protected by {pattern} on the account's list, added by {by} at {at}{why}")
}

/// A request whose user the vendor does not know.
pub(crate) fn not_found() -> Resolution {
    settled(Outcome::NotFound, "not_found", "the account has no such user".to_owned(), None)
}

/// A user that was there when the run was resolved first.
pub(super) fn gone() -> Resolution {
    settled(Outcome::NotFound, "not_found", "the account has no such user any more".to_owned(), None)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use usher_shared::{
        Status, UserState,
        config::{SecretSource, Value, ZoomConfig, ZoomPlan},
    };

    use super::*;
    use crate::provider::{ProviderOptions, zoom::ZoomProvider};

    fn zoom() -> ZoomProvider {
        let config = ZoomConfig {
            approval: None,
            caps: Default::default(),
            base_url: "http://127.0.0.1:9/v2".parse().unwrap(),
            token_url: "http://127.0.0.1:9/oauth/token".parse().unwrap(),
            account_id: Value::Plain("a".into()),
            client_id: Value::Plain("c".into()),
            // Any file that is there: no call is made.
            client_secret: SecretSource::File(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into()),
            plan: ZoomPlan::Pro,
            light: None,
            medium: None,
            protected: vec![],
        };
        let options = ProviderOptions { call_timeout: Duration::from_secs(1), ..ProviderOptions::default() };
        ZoomProvider::new(&"zoom-main".parse().unwrap(), &config, options).unwrap()
    }

    #[test]
    fn protection_comes_before_what_is_impossible_and_who_is_there_already_is_still_to_be_changed() {
        let provider = zoom();
        let protected = ["*@service.corp.example", "KDcu"].map(|rule| ProtectedPattern::new(rule).unwrap());
        let entry = Protection {
            pattern: ProtectedPattern::new("ceo@corp.example").unwrap(),
            reason: Some("the owner's wish".into()),
            by: "cli:ann@host".into(),
            at: usher_shared::Timestamp::from_millis(0),
        };
        assert_eq!(
            listed(&entry),
            "protected by ceo@corp.example on the account's list, added by cli:ann@host at 1970-01-01T00:00:00.000Z: the \
             owner's wish"
        );
        let policy = Policy {
            protected: protected.into(),
            listed: Protections { version: 1, list: vec![entry] },
            capped: false,
        };
        let (active, inactive, pending) = (Status::Active, Status::Inactive, Status::Pending);
        let cases = [
            ("id1", "ann@corp.example", active, "2", "change"),
            ("id1", "ann@corp.example", inactive, "2", "change"),
            ("id1", "ann@corp.example", active, "custom-role", "change"),
            ("id1", "ann@corp.example", active, "0", "protected owner"),
            ("id1", "ann@corp.example", active, "1", "protected admin"),
            ("id1", "Bot@Service.corp.example", active, "1", "protected *@service.corp.example"),
            ("KDcu", "ann@corp.example", active, "2", "protected KDcu"),
            ("id1", "CEO@corp.example", inactive, "0", "protected ceo@corp.example"),
            ("", "bot@service.corp.example", pending, "2", "protected *@service.corp.example"),
            ("", "ann@corp.example", pending, "2", "rejected pending"),
        ];
        for (id, email, status, role, expected) in cases {
            let before = UserState { status, license: None, role: Some(role.into()), groups: vec![] };
            let user = ResolvedUser { id: id.into(), email: Some(email.into()), before };
            for action in Action::ALL {
                let said = match judge(&provider, &policy, user.clone(), action) {
                    Resolution::Change(found) => {
                        assert_eq!(found, user);
                        "change".to_owned()
                    }
                    Resolution::Settled { outcome, code, message, user: Some(found) } => {
                        assert!(message.is_some() && found == user);
                        format!("{outcome} {}", code.unwrap_or_default())
                    }
                    other => format!("{other:?}"),
                };
                assert_eq!(said, expected, "{id} {email} {status} {role}");
            }
        }
    }
}
