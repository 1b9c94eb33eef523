//! Told to stop, it takes nothing more, and ends what is under way.

use std::{io::Write, net::TcpStream};

use serde_json::json;

use crate::{
    served::{BOTH, Served, place, rest, serve_lines},
    support::{Kind, wait_until},
};

#[test]
fn a_submission_under_way_ends_well_and_nothing_new_is_taken() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 10);
        let served = Served::start(&place, &["--work"]);
        let text = "email\nann@corp.example\nbob@corp.example\n";
        let mut stream = served.begin(&tokens.submit, "", text.len(), &text[..10]);
        served.signal("TERM");
        wait_until("no connection to be taken", || TcpStream::connect(served.address).is_err());
        stream.write_all(&text.as_bytes()[10..]).unwrap();
        let answer = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        let (code, log) = served.end();
        assert_eq!(code, Some(0), "{log}");
        assert_eq!(place.usher(&["runs", "--json"]).succeeded().json().as_array().unwrap().len(), 1);
    }
}

#[test]
fn what_does_not_end_in_time_is_cut_off_and_leaves_nothing_behind() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    serve_lines(&place, "drain_seconds = 0.5");
    let served = Served::start(&place, &[]);
    let rows: String = (0..2_000).map(|n| format!("user{n}@corp.example\n")).collect();
    let stream = served.begin(&tokens.submit, "", 1_000_000, &format!("email\n{rows}"));
    let store = rusqlite::Connection::open(place.path("data/usher.db")).unwrap();
    let runs = || store.query_row("SELECT count(*) FROM runs", [], |row| row.get::<_, u64>(0)).unwrap_or(0);
    served.signal("TERM");
    let (_, log) = served.end();
    assert!(log.contains("cut off"), "{log}");
    assert_eq!(runs(), 0, "{log}");
    drop(stream);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    let served = Served::start(&place, &[]);
    let _stream = served.begin(&tokens.submit, "", 100, "email\n");
    served.send(served.call("GET", "/readyz", None)).status(200);
    served.signal("TERM");
    wait_until("no connection to be taken", || TcpStream::connect(served.address).is_err());
    served.signal("TERM");
    assert_eq!(served.end().0, Some(130));
}

#[test]
fn a_worker_in_the_same_process_can_have_the_one_seat_of_an_embedded_store_alone() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    let served = Served::start(&place, &["--work"]);
    place.usher(&["serve", "--work", "--listen", "127.0.0.1:0"]).says("another usher process works");
    let user = place.ordinary()[0].email.to_string();
    let run = served
        .post(&tokens.submit, "/v1/accounts/zoom-main/deactivate", &json!({"user": user}))
        .status(201)
        .run();
    place.usher(&["status", &run, "--watch"]).succeeded();
    served.signal("TERM");
    let (code, log) = served.end();
    assert_eq!(code, Some(0), "{log}");
}
