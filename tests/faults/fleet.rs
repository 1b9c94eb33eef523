//! Real worker processes, started again at once after a kill, as a supervisor would.

use std::{
    fs::{self, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
};

use crate::{
    chronicle::{Chronicle, Lasting, What},
    support::{Workplace, wait_until},
};

/// What a worker says when it works.
const READY: &str = "working until told to stop";

/// Where one worker stands: its name, and the ways by which it reaches the store and the vendor.
#[derive(Clone, Debug)]
pub struct Post {
    /// Its name, as attempts carry it.
    pub name: String,
    /// The store's address as this worker sees it.
    pub store: String,
    /// The vendor's.
    pub vendor: SocketAddr,
    /// What its environment has besides.
    pub env: Vec<(String, String)>,
}

impl Post {
    /// A worker that reaches both straight.
    pub fn straight(place: &Workplace, name: &str) -> Self {
        Self { name: name.to_owned(), store: place.store_address(), vendor: place.sim.addr(), env: vec![] }
    }

    /// The same with its store behind this port.
    pub fn store_by(self, proxy: SocketAddr) -> Self {
        Self { store: format!("redis://{proxy}"), ..self }
    }

    /// The same with its vendor behind this port.
    pub fn vendor_by(self, vendor: SocketAddr) -> Self {
        Self { vendor, ..self }
    }
}

/// Real worker processes. Killed, each by its own id, when dropped; their logs are shown where a scenario fails.
#[derive(Debug)]
pub struct Fleet {
    chronicle: Arc<Chronicle>,
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    post: Post,
    dir: PathBuf,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    /// How often it was started.
    lives: usize,
    stopped: Option<Lasting>,
}

impl Fleet {
    /// Starts so many workers called `w1`, `w2` ..., and waits until they work.
    pub fn start(place: &Workplace, chronicle: &Arc<Chronicle>, workers: usize) -> Self {
        let posts = (1..=workers).map(|n| Post::straight(place, &format!("w{n}"))).collect();
        Self::start_at(place, chronicle, posts)
    }

    /// Starts a worker at each of these posts, and waits until they work.
    pub fn start_at(place: &Workplace, chronicle: &Arc<Chronicle>, posts: Vec<Post>) -> Self {
        let workers = posts.into_iter().map(|post| {
            let (config, log) = (format!("{}.toml", post.name), format!("{}.log", post.name));
            let config = place.write_config(&config, &post.store, post.vendor);
            let (dir, log) = (place.dir.path().to_owned(), place.path(&log));
            let mut worker = Worker { post, dir, config, log, child: None, lives: 0, stopped: None };
            worker.spawn();
            worker
        });
        let fleet = Self { chronicle: Arc::clone(chronicle), workers: workers.collect() };
        fleet.wait_until_ready();
        fleet
    }

    /// How many workers there are.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Waits until every worker works.
    pub fn wait_until_ready(&self) {
        for worker in &self.workers {
            wait_until(&format!("{} to work", worker.post.name), || worker.is_ready());
        }
    }

    /// Kills a worker, ready or not, and starts it again at once.
    pub fn kill(&mut self, place: usize) {
        self.kill_for_good(place);
        self.workers[place].spawn();
    }

    /// Kills a worker; nobody starts it again.
    pub fn kill_for_good(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        let mut child = worker.child.take().expect("it runs");
        let lasting = self.chronicle.begin(What::Killed, Some(&worker.post.name));
        child.kill().unwrap();
        child.wait().unwrap();
        self.chronicle.end(&lasting);
        if let Some(stopped) = worker.stopped.take() {
            self.chronicle.end(&stopped);
        }
    }

    /// Lets a worker stand still.
    pub fn stop(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        worker.stopped = Some(self.chronicle.begin(What::Stopped, Some(&worker.post.name)));
        worker.signal("STOP");
    }

    /// Lets it go on.
    pub fn go_on(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        worker.signal("CONT");
        let stopped = worker.stopped.take().expect("it was stopped");
        self.chronicle.end(&stopped);
    }

    /// Asks a worker to end (SIGTERM).
    pub fn ask_to_end(&mut self, place: usize) {
        self.workers[place].signal("TERM");
    }

    /// Waits for the end of a worker that was asked to.
    pub fn ended(&mut self, place: usize) -> ExitStatus {
        let worker = &mut self.workers[place];
        let mut child = worker.child.take().expect("it runs");
        let mut status = None;
        wait_until(&format!("the end of {}", worker.post.name), || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Starts a worker that has ended.
    pub fn start_again(&mut self, place: usize) {
        self.workers[place].spawn();
    }

    /// The name of a worker.
    pub fn name(&self, place: usize) -> &str {
        &self.workers[place].post.name
    }

    /// What a worker has said, in all its lives.
    pub fn log(&self, place: usize) -> String {
        self.workers[place].said()
    }

    /// Waits until a worker has said these words.
    pub fn wait_for_words(&self, place: usize, words: &str) {
        let name = &self.workers[place].post.name;
        wait_until(&format!("{name} to say {words:?}"), || self.log(place).contains(words));
    }

    /// Asserts that nobody ended but whom the scenario killed, and that nobody panicked.
    pub fn assert_all_alive(&mut self) {
        for worker in &mut self.workers {
            let name = &worker.post.name;
            if let Some(child) = &mut worker.child {
                let ended = child.try_wait().unwrap();
                assert!(ended.is_none(), "{name} ended by itself: {ended:?}\n{}", worker.said());
            }
            assert!(!worker.said().contains("panicked"), "{name} panicked\n{}", worker.said());
        }
    }
}

impl Worker {
    fn spawn(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_usher"));
        command.args(["worker", "--name", &self.post.name, "--config"]).arg(&self.config);
        command.current_dir(&self.dir).env_clear().env("HOME", &self.dir);
        // So that a failure can be looked at more closely.
        command.envs(std::env::vars_os().filter(|(name, _)| name == "USHER_LOG"));
        command.envs(self.post.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        self.lives += 1;
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether it has said so in this life.
    fn is_ready(&self) -> bool {
        self.said().matches(READY).count() >= self.lives
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            if let Some(mut child) = worker.child.take() {
                drop(child.kill());
                drop(child.wait());
            }
            if std::thread::panicking() {
                eprintln!("---- {} ----\n{}", worker.post.name, tail(&worker.log));
            }
        }
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    const LINES: usize = 60;
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let from = text.lines().count().saturating_sub(LINES);
    text.lines().skip(from).collect::<Vec<_>>().join("\n")
}
