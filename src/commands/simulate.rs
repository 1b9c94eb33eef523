//! `usher simulate`: a fake vendor to try things against.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::Args;
use usher_simulator::{
    faults::{MsRange, Outage},
    rate::WindowKind,
    wait::RetryAfterForm,
    zoom::{
        AdminAnswer, AlreadyThere, HeaderVariant, Inject429, OtherApp, PendingAnswer, Plan, Settings, ZoomSim,
    },
};

use crate::{
    console,
    exit::{Exit, Failure, Outcome},
    report::numbers::of,
    signals::Stop,
};

/// `usher simulate zoom`
#[derive(Debug, Args)]
pub struct ZoomArgs {
    /// Ordinary, active users
    #[arg(long, default_value_t = 1000, value_name = "N")]
    users: u32,
    /// The port on 127.0.0.1; 0 takes a free one and says which
    #[arg(long, default_value_t = 8790)]
    port: u16,
    /// Fixes users and faults, so that a run can be had again
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Every setting there is, as TOML; the options given here stand over it
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// Admins, whom Zoom does not deactivate
    #[arg(long, value_name = "N", help_heading = "Users in trouble")]
    admins: Option<u32>,
    /// Users who never accepted their invitation
    #[arg(long, value_name = "N", help_heading = "Users in trouble")]
    pending: Option<u32>,
    /// Hosts of an upcoming event, whom Zoom does not deactivate
    #[arg(long, value_name = "N", help_heading = "Users in trouble")]
    upcoming_event: Option<u32>,
    /// Users locked by Zoom
    #[arg(long, value_name = "N", help_heading = "Users in trouble")]
    force_locked: Option<u32>,
    /// Zoom Rooms
    #[arg(long, value_name = "N", help_heading = "Users in trouble")]
    zoom_rooms: Option<u32>,
    /// Inactive users whom Zoom does not activate
    #[arg(long, value_name = "N", help_heading = "Users in trouble")]
    not_approved: Option<u32>,
    /// Users who are inactive from the start
    #[arg(long, value_name = "N", help_heading = "Users in trouble")]
    inactive: Option<u32>,
    /// Licences that the account has paid for
    #[arg(long, value_name = "N", help_heading = "Users in trouble")]
    seats: Option<u64>,

    /// free, pro or business
    #[arg(long, help_heading = "Limits")]
    plan: Option<Plan>,
    /// Light calls a second, instead of the plan's
    #[arg(long, value_name = "N", help_heading = "Limits")]
    light: Option<u32>,
    /// Medium calls a second, instead of the plan's
    #[arg(long, value_name = "N", help_heading = "Limits")]
    medium: Option<u32>,
    /// Light calls a day, instead of the plan's
    #[arg(long, value_name = "N", help_heading = "Limits")]
    light_per_day: Option<u64>,
    /// sliding or fixed one-second windows
    #[arg(long, help_heading = "Limits")]
    window: Option<WindowKind>,
    /// Refused calls count against the limit too
    #[arg(long, help_heading = "Limits")]
    count_refused: bool,
    /// Another app of the account: 16, 16:light, or 16:light:10000/10000 (ms on / ms off)
    #[arg(long, value_name = "APP", help_heading = "Limits")]
    other_app: Option<OtherApp>,
    /// Refuse certain calls: second@100, second@100x3:5 (three from the 100th on, saying 5 s); may be given several times
    #[arg(long, value_name = "WHAT", help_heading = "Limits")]
    inject_429: Vec<Inject429>,
    /// Retry-After on refusals: none, seconds, http-date, iso-date-time or rubbish
    #[arg(long, value_name = "FORM", help_heading = "Limits")]
    retry_after: Option<RetryAfterForm>,
    /// X-RateLimit headers: full, minimal or none
    #[arg(long, value_name = "VARIANT", help_heading = "Limits")]
    headers: Option<HeaderVariant>,

    /// Milliseconds a call takes at the vendor: 60 or 60..100
    #[arg(long, value_name = "MS", help_heading = "Faults")]
    latency: Option<MsRange>,
    /// Milliseconds on the way, before the vendor counts the call: 0..50
    #[arg(long, value_name = "MS", help_heading = "Faults")]
    delay: Option<MsRange>,
    /// Share of calls answered with a 5xx, 0 to 1
    #[arg(long, value_name = "SHARE", help_heading = "Faults")]
    errors: Option<f64>,
    /// Share of calls carried out and never answered: the connection closes
    #[arg(long, value_name = "SHARE", help_heading = "Faults")]
    lost_replies: Option<f64>,
    /// Share of calls that hang
    #[arg(long, value_name = "SHARE", help_heading = "Faults")]
    hangs: Option<f64>,
    /// A time without service, in ms since the start: 1000..4000:503 or 1000..4000:close; may be given several times
    #[arg(long, value_name = "WHEN", help_heading = "Faults")]
    outage: Vec<Outage>,

