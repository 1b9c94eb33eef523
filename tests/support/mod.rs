//! What the end-to-end tests share: a place to run the real binary in, a simulated Zoom beside it, and a store.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use usher_redis_server::{Durability, RedisServer};
use usher_simulator::zoom::{Settings, SimUser, Status, ZoomSim};

/// Long enough for a slow machine; a test that hangs ends here.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A temporary directory with a configuration, a simulated Zoom, and a store of the kind asked for.
pub struct Workplace {
    pub dir: tempfile::TempDir,
    pub sim: ZoomSim,
    pub redis: Option<RedisServer>,
    account_lines: String,
    runtime: tokio::runtime::Runtime,
}

/// Which store a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Redis,
}

/// What a workplace is made of.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Which store.
    pub kind: Kind,
    /// How a Redis keeps what it is told.
    pub durability: Durability,
    /// More words of the redis-server's command line.
    pub redis_options: Vec<&'static str>,
    /// The simulated Zoom.
    pub settings: Settings,
    /// More lines in the account's table; another table may follow them.
    pub account_lines: String,
}

impl Layout {
    /// The usual: a Redis that flushes before each reply.
    pub fn new(kind: Kind, settings: Settings) -> Self {
        let account_lines = String::new();
        Self { kind, durability: Durability::Always, redis_options: vec![], settings, account_lines }
    }
}

impl Workplace {
    /// A workplace whose account is called `zoom-main`, on the plan `business`.
    pub fn new(kind: Kind, settings: Settings) -> Self {
        Self::with_config(kind, settings, "")
    }

    /// The same with more lines in the account's table.
    pub fn with_config(kind: Kind, settings: Settings, account_lines: &str) -> Self {
        Self::laid_out(Layout { account_lines: account_lines.to_owned(), ..Layout::new(kind, settings) })
    }

