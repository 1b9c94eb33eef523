//! A submission becomes one run, whole or not at all, whatever the store answers on the way.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use usher_producer::{
    intake::{Intake, IntakeError, IntakeOptions, Row, parse},
    submit::{
        Description, Draft, FillOptions, Filled, Key, Patience, Progress, SubmitError, Submitted, distinct,
        submit,
    },
};
use usher_shared::{
    Action, Clock, ManualClock, Request, RunId, Timestamp,
    store::{CHUNK, OPEN_RUN_EXPIRES, SharedStore, Store, StoreError, memory::MemoryStore},
};

const OPENED: Timestamp = Timestamp::from_millis(1_760_000_000_000);

/// An empty store, seen from both sides, and its clock.
struct Kept {
    memory: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
}

impl Kept {
    fn empty() -> (Self, SharedStore) {
        let clock = Arc::new(ManualClock::new(OPENED));
        let memory = Arc::new(MemoryStore::new(clock.clone()));
        (Self { memory: memory.clone(), clock }, memory)
    }

    /// How many runs can be seen, and how many are open.
    async fn runs(&self) -> (usize, usize) {
        (self.memory.runs(None, 100).await.unwrap().len(), self.memory.open_runs())
    }

    async fn requests(&self, run: &RunId) -> Vec<Request> {
        let requests = self.memory.requests(run, 0, 100_000).await.unwrap();
        requests.into_iter().map(|(_, request)| request).collect()
    }

    async fn end(&self, run: &RunId) {
        assert_eq!(self.memory.cancel(run, CHUNK).await.unwrap(), 0);
    }

    /// Forgets what is open, as a store does after an hour.
    async fn expire(&self) {
        self.clock.advance(OPEN_RUN_EXPIRES + Duration::from_millis(1));
        self.memory.expire_open_runs().await.unwrap();
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("connection refused".into())
}

fn description() -> Description {
    Description { reason: Some("left".into()), ..Description::new("zoom-main".parse().unwrap(), "test") }
}

/// Options whose first run ids are those of [`ids`], and that pause for no time.
fn options() -> FillOptions {
    FillOptions {
        clock: Arc::new(ManualClock::new(OPENED)),
        random: Box::new(StdRng::seed_from_u64(7)),
        patience: Patience { calls: 3, first_pause: Duration::ZERO, longest_pause: Duration::ZERO },
        ..FillOptions::default()
    }
}

fn ids(count: usize) -> Vec<RunId> {
    let mut random = StdRng::seed_from_u64(7);
    (0..count).map(|_| RunId::new(ManualClock::new(OPENED).now(), &mut random)).collect()
}

fn requests(count: u64) -> impl Iterator<Item = Request> + Send + 'static {
    (1..=count).map(|line| request(line, &format!("u{line}@x"), Action::Deactivate))
}

fn request(line: u64, user: &str, action: Action) -> Request {
    Request { restore: None, line, user: user.parse().unwrap(), action, reason: None }
}

fn file(text: &str) -> Intake {
    let options = IntakeOptions { format: None, action: Some(Action::Deactivate) };
    parse("leavers.csv", std::io::Cursor::new(text.to_owned()), options).unwrap()
}

async fn fill(store: &SharedStore, count: u64) -> Draft {
    let filled = Draft::fill(store, description(), distinct(requests(count)), options()).await.unwrap();
    let Filled::Clean(draft) = filled else { panic!("{filled:?}") };
    draft
}

#[tokio::test]
async fn requests_are_appended_in_chunks_several_at_a_time_and_arrive_in_order() {
    let (kept, store) = Kept::empty();
    kept.memory.gather_appends(3);
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    let options = FillOptions {
        in_flight: NonZeroUsize::new(3).unwrap(),
        progress: Some(Box::new(move |progress: Progress| telling.lock().unwrap().push(progress))),
        ..options()
    };
    let filled = Draft::fill(&store, description(), distinct(requests(5_750)), options).await.unwrap();
    let Filled::Clean(draft) = filled else { panic!("{filled:?}") };
    assert_eq!(kept.runs().await, (0, 1));
    assert_eq!(draft.contents().requests, 5_750);
    let run = draft.run().clone();
    assert_eq!(draft.seal(Key::Content).await.unwrap(), Submitted::New { run: run.clone(), previous: None });
    assert_eq!(kept.memory.calls("append"), 12);
    assert_eq!(kept.memory.most_appends(), 3);
    assert!(kept.requests(&run).await.into_iter().eq(requests(5_750)));
    assert_eq!(kept.memory.seal_of(&run).unwrap().by_action, [(Action::Deactivate, 5_750)].into());
    let sealed = kept.memory.run(&run).await.unwrap().unwrap().run;
    assert_eq!((sealed.created_at, sealed.reason.as_deref()), (OPENED, Some("left")));
    let told = told.lock().unwrap();
    assert_eq!(told.last(), Some(&Progress { read: 5_750, stored: 5_750, bad: 0 }));
    assert!(told.is_sorted_by_key(|progress| progress.stored));
}

