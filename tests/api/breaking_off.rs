//! Connections that break off, and bodies that are too long.

use std::io::Write;

use serde_json::json;

use crate::{
    served::{BOTH, Served, place, rest, serve_lines},
    support::{Kind, wait_until},
};

#[test]
fn a_submission_that_breaks_off_leaves_nothing_behind_and_goes_through_when_it_is_sent_again() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 3);
        let served = Served::start(&place, &["--log", "debug"]);
        let rows: String = (0..5_000).map(|n| format!("user{n}@corp.example\n")).collect();
        let whole = format!("email\n{rows}");
        let mut stream =
            served.begin(&tokens.submit, "Idempotency-Key: once\r\n", whole.len(), &whole[..whole.len() / 2]);
        stream.flush().unwrap();
        drop(stream);
        let send = || {
            let path = "/v1/runs?account=zoom-main&action=deactivate";
            let call = served.call("POST", path, Some(&tokens.submit)).header("Idempotency-Key", "once");
            served.send(call.header("content-type", "text/csv").body(whole.clone()))
        };
        let mut taken = send();
        wait_until("the broken submission to be forgotten", || {
            if taken.status == 409 {
                taken = send();
            }
            taken.status != 409
        });
        assert_eq!(taken.status(201).json()["requests"], 5_000);
        assert_eq!(place.usher(&["runs", "--json"]).succeeded().json().as_array().unwrap().len(), 1);
        if kind == Kind::Sqlite {
            let store = rusqlite::Connection::open(place.path("data/usher.db")).unwrap();
            let runs: u64 = store.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).unwrap();
            assert_eq!(runs, 1, "the draft that broke off is discarded");
        }
    }
}

#[test]
fn a_body_that_is_too_long_is_refused_whatever_its_form() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    serve_lines(&place, "max_body_mib = 1\nmax_stream_mib = 1");
    let served = Served::start(&place, &[]);
    let users: Vec<String> = (0..60_000).map(|n| format!("user{n}@corp.example")).collect();
    let body = json!({"account": "zoom-main", "action": "deactivate", "users": users});
    served.post(&tokens.submit, "/v1/runs", &body).problem(413, "too-large", "longer");
    let rows = users.join("\n");
    served.rows(&tokens.submit, "text/csv", "account=zoom-main&action=deactivate", &rows).problem(
        413,
        "too-large",
        "longer",
    );
    assert_eq!(place.usher(&["runs", "--json"]).succeeded().json(), json!([]));
}

#[test]
fn who_may_not_submit_is_told_before_the_body_is_sent() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    let served = Served::start(&place, &[]);
    let mut stream = served.head(&tokens.read, "", 1 << 30);
    let mut head = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 403");
    drop(rest(stream));
}
