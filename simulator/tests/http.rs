//! what it proves: over real connections, the simulator keeps its rules, and its planted faults look to a
//! client as they should.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use reqwest::{Client, ClientBuilder, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use usher_simulator::clock::{Clock, Moment};
use usher_simulator::faults::MsRange;
use usher_simulator::zoom::{Plan, Settings, SimError, SimUser, Status, Trouble, UserChange, ZoomSim};

const STATUS: &str = "PUT /users/{userId}/status";
const AT_MOST: Duration = Duration::from_secs(20);

struct Desk {
    sim: ZoomSim,
    client: Client,
    token: String,
}

fn builder() -> ClientBuilder {
    // Refused where another test of this process has been first; then it is there already.
    let _other_was_first = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().timeout(AT_MOST)
}

async fn token(sim: &ZoomSim, client: &Client) -> String {
    let form = [("grant_type", "account_credentials"), ("account_id", "sim-account")];
    let call = client.post(sim.token_url()).basic_auth("sim-client", Some("sim-secret")).form(&form);
    let body: Value = call.send().await.unwrap().json().await.unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

impl Desk {
    async fn open(change: impl FnOnce(&mut Settings)) -> Self {
        Self::open_with(change, builder().build().unwrap()).await
    }

    async fn open_with(change: impl FnOnce(&mut Settings), client: Client) -> Self {
        let mut settings = Settings::default();
        settings.directory.users = 50;
        change(&mut settings);
        let sim = ZoomSim::start(settings).await.unwrap();
        let token = token(&sim, &client).await;
        Self { sim, client, token }
    }

    fn member(&self) -> SimUser {
        self.sim.users().into_iter().find(|user| user.trouble == Trouble::None).unwrap()
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.sim.base_url())).bearer_auth(&self.token)
    }

    fn set_status(&self, user: &SimUser, action: &str) -> RequestBuilder {
        let path = format!("/users/{}/status", user.id.as_deref().unwrap());
        self.call(Method::PUT, &path).json(&json!({"action": action}))
    }

    fn status_of(&self, user: &SimUser) -> Status {
        self.sim.user(&user.email).unwrap().status
    }

    /// Asks until it is so, over real connections, for a bounded time.
    async fn until(&self, what: &str, so: impl Fn(&ZoomSim) -> bool) {
        let began = Instant::now();
        while !so(&self.sim) {
            assert!(began.elapsed() < AT_MOST, "{what}: not within {AT_MOST:?}");
            let url = format!("{}/report?changes=false", self.sim.control_url());
            self.client.get(url).send().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_user_goes_and_comes_back_over_http_1_and_2() {
    let clients = [builder().build().unwrap(), builder().http2_prior_knowledge().build().unwrap()];
    for client in clients {
        let desk = Desk::open_with(|_| {}, client).await;
        let user = desk.member();
        let reply = desk.set_status(&user, "deactivate").send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::NO_CONTENT);
        assert_eq!(reply.headers()["x-ratelimit-category"], "Light");
        assert_eq!(desk.status_of(&user), Status::Inactive);
        let reply = desk.set_status(&user, "activate").send().await.unwrap();
        assert_eq!(reply.bytes().await.unwrap().len(), 0);
        assert_eq!(desk.status_of(&user), Status::Active);
        desk.sim.shutdown().await;
    }
}

#[tokio::test]
async fn only_loopback_addresses_are_served_and_a_taken_port_is_said() {
    let outside = Settings { addr: "0.0.0.0:0".parse().unwrap(), ..Settings::default() };
    assert!(matches!(ZoomSim::start(outside).await, Err(SimError::NotLoopback(_))));
    let sim = ZoomSim::start(Settings::default()).await.unwrap();
    let taken = Settings { addr: sim.addr(), ..Settings::default() };
    assert!(matches!(ZoomSim::start(taken).await, Err(SimError::Bind { addr, .. }) if addr == sim.addr()));
    sim.shutdown().await;
}

#[tokio::test]
async fn a_lost_reply_breaks_the_connection_after_the_change() {
    let desk = Desk::open(|s| s.faults.lost = 1.0).await;
    let user = desk.member();
    let error = desk.set_status(&user, "deactivate").send().await.unwrap_err();
    assert!(!error.is_timeout() && !error.is_status(), "{error:?}");
    assert_eq!(desk.status_of(&user), Status::Inactive);
    // A client may itself repeat a call whose connection was an old one; each is lost anew.
    let endings = &desk.sim.report().calls[STATUS];
    assert_eq!(endings.keys().collect::<Vec<_>>(), ["lost"]);
}

#[tokio::test]
async fn a_hang_keeps_its_user_busy_until_the_caller_hangs_up() {
    let desk = Desk::open(|s| s.faults.hangs = 1.0).await;
    let user = desk.member();
    let hanging = desk.set_status(&user, "deactivate");
    let hanging = tokio::spawn(hanging.send());
    desk.until("hung", |sim| sim.report().calls.contains_key(STATUS)).await;
    desk.sim.change_settings(|s| s.faults.hangs = 0.0).unwrap();
    let second = desk.set_status(&user, "deactivate").send().await.unwrap();
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    hanging.abort();
    let began = Instant::now();
    loop {
        let again = desk.set_status(&user, "deactivate").send().await.unwrap();
        if again.status() == StatusCode::NO_CONTENT {
            break;
        }
        assert!(began.elapsed() < AT_MOST, "the user stays busy");
    }
    assert_eq!(desk.sim.report().calls[STATUS]["hung"], 1);
    desk.sim.shutdown().await;
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_stop_the_change() {
    let desk = Desk::open(|s| s.faults.latency_ms = MsRange::new(200, 200)).await;
    let user = desk.member();
    let call = tokio::spawn(desk.set_status(&user, "deactivate").send());
    desk.until("counted", |sim| sim.report().pace.contains_key("status")).await;
    call.abort();
    desk.until("deactivated", |sim| sim.user(&user.email).unwrap().status == Status::Inactive).await;
}

#[tokio::test]
async fn the_limit_counts_arrivals_not_replies() {
    let mut settings = Settings::default();
    settings.limits.light = Some(1);
    settings.faults.latency_ms = MsRange::new(50, 50);
    // The simulator's time stands still: all five calls fall into one second, however slow the machine is.
    let clock = Clock::manual(Moment::from_timestamp("2026-03-01T10:00:00Z".parse().unwrap()));
    let sim = ZoomSim::start_at(settings, clock.clone()).await.unwrap();
    let client = builder().build().unwrap();
    let token = token(&sim, &client).await;
    let desk = Desk { sim, client, token };
    let users: Vec<SimUser> =
        desk.sim.users().into_iter().filter(|u| u.trouble == Trouble::None).take(6).collect();
    let calls: Vec<_> =
        users[..5].iter().map(|user| tokio::spawn(desk.set_status(user, "deactivate").send())).collect();
    let mut applied = 0;
    for call in calls {
        applied += u32::from(call.await.unwrap().unwrap().status() == StatusCode::NO_CONTENT);
    }
    assert_eq!(applied, 1);
    assert_eq!(desk.sim.report().pace["status"].max_in_any_second, 5);
    clock.advance(Duration::from_secs(1));
    let later = desk.set_status(&users[5], "deactivate").send().await.unwrap();
    assert_eq!(later.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_outage_refuses_or_closes_and_passes() {
    let desk = Desk::open(|_| {}).await;
    let user = desk.member();
    let outage =
        |body: Value| desk.client.post(format!("{}/outage", desk.sim.control_url())).json(&body).send();
    outage(json!({"for_ms": 3_600_000})).await.unwrap();
    let reply = desk.set_status(&user, "deactivate").send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    desk.sim.change_settings(|s| s.faults.outages.clear()).unwrap();
    outage(json!({"for_ms": 3_600_000, "close": true})).await.unwrap();
    assert!(desk.set_status(&user, "deactivate").send().await.is_err());
    desk.sim.change_settings(|s| s.faults.outages.clear()).unwrap();
    assert_eq!(desk.status_of(&user), Status::Active);
    assert_eq!(desk.set_status(&user, "deactivate").send().await.unwrap().status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn dates_go_by_the_simulators_clock() {
    let desk = Desk::open(|s| {
        s.clock_start = Some("2026-03-01T23:59:30Z".parse().unwrap());
        s.limits.light_per_day = Some(1);
    })
    .await;
    let user = desk.member();
    desk.set_status(&user, "deactivate").send().await.unwrap();
    let refused = desk.set_status(&user, "deactivate").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "2026-03-02T00:00:00Z");
    let date = refused.headers()["date"].to_str().unwrap();
    assert!(date.starts_with("Sun, 01 Mar 2026 23:59:"), "{date}");
}

#[tokio::test]
async fn shutdown_lets_calls_in_flight_end_and_then_nobody_is_there() {
    let desk = Desk::open(|s| s.faults.latency_ms = MsRange::new(150, 150)).await;
    let user = desk.member();
    let in_flight = tokio::spawn(desk.set_status(&user, "deactivate").send());
    desk.until("counted", |sim| sim.report().pace.contains_key("status")).await;
    let (again, health) = (desk.set_status(&user, "activate"), desk.sim.control_url());
    desk.sim.shutdown().await;
    assert_eq!(in_flight.await.unwrap().unwrap().status(), StatusCode::NO_CONTENT);
    assert!(again.send().await.unwrap_err().is_connect());
    assert!(desk.client.get(health).send().await.is_err());
}

#[tokio::test]
async fn users_changed_by_hand_are_judged_as_they_are_now() {
    let desk = Desk::open(|s| s.limits.plan = Plan::Unlimited).await;
    let user = desk.member();
    let admin = UserChange { role_id: Some("1".into()), ..UserChange::default() };
    assert_eq!(&*desk.sim.update_user(&user.email, admin).unwrap().role_id, "1");
    let reply = desk.set_status(&user, "deactivate").send().await.unwrap();
    let body: Value = reply.json().await.unwrap();
    assert_eq!(body["code"], json!(200));
    assert_eq!(desk.sim.remove_user(&user.email).unwrap().email, user.email);
    let reply = desk.set_status(&user, "deactivate").send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::NOT_FOUND);
    assert!(desk.sim.update_user(&user.email, UserChange::default()).is_none());
}
