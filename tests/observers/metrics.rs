//! Metrics, read by Prometheus' own Python client, and held against what happened and what is documented.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde::Deserialize;
use usher_api::observe::names;
use usher_shared::Metric;
use usher_simulator::zoom::{Limits, Population, Settings};

use crate::{
    served::{Process, Token, get, place, placed, start},
    support::{Kind, wait_until},
};

const LISTS: [&[Metric]; 5] =
    [usher_worker::metrics::ALL, usher_webhooks::metrics::ALL, names::SERVER, names::STORE, names::PROCESS];

/// Every metric that there is.
fn all() -> Vec<&'static Metric> {
    LISTS.into_iter().flatten().collect()
}

#[derive(Debug, Deserialize)]
struct Family {
    r#type: String,
    help: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

type Families = BTreeMap<String, Family>;

/// Python with Prometheus' client library, installed once, beside the build.
fn python() -> &'static PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        const MISSING: &str = "install Python 3.9 or later with its venv and pip modules (Debian: apt-get install \
                               python3 python3-venv), and reach PyPI";
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics-client");
        let list = clients().join("metrics-requirements.txt");
        let (python, mark) = (dir.join("bin/python"), dir.join("installed"));
        let wanted = fs::read_to_string(&list).unwrap();
        if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
            return python;
        }
        let run = |command: &mut Command| assert!(command.status().expect(MISSING).success(), "{MISSING}");
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run(Command::new(&python).args(pip).arg(&list));
        fs::write(mark, wanted).unwrap();
        python
    })
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Has Prometheus' own tool look at the text, where it is installed.
fn ask_promtool(text: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else { return };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

/// Reads the text format.
fn read(text: &str) -> Families {
    ask_promtool(text);
    let mut reader = Command::new(python())
        .arg(clients().join("read_metrics.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let read = reader.wait_with_output().unwrap();
    assert!(read.status.success(), "not read:\n{text}");
    serde_json::from_slice(&read.stdout).unwrap()
}

/// The value of the series with these labels, and whatever others.
fn value(families: &Families, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let (family, _) =
        families.iter().find(|(family, _)| name == *family || name.starts_with(&format!("{family}_")))?;
    let is = |known: &BTreeMap<String, String>| {
        labels.iter().all(|(k, v)| known.get(*k).is_some_and(|known| known == v))
    };
    let samples = families[family].samples.iter();
    samples
        .filter(|(sample, known, _)| sample == name && is(known))
        .map(|(_, _, value)| *value)
        .reduce(|a, b| a + b)
}

/// Each family is one that is documented, of that type, with that help and those labels.
fn assert_documented(families: &Families) {
    for (name, family) in families {
        let all = all();
        let metric =
            all.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name} is in no list"));
        assert_eq!(
            (family.r#type.as_str(), family.help.as_str()),
            (metric.kind.as_str(), metric.help),
            "{name}"
        );
        for (_, labels, _) in &family.samples {
            let mut found: Vec<&str> =
                labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
            let mut expected = metric.labels.to_vec();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{name}");
        }
    }
}

fn the_figures_are_those_of_the_run(kind: Kind) {
    let (reader, narrow) =
        (Token::new("prometheus", "\"read\"", None), Token::new("hr", "\"read\"", Some("zoom-main")));
    let submitter = Token::new("submitter", "\"submit\"", None);
    let place = place(kind, 80, &[&reader, &narrow, &submitter], "");
    let server = Process::serve(&place);
    let worker = Process::worker(&place);
    let file = place.csv("leavers.csv", &place.ordinary()[..40]);
    let words =
        ["submit", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    let run = place.usher(&words).succeeded().out.trim().to_owned();
    wait_until("the run's end", || place.status(&run)["state"] == "finished");

    let text = get(worker.metrics.unwrap(), "/metrics", None, &[]).ok().text();
    assert!(!text.contains('@'), "no addresses of users");
    let families = read(&text);
    assert_documented(&families);
    let zoom = ("account", "zoom-main");
    let is = |name: &str, labels: &[(&str, &str)], expected: f64| {
        let found = value(&families, name, &[&[zoom], labels].concat());
        assert_eq!(found, Some(expected), "{name} {labels:?}\n{text}");
    };
    is("usher_jobs_total", &[("outcome", "applied"), ("action", "deactivate")], 40.0);
    is("usher_attempts_total", &[("verdict", "applied")], 40.0);
    is("usher_vendor_calls_total", &[("call", "apply"), ("label", "light"), ("status", "2xx")], 40.0);
    is("usher_vendor_calls_total", &[("call", "token"), ("status", "2xx")], 1.0);
    is("usher_vendor_call_seconds_count", &[("label", "light")], 40.0);
    is("usher_vendor_call_seconds_bucket", &[("label", "light"), ("le", "+Inf")], 40.0);
    is("usher_leases_lost_total", &[], 0.0);
    is("usher_vendor_refusals_total", &[("label", "light")], 0.0);
    is("usher_calls_planned_per_second", &[("label", "light")], 80.0);
    is("usher_account_held", &[("reason", "credentials")], 0.0);
    is("usher_resolves_total", &[("result", "ok")], 1.0);
    is("usher_token_refreshes_total", &[("result", "ok")], 1.0);
    let allowed = value(&families, "usher_calls_allowed_per_second", &[zoom, ("label", "light")]).unwrap();
    assert!((70.0..80.0).contains(&allowed), "{allowed}");
    assert_eq!(value(&families, "usher_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert!(value(&families, "process_resident_memory_bytes", &[]).unwrap() > 1e6);
    assert!(value(&families, "process_cpu_seconds_total", &[]).unwrap() > 0.0);

    // A run that waits shows in the queue of the server, which asks the store.
    drop(worker);
    let other = place.csv("others.csv", &place.ordinary()[40..47]);
    let words =
        ["submit", other.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    let words = [&words[..], &["--priority", "urgent"]].concat();
    place.usher(&words).succeeded();
    let path = "/metrics";
    assert_eq!(server.get(path, None, &[]).status, 401);
    assert_eq!(server.get(path, Some(&submitter), &[]).status, 403);
    assert_eq!(server.get(path, Some(&narrow), &[]).status, 403);
    let mut text = String::new();
    wait_until("a look at the store that is new", || {
        text = server.get(path, Some(&reader), &[]).ok().text();
        text.contains("priority=\"urgent\",state=\"pending\"} 7")
    });
    assert!(!text.contains('@') && !text.contains(&run), "neither users nor runs");
    let families = read(&text);
    assert_documented(&families);
    let is = |name: &str, labels: &[(&str, &str)], expected: f64| {
        assert_eq!(value(&families, name, labels), Some(expected), "{name} {labels:?}\n{text}");
    };
    is("usher_queue_jobs", &[zoom, ("priority", "urgent"), ("state", "pending")], 7.0);
    is("usher_queue_jobs", &[zoom, ("priority", "bulk")], 0.0);
    is("usher_runs", &[zoom, ("state", "resolving")], 1.0);
    is("usher_runs", &[zoom, ("state", "running")], 0.0);
    is("usher_store_up", &[], 1.0);
    is("usher_http_requests_total", &[("path", "/metrics"), ("status", "403")], 2.0);
    is("usher_http_requests_total", &[("path", "/metrics"), ("status", "401"), ("method", "GET")], 1.0);
    assert!(value(&families, "usher_queue_oldest_seconds", &[zoom, ("priority", "urgent")]).unwrap() > 0.0);
    let open = get(server.metrics.unwrap(), path, None, &[]).ok();
    assert!(open.head.contains("text/plain; version=0.0.4"), "{}", open.head);
    assert_eq!(value(&read(&open.text()), "usher_store_up", &[]), Some(1.0));
    assert_eq!(get(server.metrics.unwrap(), "/healthz", None, &[]).status, 200);
}

#[test]
fn prometheus_reads_the_figures_of_a_run_on_the_embedded_store() {
    the_figures_are_those_of_the_run(Kind::Sqlite);
}

#[test]
fn prometheus_reads_the_figures_of_a_run_on_redis() {
    the_figures_are_those_of_the_run(Kind::Redis);
}

#[test]
fn a_store_that_is_gone_shows_as_down_and_takes_nothing_else_away() {
    let reader = Token::new("prometheus", "\"read\"", None);
    let mut place = place(Kind::Redis, 20, &[&reader], "");
    let server = Process::serve(&place);
    assert!(server.get("/metrics", Some(&reader), &[]).ok().text().contains("\nusher_store_up 1\n"));
    place.redis.as_mut().unwrap().kill();
    wait_until("the store to be seen as gone", || {
        let text = server.get("/metrics", Some(&reader), &[]).ok().text();
        text.contains("\nusher_store_up 0\n")
            && text.contains("usher_build_info")
            && !text.contains("usher_queue_jobs")
    });
}

#[test]
fn a_server_that_works_tells_both_and_refusals_are_those_that_the_vendor_counted() {
    let reader = Token::new("prometheus", "\"read\"", None);
    let limits = Limits { light: Some(20), ..Limits::default() };
    let directory = Population { users: 80, ..Population::default() };
    // The configuration says business, which is 80 calls a second: the vendor refuses until the rate has been learnt.
    let place = placed(Kind::Sqlite, Settings { directory, limits, ..Settings::default() }, &[&reader], "");
    let server = start(&place, &["serve", "--work", "--listen", "127.0.0.1:0"], "serving until told to stop");
    let file = place.csv("leavers.csv", &place.ordinary()[..60]);
    let words =
        ["submit", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    let run = place.usher(&words).succeeded().out.trim().to_owned();
    wait_until("the run's end", || place.status(&run)["state"] == "finished");
    let families = read(&server.get("/metrics", Some(&reader), &[]).ok().text());
    assert_documented(&families);
    let account = ("account", "zoom-main");
    let is = |name: &str, labels: &[(&str, &str)]| value(&families, name, labels).unwrap_or_default();
    assert!((is("usher_jobs_total", &[account, ("outcome", "applied")]) - 60.0).abs() < 0.5);
    let refused = is("usher_vendor_refusals_total", &[account, ("label", "light")]);
    #[expect(clippy::cast_precision_loss, reason = "some tens")]
    let counted = place.sim.report().throttled_calls() as f64;
    assert!(refused > 0.0 && (refused - counted).abs() < 0.5, "{refused} here, {counted} at the vendor");
    assert!((is("usher_snoozes_total", &[account, ("reason", "throttled")]) - refused).abs() < 0.5);
    assert!((is("usher_attempts_total", &[account, ("verdict", "throttled")]) - refused).abs() < 0.5);
    assert!(
        (is("usher_store_up", &[]) - 1.0).abs() < 0.5,
        "the store's figures are there beside the worker's"
    );
}

/// The rows of the table in docs/metrics.md.
fn table(metrics: &[Metric]) -> String {
    let row = |metric: &Metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        format!(
            "| `{}` | {} | {} | {} |\n",
            metric.name,
            metric.kind.as_str(),
            labels.join(", "),
            metric.help
        )
    };
    let head = "| Metric | Type | Labels | What it tells |\n|---|---|---|---|\n";
    metrics.iter().fold(head.to_owned(), |text, metric| text + &row(metric))
}

#[test]
fn the_page_of_metrics_names_each_as_it_is_exported() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    for metrics in LISTS {
        let table = table(metrics);
        assert!(page.contains(&table), "docs/metrics.md should have this table:\n{table}");
    }
}

#[test]
fn the_rules_of_the_example_ask_for_metrics_that_there_are() {
    let rules = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.yml")).unwrap();
    let mut asked = 0;
    for word in rules
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("usher_"))
    {
        let word = word.trim_end_matches("_bucket");
        assert!(all().iter().any(|metric| metric.name == word), "{word} is no metric");
        asked += 1;
    }
    assert!(asked >= 3, "{rules}");
    let checked = Command::new(python())
        .arg(clients().join("read_alerts.py"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.yml"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(String::from_utf8_lossy(&checked.stdout).trim(), "3");
}
