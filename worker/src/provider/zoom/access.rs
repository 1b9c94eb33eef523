//! Which scopes Zoom asks for what. Source: Zoom's API reference, "Scopes" and "Granular scopes" of each call.

use std::collections::BTreeMap;

use usher_shared::Action;

use crate::provider::{Access, Call, PartKind};

/// The scopes of which one is enough for a call: the granular one, then the classic one.
pub(super) fn needs(call: Call) -> &'static [&'static str] {
    match call {
        Call::Apply(Action::Deactivate | Action::Activate) => {
            &["user:update:status:admin", "user:write:admin"]
        }
        Call::LookUp => &["user:read:user:admin", "user:read:admin"],
        Call::List => &["user:read:list_users:admin", "user:read:admin"],
        Call::GiveBack(PartKind::License) => &["user:update:user:admin", "user:write:admin"],
        Call::GiveBack(PartKind::Role) => &["role:write:member:admin", "role:write:admin"],
        Call::GiveBack(PartKind::Group) => &["group:write:member:admin", "group:write:admin"],
    }
}

/// What a token with these scopes may do. `None`: the vendor did not tell, so nothing is called missing.
pub(super) fn access(granted: Option<&[String]>) -> Access {
    let (mut missing, mut missing_to_restore) = (BTreeMap::new(), BTreeMap::new());
    if let Some(granted) = granted {
        // A master account's scopes end in :master and include what :admin allows on the account itself.
        let has = |needed: &&str| {
            let master = needed.strip_suffix(":admin").map(|stem| format!("{stem}:master"));
            granted.iter().any(|scope| scope == needed || Some(scope) == master.as_ref())
        };
        let things = Action::ALL
            .map(|action| (action.as_str(), Call::Apply(action)))
            .into_iter()
            .chain([("list", Call::List), ("look up", Call::LookUp)]);
        for (word, call) in things {
            if !needs(call).iter().any(has) {
                missing.insert(word, needs(call).to_vec());
            }
        }
        for kind in PartKind::ALL {
            let needed = needs(Call::GiveBack(kind));
            if !needed.iter().any(has) {
                missing_to_restore.insert(kind.as_str(), needed.to_vec());
            }
        }
    }
    Access { granted: granted.unwrap_or_default().to_vec(), missing, missing_to_restore }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_scopes_are_told_for_each_thing_and_one_of_classic_and_granular_is_enough() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["user:write:admin", "user:read:admin"], &[]),
            (&["user:update:status:admin", "user:read:list_users:admin", "user:read:user:admin"], &[]),
            (&["user:read:admin"], &["activate", "deactivate"]),
            (&["user:update:status:admin", "user:read:list_users:admin"], &["look up"]),
            (&["user:write:master", "user:read:master"], &[]),
            (&["user:write", "user:read"], &["activate", "deactivate", "list", "look up"]),
            (&[], &["activate", "deactivate", "list", "look up"]),
        ];
        for (granted, expected) in cases {
            let granted: Vec<String> = granted.iter().map(ToString::to_string).collect();
            let access = access(Some(&granted));
            assert_eq!(access.missing.keys().copied().collect::<Vec<_>>(), *expected, "{granted:?}");
            assert_eq!(access.granted, granted);
        }
        assert!(access(None).missing.is_empty());
    }

    #[test]
    fn what_only_an_undo_needs_is_told_apart() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["user:write:admin", "user:read:admin", "role:write:admin", "group:write:admin"], &[]),
            (&["user:write:admin", "user:read:admin"], &["give back groups", "give back roles"]),
            (&["user:update:user:admin", "role:write:member:admin", "group:write:member:admin"], &[]),
            (&[], &["give back groups", "give back licences", "give back roles"]),
        ];
        for (granted, expected) in cases {
            let granted: Vec<String> = granted.iter().map(ToString::to_string).collect();
            let missing = access(Some(&granted)).missing_to_restore;
            assert_eq!(missing.keys().copied().collect::<Vec<_>>(), *expected, "{granted:?}");
        }
        assert!(access(None).missing_to_restore.is_empty());
    }
}
