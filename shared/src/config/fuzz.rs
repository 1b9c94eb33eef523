//! Whatever is written into `usher.toml`, it is a configuration that can be used, or an error that says where, and shows no
//! secret. `tests/fuzz` runs it for longer.

use std::path::PathBuf;

use super::{AccountConfig, Config, ConfigError, StoreAddress};

/// Stands where people put secrets, rightly or wrongly.
const SECRET: &str = "hunter2hunter2";

/// Lines that hold the secret, and variables that do: (text, name of the variable, its value).
const PLACES: [(&str, &str, &str); 11] = [
    ("", "", ""),
    ("client_secret = \"hunter2hunter2\"\n", "", ""),
    ("client_secret = [\"hunter2hunter2\"]\n", "", ""),
    ("client_secret = { env = \"A\", value = \"hunter2hunter2\" }\n", "", ""),
    ("store = \"redis://usher:hunter2hunter2@127.0.0.1:6379\"\n", "", ""),
    ("store = \"redis://usher:hunter2hunter2@127.0.0.1:port\"\n", "", ""),
    ("store_password = \"hunter2hunter2\"\n", "", ""),
    ("base_url = \"http://usher:hunter2hunter2@api.example/v2\"\n", "", ""),
    ("", "USHER__ACCOUNTS__A__CLIENT_SECRET", "hunter2hunter2"),
    ("", "USHER__STORE_PASSWORD", "hunter2hunter2"),
    ("", "USHER__STORE", "redis://:hunter2hunter2@127.0.0.1:x"),
];

/// What holds of every configuration that is accepted.
fn check_good(config: &Config) {
    let worker = &config.worker;
    assert!((1..=100).contains(&worker.max_attempts) && (1..=1_000).contains(&worker.max_in_flight));
    assert!(worker.lease_seconds >= worker.call_timeout_seconds + 1.0 && worker.call_timeout_seconds >= 1.0);
    assert!(worker.drain_seconds >= 0.0 && worker.drain_seconds <= 3_600.0);
    for (name, account) in &config.accounts {
        let AccountConfig::Zoom(zoom) = account;
        for url in [&zoom.base_url, &zoom.token_url] {
            let host = url.host_str().unwrap_or_default();
            let stays = host == "localhost" || host.starts_with("127.") || host == "[::1]";
            assert!(url.scheme() == "https" || (url.scheme() == "http" && stays), "{url}");
        }
        assert!([zoom.light, zoom.medium].into_iter().flatten().all(|rate| rate > 0.0 && rate <= 10_000.0));
        assert!(zoom.protected.iter().all(|pattern| !pattern.as_str().trim().is_empty()));
        assert_eq!(config.account(name).unwrap(), account);
    }
    if let Some(store) = &config.store {
        let shown = store.to_string();
        match store {
            // The address as it is shown names the same store; but for the password it is the same.
            StoreAddress::Sqlite(path) => {
                let again: StoreAddress = shown.parse().unwrap();
                assert!(
                    matches!(again, StoreAddress::Sqlite(other) if other.as_path() == path.as_path()),
                    "{shown}"
                );
            }
            StoreAddress::Redis(_) => assert_eq!(shown.parse::<StoreAddress>().unwrap().to_string(), shown),
        }
    }
}

fn check_bad(error: &ConfigError) {
    let shown = error.to_string();
    assert!(
        !shown.trim().is_empty() && shown.chars().count() <= 2_000,
        "{} characters",
        shown.chars().count()
    );
}

/// An account's values as a person would have them come through TOML as they were.
fn check_written(text: &str) {
    let mut values = text.split('\n').map(str::to_owned);
    let mut next = || values.next().unwrap_or_default();
    let (account_id, client_id, variable) = (next(), next(), next());
    let protected: Vec<String> = values.filter(|pattern| !pattern.trim().is_empty()).collect();
    let mut zoom = toml::Table::new();
    for (key, value) in
        [("provider", "zoom"), ("account_id", &account_id), ("client_id", &client_id), ("plan", "pro")]
    {
        zoom.insert(key.to_owned(), value.into());
    }
    zoom.insert(
        "client_secret".to_owned(),
        toml::Table::from_iter([("env".to_owned(), variable.clone().into())]).into(),
    );
    zoom.insert("protected".to_owned(), protected.clone().into());
    let accounts = toml::Table::from_iter([("zoom-main".to_owned(), zoom.into())]);
    let whole = toml::Table::from_iter([("accounts".to_owned(), accounts.into())]).to_string();
    let config = Config::read(Some(PathBuf::from("usher.toml")), Some(&whole), &[]).unwrap();
    check_good(&config);
    let AccountConfig::Zoom(read) = config.account(&"zoom-main".parse().unwrap()).unwrap();
    assert_eq!(read.account_id, super::Value::Plain(account_id));
    assert_eq!(read.client_id, super::Value::Plain(client_id));
    assert_eq!(read.client_secret, super::SecretSource::Env(variable));
    let patterns: Vec<&str> = read.protected.iter().map(|pattern| pattern.as_str()).collect();
    assert_eq!(patterns, protected.iter().map(|pattern| pattern.trim()).collect::<Vec<_>>());
}

/// An input is a letter for where the secret stands, `0` to `9` for how much of the rest comes before it, and the text; or `=`
/// and the values of an account, a line each.
#[test]
fn any_text_is_a_good_configuration_or_an_error_without_a_secret() {
    bolero::check!(name = "config").with_iterations(5_000).for_each(|input: &[u8]| {
        if let Some(values) = input.strip_prefix(b"=") {
            return check_written(&String::from_utf8_lossy(values));
        }
        let [place, share, text @ ..] = input else { return };
        let text = String::from_utf8_lossy(text);
        if text.contains(SECRET) {
            return;
        }
        let (lines, name, value) = PLACES[usize::from(*place) % PLACES.len()];
        let lines_before = text.lines().count() * usize::from(share % 10) / 9;
        let mut whole: String = text.lines().take(lines_before).flat_map(|line| [line, "\n"]).collect();
        whole.push_str(lines);
        whole.extend(text.lines().skip(lines_before).flat_map(|line| [line, "\n"]));
        let env: Vec<_> =
            (!name.is_empty()).then(|| (name.to_owned(), value.to_owned())).into_iter().collect();
        let read = || Config::read(Some(PathBuf::from("usher.toml")), Some(&whole), &env);
        let shown = match read() {
            Ok(config) => {
                check_good(&config);
                let shown = format!("{config:?}");
                assert_eq!(shown, format!("{:?}", read().unwrap()), "read alike each time");
                shown
            }
            Err(error) => {
                check_bad(&error);
                format!("{error} {error:?}")
            }
        };
        assert!(!shown.contains(SECRET), "{shown}\n---\n{whole}");
    });
}
