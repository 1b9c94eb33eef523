//! A served usher, and a client of its API.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Response, StatusCode, header};
use serde_json::Value;
use usher_shared::identity::PersonalToken;

use crate::{ground::Ground, process::Process};

/// Every call's answer is there by then, or the case has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// `usher serve`, and a token that may do everything.
#[derive(Debug)]
pub struct Served {
    process: Process,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    token: String,
}

impl Served {
    /// Starts it on this ground, with these words more. Its limit of calls a token is out of the way.
    pub async fn start(ground: &Ground, more: &[&str]) -> Result<Self> {
        let token = PersonalToken::generate()?;
        let path = ground.dir().join("usher.toml");
        let config = fs::read_to_string(&path)?;
        let lines = format!(
            "[tokens.bench]\nkey = \"{}\"\nroles = [\"submit\", \"operate\", \"approve\", \"read\"]\n\
             [serve]\ncalls_per_second = 100000\n",
            token.key()?
        );
        fs::write(&path, format!("{config}{lines}"))?;
        let mut command = ground.usher(&[&["serve", "--listen", "127.0.0.1:0"], more].concat())?;
        let mut process = Process::start("usher serve", &mut command, ground.dir())?;
        process.says("serving until told to stop").await?;
        let log = process.log()?;
        let mut words =
            log.lines().filter(|line| line.contains("serving until")).flat_map(str::split_whitespace);
        let url = words.find_map(|word| word.strip_prefix("address=")).context("it does not say where")?;
        Ok(Self { url: url.to_owned(), process, token: token.reveal() })
    }

    /// The process.
    pub fn pid(&self) -> Result<u32> {
        self.process.id().with_context(|| format!("usher serve has ended: {}", self.process.tail()))
    }

    /// A file with the header that curl sends, so that the token is in no command line.
    pub fn header_file(&self, ground: &Ground) -> Result<String> {
        let path = ground.dir().join("authorization");
        fs::write(&path, format!("Authorization: Bearer {}\n", self.token))?;
        path.to_str().map(str::to_owned).context("the temporary directory has a strange name")
    }

    /// A client with one connection of its own.
    pub fn client(&self) -> Result<Client> {
        let mut headers = header::HeaderMap::new();
        let mut bearer = header::HeaderValue::try_from(format!("Bearer {}", self.token))?;
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(None)
            .no_proxy()
            .tcp_nodelay(true);
        Ok(Client { http: http.build()?, url: self.url.clone() })
    }

    /// Ends it.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

/// A client of the API with one connection.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
}

/// What a submission is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The run.
    pub run: String,
    /// Whether it is a new one.
    pub created: bool,
}

impl Client {
    /// Reads something.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let sent = self.http.get(format!("{}{path}", self.url)).timeout(PATIENCE).send().await?;
        json(sent, &[StatusCode::OK]).await
    }

    /// A call that does nothing, for comparison.
    pub async fn ping(&self) -> Result<()> {
        self.get("/healthz").await.map(drop)
    }

    /// Follows server-sent events; the caller reads them chunk by chunk.
    pub async fn follow(&self, path: &str) -> Result<Response> {
        let sent = self.http.get(format!("{}{path}", self.url)).header("accept", "text/event-stream");
        let response = sent.send().await?;
        ensure!(response.status() == StatusCode::OK, "{path} answers {}", response.status());
        Ok(response)
    }

    /// Deactivates one user, in one call.
    pub async fn deactivate(&self, user: &str, key: &str) -> Result<Submitted> {
        let body = serde_json::json!({"user": user, "reason": "bench"});
        let sent = self
            .http
            .post(format!("{}/v1/accounts/zoom-main/deactivate", self.url))
            .header("idempotency-key", key)
            .timeout(PATIENCE)
            .json(&body)
            .send()
            .await?;
        let answer = json(sent, &[StatusCode::CREATED, StatusCode::OK]).await?;
        let run = answer["run"].as_str().context("an answer without a run")?.to_owned();
        let created = answer["created"].as_bool().context("an answer that does not say whether it is new")?;
        Ok(Submitted { run, created })
    }
}

/// The answer, which has to be of one of these kinds.
async fn json(response: Response, expected: &[StatusCode]) -> Result<Value> {
    let status = response.status();
    let body = response.bytes().await?;
    if !expected.contains(&status) {
        bail!("{status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(serde_json::from_slice(&body)?)
}
