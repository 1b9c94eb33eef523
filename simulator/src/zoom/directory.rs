//! The users of an account, found by id and by e-mail address, counted by kind, and listed by position.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether a user may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// May sign in.
    Active,
    /// Deactivated.
    Inactive,
    /// Invited and never activated.
    Pending,
}

impl Status {
    /// Its name in Zoom's JSON and queries.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Inactive => "inactive",
            Status::Pending => "pending",
        }
    }
}

/// What is special about a user. Owner and admins are refused by their role, pending users by their status, so
/// for these the word only says why they were made; the others are refused by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// The account's owner.
    Owner,
    /// An admin.
    Admin,
    /// Invited and never activated.
    Pending,
    /// Hosts an upcoming Zoom Event: deactivating is refused with 400/300.
    UpcomingEvent,
    /// Force locked: refused with 400/1000.
    ForceLocked,
    /// A Zoom Room: refused with 400/200.
    ZoomRoom,
    /// Inactive; activating is refused with 400/3412.
    ActivationNotApproved,
    /// Inactive from the start.
    AlreadyInactive,
}

/// One user as the account has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimUser {
    /// The id: 22 characters; pending users have none.
    pub id: Option<Arc<str>>,
    /// The e-mail address, in lower case.
    pub email: Arc<str>,
    /// First name.
    pub first_name: Arc<str>,
    /// Last name.
    pub last_name: Arc<str>,
    /// 1 Basic, 2 Licensed, 4 unassigned, 99 none.
    #[serde(rename = "type")]
    pub user_type: u8,
    /// Whether they may sign in.
    pub status: Status,
    /// "0" owner, "1" admin, "2" member; others are custom roles.
    pub role_id: Arc<str>,
    /// Department.
    pub dept: Arc<str>,
    /// The groups they are in.
    pub group_ids: Vec<Arc<str>>,
    /// When they last signed in, to the second; never, if there is none.
    pub last_login_time: Option<Timestamp>,
    /// With what; none, if they never signed in.
    pub last_client_version: Option<Arc<str>>,
    /// When the user was made, to the second.
    pub created_at: Timestamp,
    /// The id of the employee in the company's own systems.
    pub employee_unique_id: Arc<str>,
    /// What is special about them.
    pub trouble: Trouble,
}

impl SimUser {
    /// Whether they use up a seat.
    pub fn is_licensed(&self) -> bool {
        self.user_type == 2 && self.status != Status::Pending
    }

    fn counted(&self) -> Counted {
        match (self.status, self.user_type) {
            (Status::Pending, _) => Counted::Pending,
            (_, 2) => Counted::Licensed,
            (_, 1) => Counted::Basic,
            _ => Counted::Other,
        }
    }
}

/// What to change about a user; absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserChange {
    /// First name.
    pub first_name: Option<Arc<str>>,
    /// Last name.
    pub last_name: Option<Arc<str>>,
    /// 1, 2, 4 or 99.
    #[serde(rename = "type")]
    pub user_type: Option<u8>,
    /// Whether they may sign in. Nobody becomes pending who has an id, and the other way round.
    pub status: Option<Status>,
    /// Role.
    pub role_id: Option<Arc<str>>,
    /// Department.
    pub dept: Option<Arc<str>>,
    /// All their groups.
    pub group_ids: Option<Vec<Arc<str>>>,
    /// When they last signed in.
    pub last_login_time: Option<Timestamp>,
    /// What is special about them.
    pub trouble: Option<Trouble>,
}

impl UserChange {
    /// Carries the change out.
    pub(crate) fn apply(self, user: &mut SimUser) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut user.first_name, self.first_name);
        set(&mut user.last_name, self.last_name);
        set(&mut user.user_type, self.user_type);
        set(&mut user.status, self.status.filter(|&s| (s == Status::Pending) == user.id.is_none()));
        set(&mut user.role_id, self.role_id);
        set(&mut user.dept, self.dept);
        set(&mut user.group_ids, self.group_ids);
        set(&mut user.trouble, self.trouble);
        if self.last_login_time.is_some() {
            user.last_login_time = self.last_login_time;
        }
    }
}

#[derive(Clone, Copy)]
enum Counted {
    Licensed,
    Basic,
    Pending,
    Other,
}

/// How many users there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) licensed: u64,
    pub(crate) basic: u64,
    pub(crate) pending: u64,
    pub(crate) other: u64,
}

impl Counts {
    fn of(&mut self, kind: Counted) -> &mut u64 {
        match kind {
            Counted::Licensed => &mut self.licensed,
            Counted::Basic => &mut self.basic,
            Counted::Pending => &mut self.pending,
            Counted::Other => &mut self.other,
        }
    }
}

/// A user's position: it stays the same for as long as the directory lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Seat(u32);

impl Seat {
    pub(crate) const fn key(self) -> u64 {
        self.0 as u64
    }
}

