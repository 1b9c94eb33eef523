//! Where a case takes place: a simulated Zoom in a process of its own, a store, and the real `usher` beside them.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};
use usher_producer::submit::{Description, Submitted, submit};
use usher_shared::{
    AccountName, Action, Outcome, Priority, Request, RunId, RunStatus,
    store::{SharedStore, redis::RedisStore},
};
use usher_simulator::zoom::{JournalLine, Report, Settings, SimUser};

use crate::{
    process::{Process, output, processor_time},
    redis_server::RedisServer,
};

/// Which store a case works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The embedded one.
    Sqlite,
    /// Redis.
    Redis,
}

/// The directory in which the release binary and this program lie.
pub fn build() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    Ok(this.parent().context("this program lies nowhere")?.to_owned())
}

/// A simulated Zoom in a process of its own.
#[derive(Debug)]
pub struct Simulator {
    process: Process,
    client: reqwest::Client,
    /// What stands for `https://api.zoom.us/v2`.
    pub base_url: String,
    /// What stands for `https://zoom.us/oauth/token`.
    pub token_url: String,
    control: String,
}

#[derive(Deserialize)]
struct Calls {
    calls: Vec<JournalLine>,
}

#[derive(Deserialize)]
struct Users {
    users: Vec<SimUser>,
}

impl Simulator {
    /// Starts `usher simulate zoom` with these settings, the journal on.
    pub async fn start(mut settings: Settings, dir: &Path) -> Result<Self> {
        settings.journal = true;
        let file = dir.join("simulator.toml");
        fs::write(&file, toml::to_string(&settings)?)?;
        let mut command = Command::new(build()?.join("usher"));
        let users = settings.directory.users.to_string();
        command.args(["simulate", "zoom", "--port", "0", "--users", &users, "--settings"]).arg(file);
        let mut process = Process::start("simulator", command.stdout(Stdio::piped()), dir)?;
        let out = process.stdout().context("the simulator has no output")?;
        let mut lines = BufReader::new(out).lines();
        let base_url = loop {
            let Some(line) = lines.next_line().await? else { bail!("simulator: {}", process.tail()) };
            if let Some(url) = line.strip_prefix("base_url = ") {
                break url.trim_matches('"').to_owned();
            }
        };
        let host = base_url.strip_suffix("/v2").context("the simulator's address has another form")?;
        let (token_url, control) = (format!("{host}/oauth/token"), format!("{host}/_control"));
        Ok(Self { process, client: reqwest::Client::new(), token_url, control, base_url })
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        let reply = self.client.get(format!("{}/{path}", self.control)).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&reply.bytes().await?)?)
    }

    /// Everything that happened, without the list of changes.
    pub async fn report(&self) -> Result<Report> {
        self.get("report?changes=false").await
    }

    /// Every call, by arrival. With `USHER_BENCH_JOURNALS` set, a copy goes to a file in that directory: for whoever
    /// wants to know where a share was lost.
    pub async fn journal(&self) -> Result<Vec<JournalLine>> {
        let calls = self.get::<Calls>("calls").await?.calls;
        if let Some(dir) = std::env::var_os("USHER_BENCH_JOURNALS") {
            let name = format!("{}.json", jiff::Timestamp::now().as_millisecond());
            fs::write(Path::new(&dir).join(name), serde_json::to_vec(&calls)?)?;
        }
        Ok(calls)
    }

    /// The addresses of the members about whom nothing is special: all but the owner.
    pub async fn members(&self) -> Result<Vec<String>> {
        let users = self.get::<Users>("users").await?.users;
        Ok(users
            .into_iter()
            .filter(|user| &*user.role_id == "2")
            .map(|user| user.email.to_string())
            .collect())
    }

    /// The vendor's ids by address.
    pub async fn ids(&self) -> Result<HashMap<String, String>> {
        let users = self.get::<Users>("users").await?.users;
        Ok(users
            .into_iter()
            .filter_map(|user| Some((user.email.to_string(), user.id?.to_string())))
            .collect())
    }

    /// Processor time that it has used so far.
    pub fn used(&self) -> Result<Duration> {
        processor_time(self.process.id().context("the simulator has ended")?)
    }

    /// Waits until so many status calls have been let in.
    pub async fn let_in(&self, at_least: u64) -> Result<()> {
        while self.report().await?.calls_with(crate::journal::STATUS, 204) < at_least {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }
}

/// A directory with a configuration for one account, a simulated Zoom, and a store.
#[derive(Debug)]
pub struct Ground {
    dir: tempfile::TempDir,
    /// The simulated Zoom.
    pub sim: Simulator,
    /// The Redis, unless the store is the embedded one.
    pub redis: Option<RedisServer>,
}

