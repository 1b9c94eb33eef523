//! `usher demo`: offboards simulated users, troubles included, to see how it all looks.

use std::{io::Write, path::PathBuf};

use indicatif::MultiProgress;
use usher_shared::{
    Action, Priority,
    config::{AccountConfig, Config, SecretSource, Value, ZoomConfig, ZoomPlan},
};
use usher_simulator::{
    faults::{Faults, MsRange},
    zoom::{Inject429, Limits, Population, RefusalKind, Settings, SimUser, ZoomSim},
};

use super::run::{self, Order};
use crate::{
    cli::{DemoArgs, Ending, Global, Submission, Timing},
    console,
    exit::{Exit, Failure, Outcome},
    report::numbers::of,
    signals::Stop,
    wiring::{self, Context},
};

const ACCOUNT: &str = "zoom-demo";
const SECRET: &str = "client-secret";

/// Starts the simulator, makes a file of leavers, offboards them through the embedded store, and compares the directory
/// with the outcomes. Exits 0 when they agree, whatever trouble was planted.
pub async fn demo(global: &Global, bars: &MultiProgress, args: &DemoArgs) -> Outcome {
    let stop = Stop::listen()?;
    let sim =
        ZoomSim::start(settings(args.users)).await.map_err(|error| Failure::new(Exit::Internal, error))?;
    let dir = place(args)?;
    let leavers = dir.join("leavers.csv");
    let users = sim.users();
    let unknown = args.users / 50;
    std::fs::write(&leavers, file_of(&users, unknown)?)?;
    wiring::private_file(&dir.join(SECRET))?.write_all(sim.settings().oauth.client_secret.as_bytes())?;

    console::hint(
        global.quiet,
        format_args!(
            "A simulated Zoom with {} is up on {}. Some are admins, some pending,\n\
             some host an upcoming event, some are inactive already; its API fails now and\n\
             then, and refuses once for its rate limit.\n\
             {}\n\
             lists everybody but the owner, and {} that Zoom does not know.\n",
            of(users.len() as u64, "user"),
            sim.addr(),
            leavers.display(),
            of(u64::from(unknown), "user"),
        ),
    );

    let context = Context {
        global: global.clone(),
        config: configuration(&sim, dir.clone())?,
        bars: bars.clone(),
        stop,
    };
    let order = Order {
        submission: Submission {
            file: leavers,
            account: ACCOUNT.parse().map_err(|error| Failure::new(Exit::Internal, error))?,
            action: Some(Action::Deactivate),
            reason: Some("demo".to_owned()),
            priority: Priority::Normal,
            format: None,
            skip_invalid: false,
            timing: Timing::default(),
            name: None,
            yes: true,
        },
        ending: Ending { verify: true, json: false },
    };
    let ended = run::carry_out(&context, &order).await;
    sim.shutdown().await;
    let ended = ended?;
    match (ended.exit, &ended.verification) {
        (Exit::Success | Exit::SomeFailed, Some(verification)) if verification.disagreements.is_empty() => {
            Ok(Exit::Success)
        }
        (Exit::Success | Exit::SomeFailed, _) => Ok(Exit::SomeFailed),
        (exit, _) => Ok(exit),
    }
}

/// Where the store and the reports are left.
fn place(args: &DemoArgs) -> Result<PathBuf, Failure> {
    let dir = args.dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("usher-demo-{}", wiring::clock().now().as_millis()))
    });
    wiring::private_dir(&dir)?;
    Ok(std::path::absolute(dir)?)
}

fn settings(users: u32) -> Settings {
    let part = |of: u32| (users / of).max(1);
    let trouble = Population {
        admins: part(200),
        pending: part(100),
        upcoming_event: part(100),
        force_locked: part(500),
        zoom_rooms: part(500),
        already_inactive: part(20),
        ..Population::default()
    };
    let special = trouble.total() - u64::from(trouble.users);
    let ordinary = users.saturating_sub(u32::try_from(special).unwrap_or(u32::MAX));
    Settings {
        directory: Population { users: ordinary, ..trouble },
        faults: Faults { errors: 0.01, lost: 0.003, latency_ms: MsRange::new(40, 90), ..Faults::default() },
        limits: Limits {
            inject_429: vec![Inject429 {
                kind: RefusalKind::Second,
                at: u64::from(users / 2),
                count: 1,
                wait_s: None,
            }],
            ..Limits::default()
        },
        ..Settings::default()
    }
}

/// What an HR system would export: the address is one column among others.
fn file_of(users: &[SimUser], unknown: u32) -> Result<Vec<u8>, Failure> {
    let failed = |error: csv::Error| Failure { exit: Exit::Internal, error: error.into() };
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["Employee ID", "First name", "Last name", "E-mail", "Department"]).map_err(failed)?;
    for user in users.iter().filter(|user| &*user.role_id != "0") {
        let cells = [&user.employee_unique_id, &user.first_name, &user.last_name, &user.email, &user.dept];
        csv.write_record(cells.map(|cell| cell.as_bytes())).map_err(failed)?;
    }
    for n in 1..=unknown {
        let (id, address) = (format!("E9{n:05}"), format!("long.gone{n}@corp.example"));
        csv.write_record([&id, "Long", "Gone", &address, "Sales"]).map_err(failed)?;
    }
    csv.into_inner().map_err(|error| Failure::new(Exit::Internal, error))
}

fn configuration(sim: &ZoomSim, dir: PathBuf) -> Result<Config, Failure> {
    let url = |text: String| text.parse().map_err(|error| Failure::new(Exit::Internal, error));
    let oauth = sim.settings().oauth;
    let zoom = ZoomConfig {
        approval: None,
        caps: Default::default(),
        base_url: url(sim.base_url())?,
        token_url: url(sim.token_url())?,
        account_id: Value::Plain(oauth.account_id),
        client_id: Value::Plain(oauth.client_id),
        client_secret: SecretSource::File(dir.join(SECRET)),
        plan: ZoomPlan::Business,
        light: None,
        medium: None,
        protected: Vec::new(),
    };
    let account = ACCOUNT.parse().map_err(|error| Failure::new(Exit::Internal, error))?;
    Ok(Config {
        data_dir: Some(dir),
        accounts: [(account, AccountConfig::Zoom(zoom))].into(),
        ..Config::default()
    })
}
