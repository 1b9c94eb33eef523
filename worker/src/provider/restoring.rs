//! What an activation gives back beside the sign-in, as single calls.

use std::fmt;

use usher_shared::Restore;

/// One thing that an activation gives back: one vendor call on one user, that sets a desired state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The licence, by the vendor's word for its type.
    License(String),
    /// The role, by the vendor's id.
    Role(String),
    /// The membership of one group, by the vendor's id.
    Group(String),
}

/// The kind of a [`Part`], as far as the cost of its call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// A licence.
    License,
    /// A role.
    Role,
    /// A group.
    Group,
}

impl Part {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> PartKind {
        match self {
            Self::License(_) => PartKind::License,
            Self::Role(_) => PartKind::Role,
            Self::Group(_) => PartKind::Group,
        }
    }

    /// Everything that is to be given back, in the order in which it is: a role may need the licence, a group neither.
    pub fn all(restore: &Restore) -> impl Iterator<Item = Self> + '_ {
        let license = restore.license.iter().cloned().map(Self::License);
        let role = restore.role.iter().cloned().map(Self::Role);
        license.chain(role).chain(restore.groups.iter().cloned().map(Self::Group))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::License(of_type) => write!(f, "licence type {of_type}"),
            Self::Role(id) => write!(f, "role {id}"),
            Self::Group(id) => write!(f, "group {id}"),
        }
    }
}

impl PartKind {
    /// Every kind, in the order in which they are given back.
    pub const ALL: [Self; 3] = [Self::License, Self::Role, Self::Group];

    /// What it is, for people: `give back licences`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::License => "give back licences",
            Self::Role => "give back roles",
            Self::Group => "give back groups",
        }
    }
}

/// What an undo of a deactivation puts back at a vendor, and what it can't: for people, in the plan of an undo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restorable {
    /// What is given back.
    pub given_back: &'static [&'static str],
    /// What may be gone for good, each with what to do about it.
    pub lost: &'static [&'static str],
}