impl Ground {
    /// Sets everything up. The account's plan is `business`: 80 calls a second.
    pub async fn new(kind: Kind, settings: Settings) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let sim = Simulator::start(settings, dir.path()).await?;
        let redis = match kind {
            Kind::Redis => Some(RedisServer::start().await?),
            Kind::Sqlite => None,
        };
        let store = redis.as_ref().map_or_else(|| "sqlite:usher.db".to_owned(), RedisServer::url);
        fs::write(dir.path().join("secret"), "sim-secret\n")?;
        fs::write(
            dir.path().join("usher.toml"),
            format!(
                "store = {store:?}\ndata_dir = {data:?}\n[accounts.zoom-main]\nprovider = \"zoom\"\nbase_url = {base:?}\n\
                 token_url = {token:?}\naccount_id = \"sim-account\"\nclient_id = \"sim-client\"\n\
                 client_secret = {{ file = {secret:?} }}\nplan = \"business\"\n",
                data = dir.path().join("data"),
                base = sim.base_url,
                token = sim.token_url,
                secret = dir.path().join("secret"),
            ),
        )?;
        Ok(Self { dir, sim, redis })
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `usher` with these words, in this directory and with no environment but its own.
    pub fn usher(&self, words: &[&str]) -> Result<Command> {
        let mut command = Command::new(build()?.join("usher"));
        command.args(words).current_dir(self.dir()).env_clear().env("HOME", self.dir()).stdout(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        Ok(command)
    }

    /// A CSV with these addresses.
    pub fn csv(&self, users: &[String]) -> Result<String> {
        let path = self.dir().join("leavers.csv");
        let mut text = "email\n".to_owned();
        for user in users {
            writeln!(text, "{user}")?;
        }
        fs::write(&path, text)?;
        path.to_str().map(str::to_owned).context("the temporary directory has a strange name")
    }

    /// Submits a CSV as its own process; returns the run.
    pub async fn submit(&self, file: &str, more: &[&str]) -> Result<RunId> {
        let words = ["submit", file, "-a", "zoom-main", "--action", "deactivate", "--yes", "--quiet"];
        let printed =
            output("usher submit", self.usher(&[&words, more].concat())?.stdout(Stdio::piped())).await?;
        Ok(printed.parse()?)
    }

    /// Starts so many `usher worker` processes, and waits until they work.
    pub async fn workers(&self, number: usize) -> Result<Vec<Process>> {
        let mut workers = vec![];
        for worker in 1..=number {
            let name = format!("worker-{worker}");
            let mut command = self.usher(&["worker", "--name", &name])?;
            workers.push(Process::start(&name, &mut command, self.dir())?);
        }
        for worker in &mut workers {
            worker.says("working until told to stop").await?;
        }
        Ok(workers)
    }

    /// The Redis of this ground.
    pub fn redis(&self) -> Result<&RedisServer> {
        self.redis.as_ref().context("this case has no Redis")
    }

    /// The store as another service would open it.
    pub async fn store(&self) -> Result<SharedStore> {
        Ok(Arc::new(RedisStore::connect(&self.redis()?.url(), None).await?))
    }
}

/// Submits users from this process, by the producer crate; when it returns, the run is sealed.
pub async fn submit_here(store: &SharedStore, users: Vec<String>, priority: Priority) -> Result<RunId> {
    let account: AccountName = "zoom-main".parse()?;
    let description = Description { priority, ..Description::new(account, "bench") };
    let mut requests = vec![];
    for (line, user) in (1..).zip(users) {
        requests.push(Request {
            restore: None,
            line,
            user: user.parse()?,
            action: Action::Deactivate,
            reason: None,
        });
    }
    match submit(store, description, requests).await? {
        Submitted::New { run, .. } => Ok(run),
        Submitted::Existing { run } => bail!("run {run} was there already"),
    }
}

/// Waits until a run is over, looking so often.
pub async fn until_over(store: &SharedStore, run: &RunId, every: Duration) -> Result<RunStatus> {
    loop {
        let status = store.run(run).await?.with_context(|| format!("run {run} is gone"))?;
        if status.phase.is_over() {
            return Ok(status);
        }
        tokio::time::sleep(every).await;
    }
}

/// Whether every user of a run has been changed.
pub fn all_applied(status: &RunStatus) -> Result<()> {
    let applied = status.counters.of(Outcome::Applied);
    ensure!(
        applied == status.counters.total,
        "{applied} of {} users were changed: {:?}",
        status.counters.total,
        status.counters.outcomes
    );
    Ok(())
}

/// Ends processes, all at once.
pub async fn stop(processes: Vec<Process>) -> Result<()> {
    for ended in futures::future::join_all(processes.into_iter().map(Process::stop)).await {
        ended?;
    }
    Ok(())
}
