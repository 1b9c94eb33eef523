//! Fills a directory: the same users for the same seed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::directory::{Directory, SimUser, Status, Trouble};
use super::names::{CLIENTS, DEPARTMENTS, FIRST, LAST};
use super::settings::Population;
use crate::clock::Moment;
use crate::seeded::Seeded;

const DAY: u64 = 86_400;
const GROUPS: usize = 8;

/// The users of an account and the groups that exist in it.
pub(crate) struct Populated {
    pub(crate) directory: Directory,
    pub(crate) groups: Vec<Arc<str>>,
}

/// Fills a directory as it stands at `now`.
pub(crate) fn populate(population: &Population, seed: u64, now: Moment) -> Populated {
    let mut rng = Seeded::keyed(seed, 1, 0);
    let groups: Vec<Arc<str>> = (0..GROUPS).map(|_| zoom_id(&mut rng)).collect();
    let mut kinds = kinds(population);
    rng.shuffle(&mut kinds);
    let mut directory = Directory::with_capacity(kinds.len() + 1);
    let mut maker = Maker { rng, population, groups: &groups, now, interned: Interned::new() };
    directory.add(maker.user(0, Trouble::Owner));
    for (n, kind) in (1..).zip(kinds) {
        directory.add(maker.user(n, kind));
    }
    Populated { directory, groups }
}

fn kinds(population: &Population) -> Vec<Trouble> {
    let counts = [
        (Trouble::None, population.users),
        (Trouble::Admin, population.admins),
        (Trouble::Pending, population.pending),
        (Trouble::UpcomingEvent, population.upcoming_event),
        (Trouble::ForceLocked, population.force_locked),
        (Trouble::ZoomRoom, population.zoom_rooms),
        (Trouble::ActivationNotApproved, population.activation_not_approved),
        (Trouble::AlreadyInactive, population.already_inactive),
    ];
    counts.into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count as usize)).collect()
}

/// An id of 22 characters, as Zoom's are: 16 bytes in URL-safe base64.
fn zoom_id(rng: &mut Seeded) -> Arc<str> {
    let mut bytes = [0u8; 16];
    bytes[..8].copy_from_slice(&rng.bits().to_le_bytes());
    bytes[8..].copy_from_slice(&rng.bits().to_le_bytes());
    URL_SAFE_NO_PAD.encode(bytes).into()
}

/// Texts that many users share, kept once.
struct Interned {
    first: Vec<Arc<str>>,
    last: Vec<Arc<str>>,
    departments: Vec<Arc<str>>,
    clients: Vec<Arc<str>>,
    roles: [Arc<str>; 3],
}

impl Interned {
    fn new() -> Self {
        Self {
            first: FIRST.iter().map(|(name, _)| Arc::from(*name)).collect(),
            last: LAST.iter().map(|(name, _)| Arc::from(*name)).collect(),
            departments: DEPARTMENTS.iter().map(|&name| Arc::from(name)).collect(),
            clients: CLIENTS.iter().map(|&name| Arc::from(name)).collect(),
            roles: ["0".into(), "1".into(), "2".into()],
        }
    }
}

struct Maker<'a> {
    rng: Seeded,
    population: &'a Population,
    groups: &'a [Arc<str>],
    now: Moment,
    interned: Interned,
}

