//! A receiver of webhooks: a real server in Python, which verifies each message with the Standard Webhooks library of PyPI. It
//! is installed once, beside the build.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;
use usher_simulator::zoom::{Population, Settings};

use crate::support::{Kind, Running, Workplace, wait_until};

pub const BOTH: [Kind; 2] = [Kind::Sqlite, Kind::Redis];
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
pub const OLD_SECRET: &str = "whsec_bXkgcHJldmlvdXMgc2VjcmV0IHRoYXQgaXMgb2xk";

fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        const MISSING: &str = "install Python 3.9 or later with its venv and pip modules, and reach PyPI";
        let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/webhooks.txt");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("real-clients/webhooks");
        let (python, installed) = (dir.join("bin/python"), dir.join("installed"));
        let wanted = fs::read_to_string(&list).unwrap();
        if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
            return python;
        }
        let run = |command: &mut Command| {
            let output = command.stdin(Stdio::null()).output().expect(MISSING);
            assert!(output.status.success(), "{}; {MISSING}", String::from_utf8_lossy(&output.stderr));
        };
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&dir));
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&list));
        fs::write(&installed, wanted).unwrap();
        python
    })
}

/// What it got in one request.
#[derive(Clone, Debug)]
pub struct Got {
    pub id: String,
    pub kind: String,
    pub data: Value,
    pub verified: bool,
    pub signatures: u64,
    pub status: u64,
    /// Seconds since 1970.
    pub at: f64,
}

pub struct Receiver {
    child: Option<Child>,
    dir: PathBuf,
    /// A certificate and its key, where it speaks TLS.
    tls: Option<(PathBuf, PathBuf)>,
    pub port: u16,
}

impl Receiver {
    /// Starts one whose files lie there.
    pub fn start(dir: &Path) -> Self {
        fs::write(dir.join("hook-secret"), format!("{SECRET}\n")).unwrap();
        fs::write(dir.join("hook-mode"), "204 0").unwrap();
        let mut receiver = Self { child: None, dir: dir.to_owned(), tls: None, port: 0 };
        receiver.up();
        receiver
    }

    /// Starts it again, with this certificate and its key.
    pub fn speak_tls(&mut self, certificate_and_key: (PathBuf, PathBuf)) {
        self.down();
        self.tls = Some(certificate_and_key);
        self.up();
    }

    /// Starts it where it is down, on the port that it had.
    pub fn up(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/webhook_receiver.py");
        let path = |name: &str| self.dir.join(name);
        let mut child = Command::new(python())
            .arg(script)
            .args([path("hook-secret"), path("hook-log"), path("hook-mode")])
            .arg(self.port.to_string())
            .args(self.tls.iter().flat_map(|(certificate, key)| [certificate, key]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.port =
            line.trim().strip_prefix("listening ").expect("the receiver did not start").parse().unwrap();
        self.child = Some(child);
    }

    /// Kills it: connections are refused from now on.
    pub fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// From now on it answers with this status, after so many seconds.
    pub fn answer(&self, mode: &str) {
        // In one step: the receiver reads it at any time.
        fs::write(self.dir.join("hook-mode.new"), mode).unwrap();
        fs::rename(self.dir.join("hook-mode.new"), self.dir.join("hook-mode")).unwrap();
    }

    /// The lines of a configuration that tell it everything.
    pub fn lines(&self) -> String {
        let secret = self.dir.join("hook-secret");
        format!(
            "[webhooks.ops]\nurl = \"http://127.0.0.1:{}/s3cret-path\"\nsecret = {{ file = {secret:?} }}\n\
             allow_private = true\n",
            self.port
        )
    }

    /// All that it got so far.
    pub fn got(&self) -> Vec<Got> {
        let text = fs::read_to_string(self.dir.join("hook-log")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
        let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|line| Got {
                id: line["id"].as_str().unwrap().to_owned(),
                kind: line["message"]["type"].as_str().unwrap_or_default().to_owned(),
                data: line["message"]["data"].clone(),
                verified: line["verified"].as_bool().unwrap(),
                signatures: line["signatures"].as_u64().unwrap(),
                status: line["status"].as_u64().unwrap(),
                at: line["at"].as_f64().unwrap(),
            })
            .collect()
    }

    /// What it got and took of a kind.
    pub fn taken(&self, kind: &str) -> Vec<Got> {
        self.got().into_iter().filter(|got| got.kind == kind && got.status < 300).collect()
    }

    /// Waits until it took one of this kind; sees that there is no second one.
    #[track_caller]
    pub fn one(&self, kind: &str) -> Got {
        wait_until(&format!("{kind}, of which there are {:?}", self.kinds()), || {
            !self.taken(kind).is_empty()
        });
        let mut taken = self.taken(kind);
        assert_eq!(taken.len(), 1, "{taken:?}");
        taken.remove(0)
    }

    fn kinds(&self) -> Vec<String> {
        self.got().into_iter().map(|got| got.kind).collect()
    }

    /// How often each message was taken.
    pub fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for got in self.got().into_iter().filter(|got| got.status < 300) {
            *times.entry(got.id).or_default() += 1;
        }
        times
    }

    #[track_caller]
    pub fn assert_verified(&self) {
        let got = self.got();
        assert!(!got.is_empty() && got.iter().all(|got| got.verified), "{got:?}");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.down();
    }
}

pub fn directory(users: u32) -> Settings {
    Settings { directory: Population { users, ..Population::default() }, ..Settings::default() }
}

/// A workplace and a receiver that is told everything; `lines`: more of the configuration.
pub fn place(kind: Kind, settings: Settings, lines: &str) -> (Workplace, Receiver) {
    let place = Workplace::with_config(kind, settings, lines);
    let receiver = Receiver::start(place.dir.path());
    let config = fs::read_to_string(place.path("usher.toml")).unwrap();
    // A short call, so that it is soon believed that an account goes on.
    let worker = "[worker]\ncall_timeout_seconds = 2\nlease_seconds = 4\n";
    // Without somebody who may call, nothing is served.
    let key = usher_shared::identity::PersonalToken::generate().unwrap().key().unwrap();
    let token = format!("[tokens.reader]\nkey = \"{key}\"\nroles = [\"read\"]\n");
    place.file("usher.toml", format!("{config}\n{worker}{token}\n{}", receiver.lines()));
    (place, receiver)
}

/// Submits these users for deactivation, by such a file; returns the run.
pub fn submit(place: &Workplace, users: &[usher_simulator::zoom::SimUser], more: &[&str]) -> String {
    let name = format!("leavers-{}.csv", users.first().map_or("none", |user| &user.email));
    let file = place.csv(&name, users);
    let mut words =
        vec!["submit", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    words.extend(more);
    place.usher(&words).succeeded().out.trim().to_owned()
}

pub fn worker(place: &Workplace) -> Running {
    place.start(&["worker"])
}

/// Stops it in order.
pub fn stop(mut worker: Running) {
    worker.signal("TERM");
    worker.end().succeeded();
}

/// Waits until the run is over.
pub fn over(place: &Workplace, run: &str) {
    wait_until("the run to be over", || {
        place.status(run)["pending"] == 0 && !place.status(run)["finished_at"].is_null()
    });
}