#[tokio::test]
async fn the_same_people_in_another_form_are_the_same_run_until_it_is_over() {
    let (kept, store) = Kept::empty();
    let forms =
        ["email,x\na@x,1\nb@x,2\n", "\u{feff}Name;E-Mail\r\nA;A@X\r\n\r\nB;b@x\r\nA;a@x\r\n", "a@x\nb@x"];
    let mut runs = Vec::new();
    for form in forms {
        let filled = Draft::fill(&store, description(), file(form), FillOptions::default()).await.unwrap();
        let Filled::Clean(draft) = filled else { panic!("{filled:?}") };
        runs.push(draft.seal(Key::Content).await.unwrap());
    }
    let first = runs[0].run().clone();
    assert!(matches!(runs[0], Submitted::New { .. }));
    assert!(runs[1..].iter().all(|run| *run == Submitted::Existing { run: first.clone() }), "{runs:?}");
    kept.end(&first).await;
    let again =
        submit(&store, description(), ["a@x", "b@x"].map(|user| request(1, user, Action::Deactivate)));
    let again = again.await.unwrap();
    assert!(matches!(&again, Submitted::New { previous: Some(previous), .. } if *previous == first));
    let other = submit(&store, description(), [request(1, "a@x", Action::Activate)]).await.unwrap();
    assert!(matches!(other, Submitted::New { previous: None, .. }));
    assert_eq!(kept.memory.open_runs(), 0);
}

#[tokio::test]
async fn a_key_of_ones_own_is_for_good_and_other_content_is_a_conflict() {
    let (kept, store) = Kept::empty();
    let key = || Key::Own("ticket-7".into());
    let first = fill(&store, 2).await.seal(key()).await.unwrap();
    kept.end(first.run()).await;
    let again =
        Draft::fill(&store, description(), distinct(requests(2)), FillOptions::default()).await.unwrap();
    let Filled::Clean(again) = again else { panic!("{again:?}") };
    assert_eq!(again.seal(key()).await.unwrap(), Submitted::Existing { run: first.run().clone() });
    let other =
        Draft::fill(&store, description(), distinct(requests(3)), FillOptions::default()).await.unwrap();
    let Filled::Clean(other) = other else { panic!("{other:?}") };
    let error = other.seal(key()).await.unwrap_err();
    assert!(matches!(error, SubmitError::Store(StoreError::Conflict { .. })), "{error}");
    assert_eq!(kept.runs().await, (1, 0));
}

#[tokio::test]
async fn a_taken_id_leads_to_another_and_a_store_that_is_away_is_asked_again() {
    let (kept, store) = Kept::empty();
    let ids = ids(3);
    kept.memory
        .fail("open_run", [away(), StoreError::IdTaken(ids[0].clone()), StoreError::IdTaken(ids[1].clone())]);
    kept.memory.fail("append", [away(), away()]);
    kept.memory.fail("seal", [away(), away()]);
    let submitted = fill(&store, 501).await.seal(Key::Content).await.unwrap();
    assert_eq!(submitted, Submitted::New { run: ids[2].clone(), previous: None });
    assert!(kept.requests(&ids[2]).await.into_iter().eq(requests(501)));
    assert_eq!(
        (kept.memory.calls("open_run"), kept.memory.calls("append"), kept.memory.calls("seal")),
        (4, 4, 3)
    );
}

#[tokio::test]
async fn patience_ends_and_leaves_nothing_to_be_seen() {
    let (kept, store) = Kept::empty();
    kept.memory.fail("append", (0..3).map(|_| away()));
    let options = FillOptions { in_flight: NonZeroUsize::MIN, ..options() };
    let error = Draft::fill(&store, description(), distinct(requests(10_000)), options).await.unwrap_err();
    assert!(matches!(error, SubmitError::Store(StoreError::Unavailable(_))), "{error}");
    assert_eq!(kept.memory.calls("append"), 3);
    assert_eq!(kept.runs().await, (0, 0));
    let taken: Vec<_> = ids(1).iter().cycle().take(10).map(|id| StoreError::IdTaken(id.clone())).collect();
    kept.memory.fail("open_run", taken);
    let error = submit(&store, description(), requests(1)).await.unwrap_err();
    assert!(matches!(error, SubmitError::Store(StoreError::IdTaken(_))), "{error}");
}

