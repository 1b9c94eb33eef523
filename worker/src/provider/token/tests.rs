//! One token for a fleet, in virtual time: a vendor and a shelf on paper, workers whose clocks differ by hours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep};
use usher_shared::Verdict;

use super::{Token, Tokens, paper::*};
use crate::provider::Reply;

const HOUR: Duration = Duration::from_secs(3_600);

async fn current(tokens: &Tokens) -> Result<Arc<Token>, Reply> {
    tokens.current(Instant::now() + CALL_TIMEOUT).await
}

fn text(token: &Result<Arc<Token>, Reply>) -> String {
    token.as_ref().unwrap().secret.expose_secret().to_owned()
}

/// One call as an engine makes it: again at once where its token was refused. Returns how often it was.
async fn call(tokens: &Tokens, vendor: &PaperVendor) -> u32 {
    for refusals in 0..5 {
        let token = current(tokens).await.unwrap();
        if vendor.call(&token).await {
            return refusals;
        }
        tokens.refused(&token);
    }
    panic!("refused five times");
}

fn fleet(vendor: &Arc<PaperVendor>, shelf: &Arc<PaperShelf>) -> Vec<Tokens> {
    (0..4).map(|number| worker(number, vendor, Some(shelf))).collect()
}

#[tokio::test(start_paused = true)]
async fn tokens_killed_under_eight_calls_of_each_of_four_workers_lead_to_one_new_token() {
    for one_live in [false, true] {
        let (vendor, shelf) = (Arc::new(PaperVendor::new(HOUR, one_live)), PaperShelf::new());
        let workers = fleet(&vendor, &shelf);
        let done = AtomicU32::new(0);
        let refused = AtomicU32::new(0);
        let calls = workers.iter().flat_map(|tokens| (0..8).map(move |_| tokens)).map(|tokens| async {
            for _ in 0..10 {
                refused.fetch_add(call(tokens, &vendor).await, Ordering::SeqCst);
                if done.fetch_add(1, Ordering::SeqCst) == 100 {
                    vendor.kill_all();
                }
            }
        });
        join_all(calls).await;
        assert_eq!((done.into_inner(), vendor.granted()), (320, 2), "one at the start, one for the kill");
        // Each of the 32 lines of calls had at most one with the dead token.
        let refused = refused.into_inner();
        assert!((1..=32).contains(&refused), "{refused} refused");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_live_eight_seconds_carry_four_workers_through_a_minute() {
    for one_live in [false, true] {
        let (vendor, shelf) =
            (Arc::new(PaperVendor::new(Duration::from_secs(8), one_live)), PaperShelf::new());
        let workers = fleet(&vendor, &shelf);
        let ends = Instant::now() + Duration::from_secs(60);
        let (made, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        let lines = workers.iter().flat_map(|tokens| (0..8).map(move |_| tokens)).map(|tokens| async {
            while Instant::now() < ends {
                refused.fetch_add(call(tokens, &vendor).await, Ordering::SeqCst);
                made.fetch_add(1, Ordering::SeqCst);
            }
        });
        join_all(lines).await;
        let (made, refused) = (made.into_inner(), refused.into_inner());
        // Replaced after 7.2 s: at 0, 7.2, 14.4, ... 57.6 s, each a little late.
        assert_eq!(vendor.granted(), 9, "one live: {one_live}");
        if one_live {
            // What was in flight when the next was granted: at most one call of each line, each time.
            assert!(refused <= 8 * 32, "{refused} of {made} refused");
        } else {
            assert_eq!(refused, 0);
        }
        assert!(made > 60 * 32 * 20, "{made} calls made");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_with_a_fresh_token_asks_nobody() {
    let (vendor, shelf) = (Arc::new(PaperVendor::new(HOUR, false)), PaperShelf::new());
    let tokens = worker(0, &vendor, Some(&shelf));
    current(&tokens).await.unwrap();
    let asked = shelf.asked();
    shelf.set(Mood::Hangs);
    for _ in 0..1_000 {
        current(&tokens).await.unwrap();
    }
    assert_eq!((shelf.asked(), vendor.granted()), (asked, 1));
}

#[tokio::test(start_paused = true)]
async fn near_its_end_calls_go_on_with_the_token_while_the_next_is_fetched() {
    let (vendor, shelf) = (Arc::new(PaperVendor::new(HOUR, false)), PaperShelf::new());
    let workers = fleet(&vendor, &shelf);
    for tokens in &workers {
        current(tokens).await.unwrap();
    }
    vendor.gate.forget_permits(1_000);
    sleep(HOUR - Duration::from_secs(59)).await;
    for tokens in workers.iter().cycle().take(40) {
        let before = Instant::now();
        assert_eq!(text(&current(tokens).await), "s3cret-token-1");
        assert_eq!(before.elapsed(), Duration::ZERO, "no call waits");
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(vendor.asked.load(Ordering::SeqCst), 2, "one worker asks");
    vendor.gate.add_permits(1_000);
    sleep(Duration::from_secs(1)).await;
    for tokens in &workers {
        assert_eq!(text(&current(tokens).await), "s3cret-token-2");
    }
    assert_eq!(vendor.granted(), 2);
}

#[tokio::test(start_paused = true)]
async fn once_a_new_token_was_seen_to_kill_the_old_one_calls_wait_for_the_next() {
    let (vendor, shelf) = (Arc::new(PaperVendor::new(HOUR, true)), PaperShelf::new());
    let tokens = worker(0, &vendor, Some(&shelf));
    let mut refusals = vec![];
    for _ in 0..3 {
        call(&tokens, &vendor).await;
        sleep(HOUR - Duration::from_secs(59)).await;
        // Those that begin while the next is fetched.
        let calls = (0..10).map(|number| {
            let (tokens, vendor) = (&tokens, &vendor);
            async move {
                sleep(Duration::from_millis(10 * number)).await;
                call(tokens, vendor).await
            }
        });
        refusals.push(join_all(calls).await.into_iter().sum::<u32>());
    }
    assert!(refusals[0] > 0, "it has to be seen once");
    assert_eq!(refusals[1..], [0, 0]);
    assert_eq!(vendor.granted(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_starts_takes_the_fleet_s_token_with_its_scopes_and_the_rest_of_its_life() {
    let (vendor, shelf) = (Arc::new(PaperVendor::new(HOUR, false)), PaperShelf::new());
    let first = current(&worker(-40, &vendor, Some(&shelf))).await.unwrap();
    sleep(HOUR / 2).await;
    let late = worker(90, &vendor, Some(&shelf));
    let taken = current(&late).await.unwrap();
    assert_eq!(taken.secret.expose_secret(), first.secret.expose_secret());
    assert_eq!((&taken.scopes, taken.generation), (&first.scopes, Some(1)));
    assert_eq!(taken.scopes.as_deref(), Some(&["user:read:admin".to_owned()][..]));
    assert_eq!(vendor.granted(), 1);
    // Half of its life is over, whatever the two workers' clocks and the store's show.
    sleep(HOUR / 2 - Duration::from_secs(61)).await;
    assert_eq!(text(&current(&late).await), "s3cret-token-1");
    sleep(Duration::from_secs(61)).await;
    assert_eq!(text(&current(&late).await), "s3cret-token-2");
}

#[tokio::test(start_paused = true)]
async fn what_lies_on_the_shelf_and_does_not_open_is_replaced() {
    let vendor = Arc::new(PaperVendor::new(HOUR, false));
    for case in ["rubbish", "nothing", "another secret's", "sealed rubbish"] {
        let shelf = PaperShelf::new();
        let granted = vendor.granted();
        match case {
            "another secret's" => {
                current(&worker_with(1, &vendor, Some(&shelf), "before the rotation")).await.unwrap();
            }
            _ => {
                let sealed = match case {
                    "rubbish" => vec![0xff; 300],
                    "nothing" => vec![],
                    _ => sealing("s3cret").seal(b"{}").unwrap(),
                };
                let mut lying = shelf.lying.lock().unwrap();
                lying.token = Some((sealed, usher_shared::Timestamp::from_millis(i64::MAX)));
                lying.generation = 7;
            }
        }
        let fetched = granted + u32::from(case == "another secret's") + 1;
        let tokens = worker(0, &vendor, Some(&shelf));
        assert_eq!(text(&current(&tokens).await), format!("s3cret-token-{fetched}"), "{case}");
        // And the next worker takes the new one.
        assert_eq!(
            text(&current(&worker(2, &vendor, Some(&shelf))).await),
            format!("s3cret-token-{fetched}")
        );
        assert_eq!(vendor.granted(), fetched, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_stops_nobody() {
    for mood in [Mood::Down, Mood::Hangs] {
        let (vendor, shelf) = (Arc::new(PaperVendor::new(HOUR, false)), PaperShelf::new());
        shelf.set(mood);
        // With no token: one of its own, within the call's time.
        let tokens = worker(0, &vendor, Some(&shelf));
        let began = Instant::now();
        assert_eq!(text(&current(&tokens).await), "s3cret-token-1", "{mood:?}");
        assert!(began.elapsed() < CALL_TIMEOUT / 2, "{:?}", began.elapsed());
        // Near its end: goes on with it for as long as it is good, and fetches none beside the fleet's.
        sleep(HOUR - Duration::from_secs(59) - began.elapsed()).await;
        for _ in 0..40 {
            let before = Instant::now();
            assert_eq!(text(&current(&tokens).await), "s3cret-token-1");
            assert_eq!(before.elapsed(), Duration::ZERO);
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(vendor.granted(), 1);
        assert!(shelf.asked() < 400, "asked {} times", shelf.asked());
        sleep(Duration::from_secs(20)).await;
        assert_eq!(text(&current(&tokens).await), "s3cret-token-2");
        // And when it is back, the token is shared again at the next refusal.
        shelf.set(Mood::Well);
        vendor.kill_all();
        assert_eq!(call(&tokens, &vendor).await, 1);
        assert_eq!(call(&worker(1, &vendor, Some(&shelf)), &vendor).await, 0);
        assert_eq!(vendor.granted(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn lost_answers_of_the_store_cost_a_wait_and_no_token_for_nothing() {
    let (vendor, shelf) = (Arc::new(PaperVendor::new(HOUR, true)), PaperShelf::new());
    let tokens = worker(0, &vendor, Some(&shelf));
    call(&tokens, &vendor).await;
    vendor.kill_all();
    shelf.set(Mood::LosesAnswers);
    let back = async {
        sleep(Duration::from_secs(1)).await;
        shelf.set(Mood::Well);
    };
    // The claim that nobody was told of ends by itself.
    let (refusals, ()) = tokio::join!(call(&tokens, &vendor), back);
    assert_eq!((refusals, vendor.granted()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn the_claim_of_a_worker_that_died_is_taken_over_within_one_call() {
    let (vendor, shelf) = (Arc::new(PaperVendor::new(HOUR, false)), PaperShelf::new());
    let dying = worker(0, &vendor, Some(&shelf));
    vendor.gate.forget_permits(1_000);
    let fetch = tokio::spawn(async move { current(&dying).await });
    sleep(Duration::from_secs(1)).await;
    assert_eq!(vendor.asked.load(Ordering::SeqCst), 1);
    // What it fetches is never answered; meanwhile the vendor is well again.
    let living = worker(1, &vendor, Some(&shelf));
    let (taken, ()) = tokio::join!(current(&living), async {
        sleep(CALL_TIMEOUT / 2).await;
        vendor.gate.add_permits(1_000);
    });
    assert_eq!(taken.unwrap().generation, Some(1));
    // The first one's claim was taken over: whichever came first to the shelf, both use that.
    assert_eq!(fetch.await.unwrap().unwrap().generation, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_refresh_is_everybody_s_answer_and_gives_its_claim_up() {
    let (vendor, shelf) = (Arc::new(PaperVendor::new(HOUR, false)), PaperShelf::new());
    *vendor.refuses.lock().unwrap() = Some(bad_credentials());
    let tokens = worker(0, &vendor, Some(&shelf));
    for answer in join_all((0..100).map(|_| current(&tokens))).await {
        assert_eq!(answer.unwrap_err(), bad_credentials());
    }
    assert_eq!(vendor.asked.load(Ordering::SeqCst), 1);
    *vendor.refuses.lock().unwrap() = None;
    let began = Instant::now();
    current(&worker(1, &vendor, Some(&shelf))).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "nobody waits for the claim of one that failed");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_ahead_of_time_fails_no_call_and_is_not_asked_for_again_at_once() {
    for shelf in [None, Some(PaperShelf::new())] {
        let vendor = Arc::new(PaperVendor::new(HOUR, false));
        let tokens = worker(0, &vendor, shelf.as_ref());
        current(&tokens).await.unwrap();
        *vendor.refuses.lock().unwrap() = Some(Reply::of(Verdict::Transient));
        sleep(HOUR - Duration::from_secs(60)).await;
        for _ in 0..430 {
            assert_eq!(text(&current(&tokens).await), "s3cret-token-1");
            sleep(Duration::from_millis(100)).await;
        }
        let asked = vendor.asked.load(Ordering::SeqCst);
        assert!((3..20).contains(&asked), "asked {asked} times");
        *vendor.refuses.lock().unwrap() = None;
        sleep(Duration::from_secs(17)).await;
        assert_eq!(text(&current(&tokens).await), "s3cret-token-2");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_leaves_the_others_their_fetch() {
    for shelf in [None, Some(PaperShelf::new())] {
        let vendor = Arc::new(PaperVendor::new(HOUR, false));
        vendor.gate.forget_permits(1_000);
        let tokens = worker(0, &vendor, shelf.as_ref());
        let hasty = tokens.current(Instant::now() + Duration::from_secs(1)).await.unwrap_err();
        assert_eq!((hasty.verdict, hasty.code.as_deref()), (Verdict::Transient, Some("timeout")));
        let (token, ()) = tokio::join!(current(&tokens), async { vendor.gate.add_permits(1_000) });
        assert_eq!(text(&token), "s3cret-token-1");
        assert_eq!(vendor.asked.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_refusals_of_one_token_make_one_fetch_and_a_newer_one_is_not_thrown_away() {
    let vendor = Arc::new(PaperVendor::new(HOUR, false));
    let tokens = worker(0, &vendor, None);
    let old = current(&tokens).await.unwrap();
    vendor.kill_all();
    for _ in 0..100 {
        tokens.refused(&old);
    }
    let answers = join_all((0..100).map(|_| current(&tokens))).await;
    assert!(answers.iter().all(|token| text(token) == "s3cret-token-2"));
    tokens.refused(&old);
    assert_eq!(text(&current(&tokens).await), "s3cret-token-2");
    assert_eq!(vendor.granted(), 2);
}