    /// How long tokens live
    #[arg(long, value_name = "SECONDS", help_heading = "Tokens and answers")]
    expires_in: Option<u64>,
    /// A new token ends the life of the one before
    #[arg(long, help_heading = "Tokens and answers")]
    one_live_token: bool,
    /// Scopes of the tokens; may be given several times [default: all]
    #[arg(long, value_name = "SCOPE", help_heading = "Tokens and answers")]
    scope: Vec<String>,
    /// What a user who already is in the state gets: see simulator/README.md
    #[arg(long, value_name = "ANSWER", help_heading = "Tokens and answers")]
    already_there: Option<AlreadyThere>,
    /// What an admin gets: refused or ignored
    #[arg(long, value_name = "ANSWER", help_heading = "Tokens and answers")]
    admin_answer: Option<AdminAnswer>,
    /// What a pending user gets: see simulator/README.md
    #[arg(long, value_name = "ANSWER", help_heading = "Tokens and answers")]
    pending_answer: Option<PendingAnswer>,
}

/// Serves until it is told to stop.
pub async fn zoom(args: &ZoomArgs) -> Outcome {
    let mut stop = Stop::listen()?;
    let sim =
        ZoomSim::start(settings(args)?).await.map_err(|error| Failure::new(Exit::InvalidInput, error))?;
    let oauth = sim.settings().oauth;
    console::print(&format!(
        "A simulated Zoom with {}, until Ctrl-C. What happened: GET {}/report\n\n\
         [accounts.zoom-sim]\nprovider = \"zoom\"\nbase_url = \"{}\"\ntoken_url = \"{}\"\naccount_id = \"{}\"\nclient_id = \
         \"{}\"\nclient_secret = {{ env = \"ZOOM_CLIENT_SECRET\" }}   # {}\nplan = \"{}\"\n",
        of(sim.users().len() as u64, "user"),
        sim.control_url(),
        sim.base_url(),
        sim.token_url(),
        oauth.account_id,
        oauth.client_id,
        oauth.client_secret,
        sim.settings().limits.plan,
    ))?;
    stop.asked().await;
    sim.shutdown().await;
    Ok(Exit::Success)
}

fn settings(args: &ZoomArgs) -> Result<Settings, Failure> {
    let mut settings = match &args.settings {
        None => Settings::default(),
        Some(path) => {
            let wrong =
                |problem: String| Failure::new(Exit::InvalidInput, format!("{}: {problem}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
            toml::from_str(&text).map_err(|error| wrong(error.to_string()))?
        }
    };
    settings.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    settings.seed = args.seed;

    let directory = &mut settings.directory;
    directory.users = args.users;
    over(&mut directory.admins, args.admins);
    over(&mut directory.pending, args.pending);
    over(&mut directory.upcoming_event, args.upcoming_event);
    over(&mut directory.force_locked, args.force_locked);
    over(&mut directory.zoom_rooms, args.zoom_rooms);
    over(&mut directory.activation_not_approved, args.not_approved);
    over(&mut directory.already_inactive, args.inactive);
    directory.seats = args.seats.or(directory.seats);

    let limits = &mut settings.limits;
    over(&mut limits.plan, args.plan);
    limits.light = args.light.or(limits.light);
    limits.medium = args.medium.or(limits.medium);
    limits.light_per_day = args.light_per_day.or(limits.light_per_day);
    over(&mut limits.window, args.window);
    limits.count_refused |= args.count_refused;
    limits.other_app = args.other_app.or(limits.other_app);
    limits.inject_429.extend_from_slice(&args.inject_429);
    over(&mut limits.retry_after_second, args.retry_after);
    limits.retry_after_day = args.retry_after.or(limits.retry_after_day);
    over(&mut limits.headers, args.headers);

    let faults = &mut settings.faults;
    over(&mut faults.latency_ms, args.latency);
    over(&mut faults.delay_ms, args.delay);
    over(&mut faults.errors, args.errors);
    over(&mut faults.lost, args.lost_replies);
    over(&mut faults.hangs, args.hangs);
    faults.outages.extend_from_slice(&args.outage);

    let oauth = &mut settings.oauth;
    over(&mut oauth.expires_in, args.expires_in);
    oauth.one_live_token |= args.one_live_token;
    if !args.scope.is_empty() {
        oauth.scopes.clone_from(&args.scope);
    }
    over(&mut settings.rules.already_there, args.already_there);
    over(&mut settings.rules.admins, args.admin_answer);
    over(&mut settings.rules.pending, args.pending_answer);
    Ok(settings)
}

fn over<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}
