//! `usher webhook`: endpoints that are told what an operator must hear of.

use std::path::Path;

use rand::RngExt;
use serde::Serialize;
use usher_shared::{
    Clock, SystemClock,
    config::{WebhookConfig, WebhookEvent},
    store::{DeliveryState, Posted, SharedStore},
};
use usher_webhooks::{
    Endpoint, Meaning,
    event::{Data, Event, Test},
    secret::SigningSecret,
};

use super::secret_file;
use crate::{
    cli::WebhookCommand,
    console,
    exit::{Exit, Failure, Outcome},
    report::{
        numbers::count,
        table::{self, printable},
    },
    wiring::Context,
};

/// Messages are counted up to this.
const COUNTED: usize = 1_000;
/// What is said of an endpoint is no longer.
const LONGEST: usize = 80;

/// Makes a secret, hands it over once, and prints the lines that make the endpoint known.
pub fn new(quiet: bool, name: &str, url: Option<&String>, output: Option<&Path>) -> Outcome {
    secret_file::needs_terminal_or_file("a secret", output)?;
    let secret = SigningSecret::generate().map_err(|error| Failure::new(Exit::Internal, error))?;
    let source = match output {
        Some(path) => {
            secret_file::write(path, secret.reveal())?;
            let shown = path.display();
            console::hint(quiet, format_args!("The secret is in {shown}; the receiver needs it, too."));
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            format!("{{ file = {:?} }}", path.display().to_string())
        }
        None => {
            console::print(&format!("{}\n\n", secret.reveal()))?;
            let variable = variable(name);
            console::hint(
                quiet,
                format_args!(
                    "This is the secret, shown once: for the receiver, and for {variable} where usher runs."
                ),
            );
            format!("{{ env = {variable:?} }}")
        }
    };
    console::hint(
        quiet,
        "These lines belong into the usher.toml of every `usher serve` and `usher worker`; they are no secret:\n",
    );
    let url = url.map_or("https://hooks.corp.example/usher", String::as_str);
    let private = if url.starts_with("http://") { "allow_private = true\n" } else { "" };
    console::print(&format!("[webhooks.{name}]\nurl = {url:?}\nsecret = {source}\n{private}"))?;
    Ok(Exit::Success)
}

/// The environment variable that is proposed for an endpoint's secret.
fn variable(name: &str) -> String {
    format!("USHER_WEBHOOK_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// Tries an endpoint, shows what waits, has it tried again.
pub async fn webhook(context: &Context, command: &WebhookCommand) -> Outcome {
    match command {
        WebhookCommand::New { name, url, output } => {
            new(context.global.quiet, name, url.as_ref(), output.as_deref())
        }
        WebhookCommand::Test { name } => test(context, name).await,
        WebhookCommand::List { name, limit, json } => {
            let (store, _) = context.open_store().await?;
            match name {
                Some(name) => messages(context, &store, name, *limit as usize, *json).await,
                None => endpoints(context, &store, *json).await,
            }
        }
        WebhookCommand::Retry { name, id } => retry(context, name, id.as_deref()).await,
    }
}

fn find<'a>(context: &'a Context, name: &str) -> Result<&'a WebhookConfig, Failure> {
    let config = &context.config;
    config.webhooks.get(name).ok_or_else(|| {
        let known = if config.webhooks.is_empty() {
            format!("it has none: `usher webhook new {} --output FILE` prints the lines", printable(name))
        } else {
            format!("it has {}", config.webhooks.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
        };
        let message = format!("there is no endpoint {name:?} in {}; {known}", config.place());
        Failure::new(Exit::InvalidInput, message)
    })
}

/// Sends a message past the outbox: whoever types this wants to know now.
async fn test(context: &Context, name: &str) -> Outcome {
    let config = find(context, name)?;
    let endpoint = Endpoint::open(name, config)
        .map_err(|error| Failure { exit: Exit::Configuration, error: error.into() })?;
    let now = SystemClock.now();
    let account = config.accounts.iter().flatten().chain(context.config.accounts.keys()).next().cloned();
    let event = Event {
        id: format!("webhook_test/{}/{:08x}", now.as_millis(), rand::rng().random::<u32>()),
        kind: WebhookEvent::Test,
        // Whose it is told as, is of no matter: it is in no store.
        account: account
            .map_or_else(|| "test".parse(), Ok)
            .map_err(|error| Failure::new(Exit::Internal, error))?,
        at: now,
        data: Data::Test(Test {
            endpoint: name.to_owned(),
            message: "usher webhook test was typed; nothing has happened".to_owned(),
        }),
    };
    let body = event.body().map_err(|error| Failure::new(Exit::Internal, error))?;
    let answer = endpoint.send(&event.id, &body, now).await;
    let host = endpoint.host();
    if answer.meaning() == Meaning::Arrived {
        let message = format!("{name}: {host} has the message; it answered {answer}.");
        console::hint(context.global.quiet, message);
        return Ok(Exit::Success);
    }
    let cure = match answer.meaning() {
        Meaning::Refused => "; look at the path of its url, and whether the receiver has the same secret",
        Meaning::Gone => "; the receiver wants no more of these",
        Meaning::Arrived | Meaning::Away | Meaning::Down { .. } => "",
    };
    Err(Failure::new(Exit::Unavailable, format!("{name}: {host} did not take the message: {answer}{cure}")))
}

#[derive(Serialize)]
struct EndpointView<'a> {
    endpoint: &'a str,
    host: &'a str,
    /// Up to 1,000.
    waiting: usize,
    /// Up to 1,000.
    given_up: usize,
    delivered: usize,
    last_answer: Option<String>,
    last_tried_at: Option<String>,
}

