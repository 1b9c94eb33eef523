//! What followers cost the store, counted by the Redis server itself.

use std::time::{Duration, Instant};

use crate::{
    served::{Process, Token, place},
    support::{Kind, Workplace},
};

/// Commands that the server has carried out.
fn commands(place: &Workplace) -> u64 {
    let client = redis::Client::open(place.redis.as_ref().unwrap().url()).unwrap();
    let stats: String = redis::cmd("INFO").arg("stats").query(&mut client.get_connection().unwrap()).unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:")).unwrap();
    line.trim().parse().unwrap()
}

/// Commands within a few seconds. What is counted is a rate, so there has to be a time.
fn within_four_seconds(place: &Workplace) -> u64 {
    let before = commands(place);
    std::thread::sleep(Duration::from_secs(4));
    commands(place) - before
}

#[test]
fn two_hundred_followers_cost_the_store_no_more_than_one() {
    let reader = Token::new("reader", "\"read\"", None);
    let place = place(Kind::Redis, 60, &[&reader], "");
    let file = place.csv("leavers.csv", &place.ordinary()[..50]);
    let words =
        ["submit", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    let run = place.usher(&words).succeeded().out.trim().to_owned();
    let server = Process::serve(&place);
    let path = format!("/v1/runs/{run}/events");
    let follow = |number: usize| {
        let path = if number.is_multiple_of(2) { &*path } else { "/v1/events" };
        let mut stream = server.get(path, Some(&reader), &[("Last-Event-ID", "0")]).ok();
        // Its first event with data: it is followed.
        stream.events_until(|event| !event.name.is_empty());
        stream
    };
    // One of each kind.
    let mut followers: Vec<_> = (0..2).map(follow).collect();
    let of_one = within_four_seconds(&place);
    // Each of them asks for what happened before it came, which is read once, too.
    let (began, before) = (Instant::now(), commands(&place));
    followers.extend((2..200).map(follow));
    let (joining, meanwhile) = (commands(&place) - before, began.elapsed().as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "some tens")]
    let looks = of_one as f64 / 4.0 * meanwhile;
    assert!(
        (joining as f64) < looks * 1.5 + 25.0,
        "{joining} commands for 198 followers who came within {meanwhile:.1} s"
    );
    let of_all = within_four_seconds(&place);
    assert!(of_one > 0, "nothing was looked at");
    assert!(
        of_all <= of_one + of_one / 4 + 10,
        "one follower of each kind: {of_one} commands; 200: {of_all}"
    );
    eprintln!("commands in 4 s: {of_one} with one follower of each kind, {of_all} with 200 in all");
    // Nobody follows: nothing is asked any more.
    drop(followers);
    let nobody = within_four_seconds(&place).min(within_four_seconds(&place));
    assert!(nobody <= of_one / 4 + 5, "nobody follows: {nobody} commands");
}
