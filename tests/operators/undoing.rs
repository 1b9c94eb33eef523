//! A round trip leaves every user as before, whatever is killed on the way.

use serde_json::json;
use usher_simulator::zoom::{SimUser, Status, UserChange};

use crate::{
    company::{BOTH, directory, file, words, worker},
    support::{Kind, Workplace},
};

const USERS: u32 = 150;

/// A vendor that takes all that a vendor may take.
fn taking(kind: Kind) -> Workplace {
    let mut settings = directory(USERS);
    settings.directory.already_inactive = 5;
    settings.rules.deactivation_drops_groups = true;
    settings.rules.deactivation_drops_role = true;
    let place = Workplace::new(kind, settings);
    let groups = place.sim.groups();
    for (at, user) in place.ordinary().iter().enumerate() {
        let role_id = at.is_multiple_of(10).then(|| "custom-7".into());
        let group_ids = Some(groups.iter().take(at % 3).cloned().collect());
        place.sim.update_user(&user.email, UserChange { role_id, group_ids, ..UserChange::default() });
    }
    place
}

fn everybody(place: &Workplace) -> Vec<SimUser> {
    let mut users = place.sim.users();
    users.iter_mut().for_each(|user| user.group_ids.sort());
    users.sort_by(|one, other| one.email.cmp(&other.email));
    users
}

/// Whom the file names: everybody but the owner.
fn leavers(place: &Workplace) -> Vec<SimUser> {
    place.sim.users().into_iter().filter(|user| &*user.role_id != "0").collect()
}

#[test]
fn deactivated_and_undone_with_a_kill_in_each_every_user_is_as_before() {
    for kind in BOTH {
        let place = taking(kind);
        let before = everybody(&place);
        let file = file(&place, &leavers(&place));
        let run = match kind {
            Kind::Sqlite => {
                let there = words("run", &file, &["--yes"]);
                let running = place.start(&there);
                place.wait_for_changes(40);
                running.kill();
                place.usher(&there).succeeded();
                place.newest_run()
            }
            Kind::Redis => {
                let running = worker(&place).unwrap();
                let run = place.usher(&words("submit", &file, &["--yes"])).succeeded().out.trim().to_owned();
                place.wait_for_changes(40);
                running.kill();
                let _worker = worker(&place);
                place.usher(&["status", &run, "--watch"]).succeeded();
                run
            }
        };
        assert_eq!(
            place.status(&run)["outcomes"],
            json!({"applied": USERS, "already_applied": 5}),
            "{kind:?}"
        );

        let back = ["undo", run.as_str(), "--yes", "--watch"];
        let changes = place.sim.report().changes.len();
        match kind {
            Kind::Sqlite => {
                let undoing = place.start(&back);
                place.wait_for_changes(changes + 30);
                undoing.kill();
                place.usher(&back).succeeded().says("undoes it already");
            }
            Kind::Redis => {
                let first = worker(&place).unwrap();
                let undoing = place.start(&back);
                place.wait_for_changes(changes + 30);
                first.kill();
                let _worker = worker(&place);
                undoing.end().succeeded();
            }
        }
        let undo = place.newest_run();
        let status = place.status(&undo);
        assert_eq!(
            (&status["undoes"], &status["outcomes"]),
            (&json!(run), &json!({"applied": USERS})),
            "{kind:?}"
        );
        let after = everybody(&place);
        for (was, is) in before.iter().zip(&after) {
            assert_eq!(was, is, "{kind:?}");
        }
        assert_eq!(before.len(), after.len());
    }
}

#[test]
fn an_undo_of_an_undo_deactivates_them_again_and_that_is_undone_too() {
    let place = taking(Kind::Sqlite);
    let before = everybody(&place);
    let file = file(&place, &leavers(&place)[..20]);
    place.usher(&words("run", &file, &["--yes"])).succeeded();
    let first = place.newest_run();
    let inactive = everybody(&place);
    place.usher(&["undo", &first, "--yes"]).succeeded().says("What may be gone for good");
    assert_eq!(everybody(&place), before);
    let undo = place.newest_run();
    place.usher(&["undo", &undo, "--yes"]).succeeded();
    assert_eq!(everybody(&place), inactive);
    let again = place.newest_run();
    // Two newer runs have decided about them since.
    place.usher(&["undo", &first, "--yes"]).code(1).says(&again).says("decided since");
    place.usher(&["undo", &again, "--yes"]).succeeded();
    assert_eq!(everybody(&place), before);
}

#[test]
fn an_undo_is_only_planned_where_that_is_asked_for_and_needs_a_yes() {
    let place = taking(Kind::Sqlite);
    let file = file(&place, &leavers(&place)[..5]);
    place.usher(&words("run", &file, &["--yes"])).succeeded();
    let run = place.newest_run();
    place.usher(&["undo", &run]).code(3).says("usher apply").says("--yes");
    let undo = place.newest_run();
    assert_eq!(place.status(&undo)["state"], "planned");
    place.usher(&["undo", &run, "--plan"]).succeeded().says(&undo).says("to be changed: activate");
    assert_eq!(place.newest_run(), undo, "one is enough");
    assert_eq!(place.sim.report().changes.len(), 5);
    place.usher(&["apply", &undo, "--yes"]).succeeded();
    assert!(leavers(&place)[..5].iter().all(|user| user.status == Status::Active));
    place.usher(&["undo", &undo, "--plan"]).succeeded();
}

#[test]
fn where_no_seat_is_free_the_user_is_activated_without_and_the_outcome_says_so() {
    let place = taking(Kind::Sqlite);
    let licensed: Vec<SimUser> = leavers(&place)
        .into_iter()
        .filter(|user| user.user_type == 2 && user.status == Status::Active)
        .collect();
    let file = file(&place, &licensed[..4]);
    place.usher(&words("run", &file, &["--yes"])).succeeded();
    let run = place.newest_run();
    // Somebody else takes two of the seats.
    let taken = place.sim.seats() - place.sim.users().iter().filter(|user| user.is_licensed()).count() as u64;
    let mut basic = place.sim.users();
    basic.retain(|user| user.user_type == 1 && user.status == Status::Active);
    let left = taken.saturating_sub(2) as usize;
    for user in basic.iter().take(left) {
        place.sim.update_user(&user.email, UserChange { user_type: Some(2), ..UserChange::default() });
    }
    assert!(basic.len() >= left, "too few users without a licence to take the seats");
    let ended = place.usher(&["undo", &run, "--yes"]).code(1).says("no free licence");
    let status = place.status(&place.newest_run());
    assert_eq!(status["outcomes"], json!({"applied": 2, "no_seat": 2}), "{status}\n{}", ended.err);
    assert!(licensed[..4].iter().all(|user| place.sim.user(&user.email).unwrap().status == Status::Active));
}