/// All users.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    users: Vec<Option<SimUser>>,
    by_id: HashMap<Arc<str>, Seat>,
    by_email: HashMap<Arc<str>, Seat>,
    counts: Counts,
}

impl Directory {
    pub(crate) fn with_capacity(users: usize) -> Self {
        Self {
            users: Vec::with_capacity(users),
            by_id: HashMap::with_capacity(users),
            by_email: HashMap::with_capacity(users),
            counts: Counts::default(),
        }
    }

    /// Adds a user whose id and address nobody has yet.
    pub(crate) fn add(&mut self, user: SimUser) -> Seat {
        let seat = Seat(u32::try_from(self.users.len()).unwrap_or(u32::MAX));
        if let Some(id) = &user.id {
            self.by_id.insert(id.clone(), seat);
        }
        self.by_email.insert(user.email.clone(), seat);
        *self.counts.of(user.counted()) += 1;
        self.users.push(Some(user));
        seat
    }

    /// Finds a user by id or, whatever its case, by e-mail address.
    pub(crate) fn find(&self, name: &str) -> Option<Seat> {
        if let Some(&seat) = self.by_id.get(name).or_else(|| self.by_email.get(name)) {
            return Some(seat);
        }
        self.by_email.get(name.to_lowercase().as_str()).copied()
    }

    pub(crate) fn get(&self, seat: Seat) -> Option<&SimUser> {
        self.users.get(seat.0 as usize)?.as_ref()
    }

    /// Changes a user and says whether they differ afterwards.
    pub(crate) fn change(&mut self, seat: Seat, change: impl FnOnce(&mut SimUser)) -> bool {
        let Some(Some(user)) = self.users.get_mut(seat.0 as usize) else { return false };
        let before = user.clone();
        change(user);
        *self.counts.of(before.counted()) -= 1;
        *self.counts.of(user.counted()) += 1;
        before != *user
    }

    /// Takes a user out.
    pub(crate) fn remove(&mut self, seat: Seat) -> Option<SimUser> {
        let user = self.users.get_mut(seat.0 as usize)?.take()?;
        if let Some(id) = &user.id {
            self.by_id.remove(id);
        }
        self.by_email.remove(&user.email);
        *self.counts.of(user.counted()) -= 1;
        Some(user)
    }

    /// The users from `position` on, each with the position after it.
    pub(crate) fn from(&self, position: usize) -> impl Iterator<Item = (usize, &SimUser)> {
        let users = self.users.get(position..).unwrap_or_default();
        users.iter().enumerate().filter_map(move |(n, user)| Some((position + n + 1, user.as_ref()?)))
    }

    /// The owner, who is always added first.
    pub(crate) fn owner(&self) -> Option<Seat> {
        self.get(Seat(0)).map(|_| Seat(0))
    }

    pub(crate) const fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u32) -> SimUser {
        SimUser {
            id: Some(format!("id{n}").into()),
            email: format!("u{n}@corp.example").into(),
            first_name: "A".into(),
            last_name: "B".into(),
            user_type: 2,
            status: Status::Active,
            role_id: "2".into(),
            dept: "Sales".into(),
            group_ids: Vec::new(),
            last_login_time: None,
            last_client_version: None,
            created_at: Timestamp::UNIX_EPOCH,
            employee_unique_id: "E1".into(),
            trouble: Trouble::None,
        }
    }

    #[test]
    fn a_user_is_found_by_id_exactly_and_by_address_in_any_case() {
        let mut directory = Directory::default();
        let seat = directory.add(user(1));
        assert_eq!(directory.find("id1"), Some(seat));
        assert_eq!(directory.find("ID1"), None);
        assert_eq!(directory.find("U1@Corp.Example"), Some(seat));
        directory.remove(seat);
        assert_eq!((directory.find("id1"), directory.find("u1@corp.example")), (None, None));
    }

    #[test]
    fn counts_follow_every_change() {
        let mut directory = Directory::default();
        let seats: Vec<Seat> = (0..3).map(|n| directory.add(user(n))).collect();
        assert!(directory.change(seats[0], |u| u.user_type = 1));
        assert!(!directory.change(seats[0], |u| u.user_type = 1), "nothing differs");
        directory.remove(seats[1]);
        assert_eq!(directory.counts(), Counts { licensed: 1, basic: 1, ..Counts::default() });
    }

    #[test]
    fn a_listing_goes_on_where_it_stood_although_users_have_gone() {
        let mut directory = Directory::default();
        let seats: Vec<Seat> = (0..5).map(|n| directory.add(user(n))).collect();
        let (position, _) = directory.from(0).nth(1).unwrap();
        directory.remove(seats[0]);
        directory.remove(seats[3]);
        let rest: Vec<&str> = directory.from(position).map(|(_, u)| &*u.email).collect();
        assert_eq!(rest, ["u2@corp.example", "u4@corp.example"]);
    }
}
