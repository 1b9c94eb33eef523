//! An entry that was edited or removed, and a tail that was cut off, are found.

use std::{fs, path::Path};

use crate::{
    company::{BOTH, directory, file, words, worker},
    support::{Ended, Kind, Workplace},
};

const KEY: &str = "[audit]\nkey = { env = \"AUDIT_KEY\" }\n";

/// `usher` with the audit's key in the environment.
fn usher(place: &Workplace, words: &[&str]) -> Ended {
    let mut command = place.command(words);
    command.env("AUDIT_KEY", "a key that lies outside the store");
    Ended::run(command, words)
}

fn tampered(place: &Workplace, sql: &str) {
    let store = rusqlite::Connection::open(place.path("data/usher.db")).unwrap();
    assert!(store.execute(sql, []).unwrap() > 0, "{sql}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn an_edited_a_removed_and_a_cut_off_entry_are_each_found_on_the_embedded_store() {
    let place = Workplace::new(Kind::Sqlite, directory(6));
    let file = file(&place, &place.ordinary());
    place.usher(&words("run", &file, &["--yes"])).succeeded();
    let run = place.newest_run();
    place.usher(&["undo", &run, "--yes"]).succeeded();
    let whole = place.usher(&["audit", "verify"]).succeeded().says("The audit is whole");
    let head = whole.out.lines().find_map(|line| line.strip_prefix("Head: ")).unwrap().to_owned();
    let list = place.usher(&["audit", "list"]).succeeded();
    for word in ["submitted", "resolved", "admitted", "finished", "applied", "cli:"] {
        assert!(list.out.contains(word), "{word}\n{}", list.out);
    }
    let exported = place.usher(&["audit", "export"]).succeeded();
    let lines: Vec<serde_json::Value> =
        exported.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 9 && lines.iter().all(|line| line["seal"].is_string()), "{}", exported.out);

    let (data, kept) = (place.path("data"), place.path("kept"));
    copy(&data, &kept);
    let last = lines.len() as u64;
    let cases = [
        (
            "UPDATE audit SET event = replace(event, 'cli:', 'cli:x') WHERE number = 1".to_owned(),
            "entry 1 is not",
        ),
        ("DELETE FROM audit WHERE number = 2".to_owned(), "entry 2 was removed"),
        (format!("DELETE FROM audit WHERE number > {}", last - 2), "the end was cut off"),
    ];
    for (sql, said) in cases {
        tampered(&place, &sql);
        place.usher(&["audit", "verify"]).code(3).says(said);
        // Also where nothing but what somebody wrote down is left.
        fs::remove_file(data.join("audit.head")).unwrap();
        place.usher(&["audit", "verify", "--head", &head]).code(3).says(said);
        copy(&kept, &data);
        place.usher(&["audit", "verify"]).succeeded();
    }
}

#[test]
fn an_edited_a_removed_and_a_cut_off_entry_are_each_found_on_redis() {
    let place = Workplace::with_config(Kind::Redis, directory(6), KEY);
    let file = file(&place, &place.ordinary());
    let run = usher(&place, &words("run", &file, &["--yes"])).succeeded();
    assert!(!run.err.contains("panicked"));
    let whole = usher(&place, &["audit", "verify"]).succeeded();
    let head = whole.out.lines().find_map(|line| line.strip_prefix("Head: ")).unwrap().to_owned();
    let client = redis::Client::open(place.redis.as_ref().unwrap().url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let entries = "usher:{_audit}:entries:0";
    let read = |connection: &mut redis::Connection, number: u64| -> String {
        redis::cmd("HGET").arg(entries).arg(number).query(connection).unwrap()
    };
    let first = read(&mut connection, 1);
    let write = |connection: &mut redis::Connection, number: u64, text: &str| {
        let () = redis::cmd("HSET").arg(entries).arg(number).arg(text).query(connection).unwrap();
    };
    write(&mut connection, 1, &first.replace("cli:", "cli:x"));
    usher(&place, &["audit", "verify"]).code(3).says("entry 1 is not");
    write(&mut connection, 1, &first);
    usher(&place, &["audit", "verify", "--head", &head]).succeeded().says("agree");

    // Whoever cuts off the end takes the seals with it, and sets the numbers back.
    let last: u64 = head.split_once(':').unwrap().0.parse().unwrap();
    let seals = "usher:{_audit}:seals:0";
    let seal: String = redis::cmd("HGET").arg(seals).arg(last - 1).query(&mut connection).unwrap();
    let (entry, cut) = (read(&mut connection, last), "usher:{_audit}");
    for key in [entries, seals] {
        let () = redis::cmd("HDEL").arg(key).arg(last).query(&mut connection).unwrap();
    }
    let sealed_before: String = redis::cmd("HGET").arg(cut).arg("seal").query(&mut connection).unwrap();
    let set = |connection: &mut redis::Connection, number: u64, seal: &str| {
        let () = redis::cmd("HSET")
            .arg(cut)
            .arg(&[("last", number.to_string()), ("sealed", number.to_string()), ("seal", seal.to_owned())])
            .query(connection)
            .unwrap();
    };
    set(&mut connection, last - 1, &seal);
    usher(&place, &["audit", "verify"]).code(3).says("the end was cut off");
    usher(&place, &["audit", "verify", "--head", &head]).code(3).says("the end was cut off");
    write(&mut connection, last, &entry);
    let () = redis::cmd("HSET").arg(seals).arg(last).arg(&sealed_before).query(&mut connection).unwrap();
    set(&mut connection, last, &sealed_before);
    usher(&place, &["audit", "verify"]).succeeded();

    let () = redis::cmd("HDEL").arg(entries).arg(2).query(&mut connection).unwrap();
    usher(&place, &["audit", "verify"]).code(3).says("entry 2 was removed");
}

#[test]
fn without_its_key_the_audit_is_kept_and_not_verified() {
    for kind in BOTH {
        let place = Workplace::new(kind, directory(2));
        place.usher(&["protect", "add", "zoom-main", "ceo@corp.example"]).succeeded();
        place.usher(&["audit", "list"]).succeeded().says("protection_added").says("not sealed yet");
        place.usher(&["audit", "verify"]).code(4).says("key");
        let _worker = worker(&place);
    }
}