    /// A workplace laid out like this.
    pub fn laid_out(layout: Layout) -> Self {
        let Layout { kind, durability, redis_options, settings, account_lines } = layout;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sim = runtime.block_on(ZoomSim::start(settings)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let redis = (kind == Kind::Redis).then(|| RedisServer::start(durability, &redis_options));
        let place = Self { dir, sim, redis, account_lines, runtime };
        place.file("secret", "sim-secret\n");
        place.write_config("usher.toml", &place.store_address(), place.sim.addr());
        place
    }

    /// The store's address, as the configuration has it.
    pub fn store_address(&self) -> String {
        self.redis.as_ref().map_or("sqlite:usher.db".to_owned(), RedisServer::url)
    }

    /// Writes a configuration that reaches the store and the vendor by these addresses; returns its path.
    pub fn write_config(&self, name: &str, store: &str, vendor: SocketAddr) -> PathBuf {
        let (data, secret) = (self.path("data"), self.path("secret"));
        let lines = &self.account_lines;
        self.file(
            name,
            format!(
                "store = {store:?}\ndata_dir = {data:?}\n[accounts.zoom-main]\nprovider = \"zoom\"\n\
                 base_url = \"http://{vendor}/v2\"\ntoken_url = \"http://{vendor}/oauth/token\"\n\
                 account_id = \"sim-account\"\nclient_id = \"sim-client\"\n\
                 client_secret = {{ file = {secret:?} }}\nplan = \"business\"\n{lines}\n",
            ),
        )
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The account's name.
    pub fn account(&self) -> usher_shared::AccountName {
        "zoom-main".parse().unwrap()
    }

    /// The store, opened beside the commands.
    pub fn store(&self) -> usher_shared::store::SharedStore {
        use usher_shared::{SystemClock, store};
        match &self.redis {
            Some(redis) => std::sync::Arc::new(
                self.block_on(store::redis::RedisStore::connect(&redis.url(), None)).unwrap(),
            ),
            None => {
                let path = self.path("data/usher.db");
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::sync::Arc::new(
                    store::sqlite::SqliteStore::open(&path, std::sync::Arc::new(SystemClock)).unwrap(),
                )
            }
        }
    }

    /// Waits for a future.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Puts these lines of the configuration in place of those.
    pub fn configure(&self, instead_of: &str, lines: &str) {
        let config = fs::read_to_string(self.path("usher.toml")).unwrap();
        assert!(config.contains(instead_of), "{config}");
        self.file("usher.toml", config.replace(instead_of, lines));
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A CSV with the addresses of these users.
    pub fn csv(&self, name: &str, users: &[SimUser]) -> PathBuf {
        let mut text = "email\n".to_owned();
        for user in users {
            writeln!(text, "{}", user.email).unwrap();
        }
        self.file(name, text)
    }

    /// The users of the simulator that are neither the owner nor in trouble.
    pub fn ordinary(&self) -> Vec<SimUser> {
        let mut users = self.sim.users();
        users.retain(|user| user.trouble == usher_simulator::zoom::Trouble::None && &*user.role_id == "2");
        users
    }

    /// `usher` with these words, in this workplace, not yet started.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_usher"));
        command
            .args(words)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null());
        command
    }

    /// Runs `usher` to its end.
    pub fn usher(&self, words: &[&str]) -> Ended {
        Ended::of(self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(), words)
    }

    /// Starts `usher` and leaves it running.
    pub fn start(&self, words: &[&str]) -> Running {
        let child = self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running { child: Some(child), words: words.join(" ") }
    }

    /// `usher status RUN --json`
    pub fn status(&self, run: &str) -> Value {
        self.usher(&["status", run, "--json"]).succeeded().json()
    }

    /// Every user of the report as (user, outcome), in file order.
    pub fn outcomes(&self, run: &str) -> Vec<(String, String)> {
        let rows = self.usher(&["report", run, "--format", "json"]).succeeded().json();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        rows.as_array().unwrap().iter().map(|row| (text(row, "user"), text(row, "outcome"))).collect()
    }

    /// The newest run's id.
    pub fn newest_run(&self) -> String {
        let runs = self.usher(&["runs", "--json"]).succeeded().json();
        runs[0]["run"].as_str().unwrap_or_else(|| panic!("no run in {runs}")).to_owned()
    }

    /// Waits until the simulator has carried out so many changes.
    pub fn wait_for_changes(&self, at_least: usize) {
        wait_until("changes at the simulator", || self.sim.report().changes.len() >= at_least);
    }

    /// Asserts that every user whom a finished run of deactivations says it deactivated is inactive, and that who was not
    /// found is not there.
    pub fn assert_directory_agrees(&self, run: &str) {
        for (user, outcome) in self.outcomes(run) {
            let Some(found) = self.sim.user(&user) else {
                assert_eq!(outcome, "not_found", "{user}");
                continue;
            };
            if matches!(outcome.as_str(), "applied" | "already_applied") {
                assert_eq!(found.status, Status::Inactive, "{user} is {outcome}");
            }
        }
    }
}

/// Polls until something is so; fails after [`PATIENCE`].
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    words: String,
}

impl Ended {
    fn of(child: Child, words: &[&str]) -> Self {
        Self::from(child.wait_with_output().unwrap(), &words.join(" "))
    }

    /// Runs this command to its end.
    pub fn run(mut command: Command, words: &[&str]) -> Self {
        Self::from(command.output().unwrap(), &words.join(" "))
    }

    fn from(output: Output, words: &str) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            words: words.to_owned(),
        }
    }

    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, Some(expected), "usher {}\n{}\n{}", self.words, self.out, self.err);
        self
    }

    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        let all = format!("{}\n{}", self.out, self.err);
        assert!(all.contains(words), "usher {} does not say {words:?}:\n{all}", self.words);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("usher {}: {error}\n{}", self.words, self.out))
    }
}

/// A process that is still running; killed by its own id when dropped.
pub struct Running {
    child: Option<Child>,
    words: String,
}

impl Running {
    fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub fn signal(&mut self, signal: &str) {
        let id = self.child().id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child().try_wait().unwrap().is_some()
    }

    pub fn kill(mut self) {
        self.child().kill().unwrap();
        self.child().wait().unwrap();
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let child = self.child.take().unwrap();
        Ended::from(child.wait_with_output().unwrap(), &self.words)
    }

    /// Waits for a line on its standard output that begins so, and returns the line.
    pub fn line(&mut self, begins: &str) -> String {
        let out = self.child().stdout.take().unwrap();
        let mut lines = BufReader::new(out).lines();
        let line = lines.find_map(|line| line.ok().filter(|line| line.starts_with(begins)));
        line.unwrap_or_else(|| panic!("usher {} never said {begins:?}", self.words))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether a file is its owner's alone.
pub fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0
}
