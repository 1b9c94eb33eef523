//! `USHER__SECTION__KEY`: environment variables over the configuration file.

use toml::{Table, Value};

const PREFIX: &str = "USHER__";

/// Puts every `USHER__A__B` of `env` into `table` as `a.b`, and returns the names of those that were put in.
///
/// A part that differs from a key already there only in case and in `-` for `_` means that key, since a shell variable can't have a
/// dash. A value is read as TOML where it is TOML (`30`, `true`, `{ env = "X" }`, `["a"]`), else as a text.
pub(super) fn apply(table: &mut Table, env: &[(String, String)]) -> Vec<String> {
    let mut applied = Vec::new();
    for (name, value) in env {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let parts: Vec<&str> = path.split("__").collect();
        put(table, &parts, read(value));
        applied.push(name.clone());
    }
    applied
}

fn put(table: &mut Table, path: &[&str], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    let key = matching_key(table, first);
    if rest.is_empty() {
        table.insert(key, value);
        return;
    }
    // A section stands over a plain value of the same name; the reading that follows says so if that is wrong.
    let section = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
    if !section.is_table() {
        *section = Value::Table(Table::new());
    }
    if let Value::Table(section) = section {
        put(section, rest, value);
    }
}

fn matching_key(table: &Table, part: &str) -> String {
    let folded = part.to_ascii_lowercase();
    table.keys().find(|key| key.replace('-', "_") == folded).cloned().unwrap_or(folded)
}

fn read(text: &str) -> Value {
    toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| if table.len() == 1 { table.remove("value") } else { None })
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_would_smuggle_in_other_keys_is_a_text() {
        assert_eq!(read("1\nother = 2"), Value::String("1\nother = 2".into()));
        assert_eq!(read("30"), Value::Integer(30));
        assert_eq!(read("redis://x"), Value::String("redis://x".into()));
    }
}