async fn endpoints(context: &Context, store: &SharedStore, json: bool) -> Outcome {
    let mut views = Vec::new();
    for (name, config) in &context.config.webhooks {
        let found = store.outbox(name, None, COUNTED).await?;
        let waiting = store.outbox(name, Some(DeliveryState::Waiting), COUNTED).await?.len();
        let given_up = store.outbox(name, Some(DeliveryState::GivenUp), COUNTED).await?.len();
        let last =
            found.iter().filter(|posted| posted.tried_at.is_some()).max_by_key(|posted| posted.tried_at);
        views.push(EndpointView {
            endpoint: name,
            host: config.url.host_str().unwrap_or_default(),
            waiting,
            given_up,
            delivered: found.iter().filter(|posted| posted.state == DeliveryState::Delivered).count(),
            last_answer: last.and_then(|posted| posted.last.clone()),
            last_tried_at: last.and_then(|posted| posted.tried_at).map(|at| at.to_string()),
        });
    }
    if json {
        return print_json(&views);
    }
    if views.is_empty() {
        let message =
            "There are no endpoints; `usher webhook new NAME --output FILE` prints the lines of one.";
        console::hint(context.global.quiet, message);
        return Ok(Exit::Success);
    }
    let mut shown = table::new(["endpoint", "host", "waiting", "given up", "last tried", "last answer"]);
    table::right(&mut shown, 2);
    table::right(&mut shown, 3);
    for view in &views {
        shown.add_row([
            view.endpoint.to_owned(),
            view.host.to_owned(),
            up_to(view.waiting),
            up_to(view.given_up),
            minute(view.last_tried_at.as_deref()),
            short(view.last_answer.as_deref()),
        ]);
    }
    console::print(&format!("{}\n", shown.trim_fmt()))?;
    Ok(Exit::Success)
}

#[derive(Serialize)]
struct MessageView<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    account: &'a str,
    state: DeliveryState,
    posted_at: String,
    tries: u32,
    tried_at: Option<String>,
    due: Option<String>,
    last_answer: Option<&'a str>,
}

impl<'a> From<&'a Posted> for MessageView<'a> {
    fn from(posted: &'a Posted) -> Self {
        Self {
            id: &posted.message.id,
            kind: &posted.message.kind,
            account: posted.message.account.as_str(),
            state: posted.state,
            posted_at: posted.posted_at.to_string(),
            tries: posted.tries,
            tried_at: posted.tried_at.map(|at| at.to_string()),
            due: posted.due.map(|at| at.to_string()),
            last_answer: posted.last.as_deref(),
        }
    }
}

async fn messages(context: &Context, store: &SharedStore, name: &str, limit: usize, json: bool) -> Outcome {
    find(context, name)?;
    let found = store.outbox(name, None, limit).await?;
    if json {
        let views: Vec<MessageView<'_>> = found.iter().map(MessageView::from).collect();
        return print_json(&views);
    }
    if found.is_empty() {
        console::hint(context.global.quiet, format_args!("Nothing was posted to {name} yet."));
        return Ok(Exit::Success);
    }
    let mut shown = table::new(["posted", "state", "tries", "message", "last answer"]);
    table::right(&mut shown, 2);
    for posted in &found {
        shown.add_row([
            minute(Some(&posted.posted_at.to_string())),
            state(posted.state).to_owned(),
            count(posted.tries.into()),
            printable(&posted.message.id),
            short(posted.last.as_deref()),
        ]);
    }
    console::print(&format!("{}\n", shown.trim_fmt()))?;
    if found.iter().any(|posted| posted.state == DeliveryState::GivenUp) {
        let message = format!("`usher webhook retry {name}` has those that were given up on tried again.");
        console::hint(context.global.quiet, message);
    }
    Ok(Exit::Success)
}

async fn retry(context: &Context, name: &str, id: Option<&str>) -> Outcome {
    find(context, name)?;
    let (store, _) = context.open_store().await?;
    let mut again = 0;
    match id {
        Some(id) => {
            if !store.repost(name, id).await? {
                return Err(Failure::new(
                    Exit::InvalidInput,
                    format!(
                        "no message {id:?} to {name} was given up on; `usher webhook list {name}` shows what was"
                    ),
                ));
            }
            again = 1;
        }
        None => loop {
            let found = store.outbox(name, Some(DeliveryState::GivenUp), COUNTED).await?;
            let before = again;
            for posted in &found {
                again += u64::from(store.repost(name, &posted.message.id).await?);
            }
            if again == before {
                break;
            }
        },
    }
    let message = match again {
        0 => format!("Nothing to {name} was given up on."),
        1 => {
            format!("One message to {name} is tried again by whatever `usher serve` or `usher worker` runs.")
        }
        more => format!(
            "{} messages to {name} are tried again by whatever `usher serve` or `usher worker` runs.",
            count(more)
        ),
    };
    console::hint(context.global.quiet, message);
    Ok(Exit::Success)
}

fn print_json(views: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(views).map_err(std::io::Error::from)?;
    console::print(&format!("{text}\n"))?;
    Ok(Exit::Success)
}

fn state(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Delivered => "delivered",
        DeliveryState::GivenUp => "given up",
    }
}

fn up_to(number: usize) -> String {
    if number >= COUNTED { format!("{} or more", count(number as u64)) } else { count(number as u64) }
}

fn minute(at: Option<&str>) -> String {
    at.map(|at| at.replace('T', " ").chars().take(16).collect()).unwrap_or_default()
}

fn short(said: Option<&str>) -> String {
    printable(said.unwrap_or_default()).chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_s_variable_is_one_that_a_shell_takes() {
        assert_eq!(variable("ops-eu"), "USHER_WEBHOOK_OPS_EU");
    }
}
