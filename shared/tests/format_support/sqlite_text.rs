//! An SQLite file as SQL that makes it again.

use std::fmt::Write as _;

use rusqlite::Connection;

/// The whole file: its marks, its tables with their rows, its indexes.
pub fn write(conn: &Connection) -> String {
    let pragma =
        |name: &str| -> i64 { conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap() };
    let mut text = String::new();
    for mark in ["application_id", "user_version"] {
        writeln!(text, "PRAGMA {mark}={};", pragma(mark)).unwrap();
    }
    text.push_str("BEGIN TRANSACTION;\n");
    let parts = schema(conn);
    for (_, table, sql) in parts.iter().filter(|(kind, ..)| kind == "table") {
        // SQLite makes its own table where it is needed; its rows come last.
        if table != "sqlite_sequence" {
            writeln!(text, "{sql};").unwrap();
            rows(conn, table, &mut text);
        }
    }
    text.push_str("DELETE FROM sqlite_sequence;\n");
    rows(conn, "sqlite_sequence", &mut text);
    for (_, _, sql) in parts.iter().filter(|(kind, ..)| kind == "index") {
        writeln!(text, "{sql};").unwrap();
    }
    text.push_str("COMMIT;\n");
    text
}

fn schema(conn: &Connection) -> Vec<(String, String, String)> {
    let sql = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let mut select = conn.prepare(sql).unwrap();
    let parts = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    parts.collect::<Result<_, _>>().unwrap()
}

fn rows(conn: &Connection, table: &str, text: &mut String) {
    let mut columns = conn.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
    let columns: Vec<String> =
        columns.query_map([table], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let values: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
    // Ordered by what is written, so that the same rows are always the same text.
    let sql = format!("SELECT {} FROM {table} ORDER BY 1", values.join(" || ',' || "));
    let mut select = conn.prepare(&sql).unwrap();
    let rows = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for row in rows {
        writeln!(text, "INSERT INTO {table} VALUES({});", row.unwrap()).unwrap();
    }
}