impl Maker<'_> {
    fn user(&mut self, n: u64, trouble: Trouble) -> SimUser {
        let rng = &mut self.rng;
        let first = rng.below(FIRST.len() as u64) as usize;
        let last = rng.below(LAST.len() as u64) as usize;
        let id = zoom_id(rng);
        let licensed = rng.unit() < self.population.licensed_share;
        let status = match trouble {
            Trouble::Pending => Status::Pending,
            Trouble::AlreadyInactive | Trouble::ActivationNotApproved => Status::Inactive,
            _ => Status::Active,
        };
        let user_type = match (trouble, status) {
            (Trouble::Owner | Trouble::Admin, _) => 2,
            (_, Status::Inactive) => 1,
            _ => {
                if licensed {
                    2
                } else {
                    1
                }
            }
        };
        let role = match trouble {
            Trouble::Owner => 0,
            Trouble::Admin => 1,
            _ => 2,
        };
        let created_days = rng.within(30..=2000);
        let created_at = self.now.minus(Duration::from_secs(created_days * DAY + rng.below(DAY)));
        let signed_in_days = rng.below(400).min(created_days - 1);
        let never = rng.unit() < 0.05 && !matches!(trouble, Trouble::Owner | Trouble::Admin);
        let last_login = self.now.minus(Duration::from_secs(signed_in_days * DAY + rng.below(DAY)));
        let signed_in = !never && status != Status::Pending;
        let client = rng.pick(&self.interned.clients).clone();
        let dept = rng.pick(&self.interned.departments).clone();
        let mut group_ids: Vec<Arc<str>> = Vec::new();
        for _ in 0..rng.below(3) {
            let group = rng.pick(self.groups);
            if !group_ids.contains(group) {
                group_ids.push(group.clone());
            }
        }
        SimUser {
            id: (status != Status::Pending).then_some(id),
            email: format!(
                "{}.{}{n}@{}",
                FIRST[first].1,
                LAST[last].1,
                self.population.domain.to_lowercase()
            )
            .into(),
            first_name: self.interned.first[first].clone(),
            last_name: self.interned.last[last].clone(),
            user_type,
            status,
            role_id: self.interned.roles[role].clone(),
            dept,
            group_ids,
            last_login_time: signed_in.then(|| whole_second(last_login)),
            last_client_version: signed_in.then_some(client),
            created_at: whole_second(created_at),
            employee_unique_id: format!("E{:06}", 100_000 + n).into(),
            trouble,
        }
    }
}

fn whole_second(at: Moment) -> Timestamp {
    Moment::from_micros(at.as_secs() * 1_000_000).to_timestamp()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn mixed() -> Population {
        Population {
            users: 500,
            admins: 3,
            pending: 4,
            upcoming_event: 5,
            force_locked: 6,
            zoom_rooms: 7,
            activation_not_approved: 8,
            already_inactive: 9,
            ..Population::default()
        }
    }

    fn made(seed: u64) -> Vec<SimUser> {
        let now = Moment::from_timestamp("2026-03-01T10:00:00Z".parse().unwrap());
        populate(&mixed(), seed, now).directory.from(0).map(|(_, user)| user.clone()).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_users() {
        assert_eq!(made(5), made(5));
        assert_ne!(made(5), made(6));
    }

    #[test]
    fn every_kind_is_there_as_often_as_asked() {
        let users = made(5);
        assert_eq!(users.len() as u64, mixed().total());
        let count = |trouble| users.iter().filter(|u| u.trouble == trouble).count();
        let rows = [
            (Trouble::None, 500),
            (Trouble::Owner, 1),
            (Trouble::Admin, 3),
            (Trouble::Pending, 4),
            (Trouble::UpcomingEvent, 5),
            (Trouble::ForceLocked, 6),
            (Trouble::ZoomRoom, 7),
            (Trouble::ActivationNotApproved, 8),
            (Trouble::AlreadyInactive, 9),
        ];
        for (trouble, wanted) in rows {
            assert_eq!(count(trouble), wanted, "{trouble:?}");
        }
    }

    #[test]
    fn ids_and_addresses_look_like_zooms_and_are_unique() {
        let users = made(5);
        let ids: HashSet<_> = users.iter().filter_map(|u| u.id.clone()).collect();
        assert_eq!(ids.len(), users.iter().filter(|u| u.status != Status::Pending).count());
        assert!(ids.iter().all(|id| id.len() == 22));
        let emails: HashSet<_> = users.iter().map(|u| u.email.clone()).collect();
        assert_eq!(emails.len(), users.len());
        assert!(emails.iter().all(|e| e.is_ascii() && e.ends_with("@corp.example")));
        assert!(users.iter().any(|u| u.last_login_time.is_none() && u.status == Status::Active));
        assert!(users.iter().all(|u| u.last_login_time.is_none_or(|at| at > u.created_at)));
    }
}
