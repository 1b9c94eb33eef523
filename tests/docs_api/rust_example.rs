//! The Rust example: as the page has it, and run.

include!("../../docs/examples/dismiss.rs");

use usher_simulator::zoom::Status;

use crate::{
    page,
    support::{Kind, Workplace},
    typed::people,
};

const FILE: &str = "docs/examples/dismiss.rs";

#[test]
fn the_page_shows_the_rust_example_that_is_run() {
    let blocks = page::blocks(&page::read("docs/api.md"));
    let shown: Vec<&str> =
        blocks.iter().filter(|block| block.language == "rust").map(|block| block.text.as_str()).collect();
    assert_eq!(shown, [page::read(FILE)], "put the text of {FILE} into docs/api.md");
}

#[test]
fn the_rust_example_takes_a_seat_and_takes_it_once() {
    let place = Workplace::new(Kind::Redis, people());
    let worker = place.start(&["worker"]);
    let user = place.sim.user("linh.fernandez13@corp.example").unwrap();
    let [first, second] = place.block_on(async {
        let store = open(&place.store_address()).await.unwrap();
        let first = dismiss(&store, &user.email, "HR-4716").await.unwrap();
        [first, dismiss(&store, &user.email, "HR-4716").await.unwrap()]
    });
    assert_eq!(first, second);
    place.usher(&["status", first.as_str(), "--watch"]).succeeded();
    assert_eq!(place.outcomes(first.as_str()), [(user.email.to_string(), "applied".to_owned())]);
    assert_eq!(place.sim.user(&user.email).unwrap().status, Status::Inactive);
    let status = place.status(first.as_str());
    assert_eq!(
        (&status["priority"], &status["asked_by"], &status["reason"]),
        (&"urgent".into(), &"hr-portal".into(), &"HR-4716".into())
    );
    drop(worker);
}
