//! Nobody is changed by a run over a cap, whatever way it came in, before another person has approved it.

use serde_json::json;
use usher_producer::submit::{Description, submit};
use usher_shared::{Action, Request};

use crate::{
    company::{BOTH, as_person, changing_calls, directory, file, person, words, worker},
    support::{Kind, Workplace},
};

const CAP: &str = "[accounts.zoom-main.caps]\nusers_per_run = 10\n";

/// Works what waits on this store to its end: here, or by following a worker.
fn worked(place: &Workplace, run: &str) -> crate::support::Ended {
    match place.redis {
        Some(_) => place.usher(&["status", run, "--watch"]),
        None => place.usher(&["resume", run]),
    }
}

fn submitted_by_the_crate(place: &Workplace) -> String {
    let requests: Vec<Request> = (1..)
        .zip(place.ordinary())
        .map(|(line, user)| Request {
            line,
            user: user.email.parse().unwrap(),
            action: Action::Deactivate,
            reason: None,
            restore: None,
        })
        .collect();
    let description = Description::new(place.account(), "hr-portal");
    let submitted = place.block_on(submit(&place.store(), description, requests)).unwrap();
    submitted.run().to_string()
}

#[test]
fn over_the_cap_no_call_changes_anybody_by_any_way_in() {
    for kind in BOTH {
        let place = Workplace::with_config(kind, directory(20), CAP);
        let _worker = worker(&place);
        let file = file(&place, &place.ordinary());

        place.usher(&words("run", &file, &["--yes"])).code(3).says("OVER").says("10 users");
        let by_run = place.newest_run();
        let by_submit = place.usher(&words("submit", &file, &["--yes", "--reason", "again"])).succeeded();
        let by_submit = by_submit.out.trim().to_owned();
        worked(&place, &by_submit).code(3);
        let by_crate = submitted_by_the_crate(&place);
        worked(&place, &by_crate).code(3);
        place.usher(&["retry", &by_run, "--yes"]).says("To be tried again: 20 users");
        worked_again(&place, &by_run);

        for run in [&by_run, &by_submit, &by_crate] {
            let status = place.status(run);
            assert_eq!(status["state"], "refused", "{kind:?} {status}");
            assert_eq!(status["outcomes"], json!({"cancelled": 20}));
            assert_eq!((&status["calls"], &status["attempts"]), (&json!(0), &json!(0)));
        }
        assert_eq!(changing_calls(&place), 0, "{kind:?} {:?}", place.sim.report().calls);
    }
}

fn worked_again(place: &Workplace, run: &str) {
    if place.redis.is_some() {
        worked(place, run).code(3);
    }
}

#[test]
fn over_the_cap_another_person_may_approve_and_nobody_approves_their_own() {
    for kind in BOTH {
        let (alice, bob) = (person("alice"), person("bob"));
        let lines = format!(
            "{CAP}[accounts.zoom-main.approval]\nrequired = \"over_cap\"\n{}{}",
            alice.lines, bob.lines
        );
        let place = Workplace::with_config(kind, directory(20), &lines);
        let _worker = worker(&place);
        let file = file(&place, &place.ordinary());
        as_person(&place, &alice, &words("run", &file, &["--yes"])).code(3).says("usher approve");
        let run = place.newest_run();
        assert_eq!(place.status(&run)["state"], "held");
        assert_eq!(place.status(&run)["held"]["reason"], "over_run_cap");
        assert_eq!(place.status(&run)["proved_by"], "alice");
        as_person(&place, &alice, &["approve", &run, "--yes"]).code(3).says("another person");
        // Under another name, the signature is not that name's.
        as_person(&place, &alice, &["approve", &run, "--yes", "--as", "bob"]).code(4).says("another token");
        place.usher(&["approve", &run, "--yes"]).code(3).says("--token-file");
        assert_eq!(changing_calls(&place), 0);

        let token = place.file("bobs", &bob.token);
        let words = ["approve", &run, "--yes", "--token-file", token.to_str().unwrap()];
        place.usher(&words).succeeded().says("alice").says("20  to be changed");
        worked(&place, &run).succeeded();
        let status = place.status(&run);
        assert_eq!(status["outcomes"], json!({"applied": 20}), "{kind:?}");
        assert_eq!(status["approved_by"], "bob");
    }
}

#[test]
fn a_run_without_proof_of_who_submitted_it_can_not_be_approved_where_that_is_asked_for() {
    let (alice, bob) = (person("alice"), person("bob"));
    let lines = format!("[accounts.zoom-main.approval]\n{}{}", alice.lines, bob.lines);
    let place = Workplace::with_config(Kind::Sqlite, directory(5), &lines);
    let file = file(&place, &place.ordinary());
    place.usher(&words("run", &file, &["--yes"])).code(3).says("personal token");
    let run = place.newest_run();
    as_person(&place, &bob, &["approve", &run, "--yes"]).succeeded();
    place.usher(&["resume", &run]).code(3);
    assert_eq!(changing_calls(&place), 0);
}