#[tokio::test]
async fn bad_rows_keep_a_draft_from_being_sealed_until_they_are_skipped() {
    let (kept, store) = Kept::empty();
    let noticed = Arc::new(AtomicU64::new(0));
    let counting = noticed.clone();
    let options = FillOptions {
        notice: Some(Box::new(move |_: &Row| {
            counting.fetch_add(1, Ordering::SeqCst);
        })),
        ..options()
    };
    let text = "email\na@x\nA@x\nann\nb@x\n\"me\"\n";
    let Filled::Flawed(flawed) = Draft::fill(&store, description(), file(text), options).await.unwrap()
    else {
        panic!()
    };
    let contents = flawed.contents();
    assert_eq!((contents.requests, contents.duplicates.total, contents.bad.total), (2, 1, 2));
    assert_eq!((contents.duplicates.first[0].line, contents.bad.first[0].line), (3, 4));
    assert_eq!(noticed.load(Ordering::SeqCst), 3);
    let draft = flawed.skip_invalid().unwrap();
    let submitted = draft.seal(Key::Content).await.unwrap();
    let users: Vec<_> = kept.requests(submitted.run()).await.iter().map(|r| r.user.to_string()).collect();
    assert_eq!(users, ["a@x", "b@x"]);
}

#[tokio::test]
async fn a_discarded_draft_is_gone_and_one_that_expired_says_so() {
    let (kept, store) = Kept::empty();
    let text = "email\na@x\nann\n";
    let Filled::Flawed(flawed) = Draft::fill(&store, description(), file(text), options()).await.unwrap()
    else {
        panic!()
    };
    flawed.discard().await.unwrap();
    assert_eq!(kept.memory.open_runs(), 0);
    let draft = fill(&store, 1).await;
    kept.expire().await;
    assert!(matches!(draft.seal(Key::Content).await, Err(SubmitError::Expired)));
    let draft = fill(&store, 1).await;
    kept.expire().await;
    draft.discard().await.unwrap();
    let error = fill(&store, 1).await.seal(Key::Own("content:x".into())).await.unwrap_err();
    assert!(matches!(error, SubmitError::Key(_)), "{error}");
    assert_eq!(kept.runs().await, (0, 0));
}

#[tokio::test]
async fn where_no_row_is_good_the_store_is_never_asked() {
    let (kept, store) = Kept::empty();
    let error = submit(&store, description(), []).await.unwrap_err();
    assert!(matches!(error, SubmitError::Empty), "{error}");
    let filled = Draft::fill(&store, description(), file("email\nann\nbob\n"), options()).await.unwrap();
    assert_eq!(filled.contents().bad.total, 2);
    let Filled::Flawed(flawed) = filled else { panic!() };
    assert!(matches!(flawed.skip_invalid(), Err(SubmitError::Empty)));
    assert_eq!(kept.memory.calls("open_run"), 0);
}

#[tokio::test]
async fn a_file_that_turns_out_unusable_takes_back_what_was_appended() {
    let (kept, store) = Kept::empty();
    let rows = distinct(requests(2_000)).chain([Err(IntakeError::NotUtf8 { name: "f".into(), line: 2_001 })]);
    let error = Draft::fill(&store, description(), rows, options()).await.unwrap_err();
    assert!(matches!(error, SubmitError::Intake(IntakeError::NotUtf8 { line: 2_001, .. })), "{error}");
    assert_eq!(kept.memory.calls("append"), 4);
    assert_eq!(kept.runs().await, (0, 0));
}

#[tokio::test]
async fn one_call_refuses_requests_that_contradict_each_other() {
    let (kept, store) = Kept::empty();
    let both = [request(1, "a@x", Action::Activate), request(2, "A@x", Action::Deactivate)];
    let error = submit(&store, description(), both).await.unwrap_err().to_string();
    let expected = "1 of the rows can't be submitted; the first: line 2: this row says deactivate for A@x, line 1 says activate; remove one of the two";
    assert_eq!(error, expected);
    assert_eq!(kept.runs().await, (0, 0));
}

#[tokio::test]
#[should_panic(expected = "the caller's own")]
async fn a_panic_in_the_callers_rows_is_the_callers() {
    let (_, store) = Kept::empty();
    let rows = requests(10).inspect(|request| assert!(request.line < 5, "the caller's own"));
    let result = submit(&store, description(), rows).await;
    panic!("came back with {result:?}");
}

#[tokio::test]
async fn a_submission_that_is_given_up_stops_reading() {
    let (kept, store) = Kept::empty();
    let (stopped, at) = tokio::sync::oneshot::channel();
    struct Signal(Option<tokio::sync::oneshot::Sender<u64>>, u64);
    impl Signal {
        fn next(&mut self) -> Request {
            self.1 += 1;
            request(self.1, &format!("u{}", self.1), Action::Activate)
        }
    }
    impl Drop for Signal {
        fn drop(&mut self) {
            self.0.take().unwrap().send(self.1).unwrap();
        }
    }
    let mut signal = Signal(Some(stopped), 0);
    let endless = std::iter::from_fn(move || Some(signal.next()));
    let submission = submit(&store, description(), endless);
    let watched = async {
        while kept.memory.calls("append") < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        result = submission => panic!("{result:?}"),
        () = watched => {}
    }
    assert!(at.await.unwrap() >= 1_500);
    assert_eq!(kept.runs().await.0, 0);
}
