//! The same random sequences of operations on a store and on the model of it, compared after each step.
//!
//! `USHER_MODEL_CASES=n` plays so many sequences from a fresh seed; `USHER_MODEL_SEED=n` plays those of a seed that was
//! printed.

pub mod calls;
mod operating;
pub mod ops;
pub mod player;
mod reporting;
pub mod script;
pub mod seen;
mod serving;
mod submitting;

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};
use usher_shared::{
    ManualClock, Timestamp,
    store::{SharedStore, memory::MemoryStore},
};

use self::{
    ops::Step,
    player::{Player, Reached, World},
    script::script,
};

/// Seeds that are played each time.
const SEEDS: [u64; 2] = [1, 2];

/// What scripts must have come to, each at least once.
const EACH: [&str; 21] = [
    "applied",
    "superseded",
    "cancelled",
    "protected",
    "lost",
    "retries",
    "run alone",
    "leases of several",
    "finished",
    "refusals",
    "expired",
    "confirmed",
    "counted",
    "over a cap",
    "tried again",
    "pruned",
    "sealed entries",
    "submitted whole",
    "submitted before",
    "busy keys",
    "delivered",
];

/// Where the clock begins.
pub const BEGIN: Timestamp = Timestamp::from_millis(1_763_600_000_000);

/// Plays scripts on stores that `world` makes, each of which is empty and lives by the clock it is given.
pub fn compare<W: World>(
    name: &'static str,
    cases: u32,
    mut world: impl FnMut(Arc<ManualClock>) -> W,
    model: impl Fn(MemoryStore) -> MemoryStore,
) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let by_hand = number("USHER_MODEL_CASES").map(|cases| u32::try_from(cases).unwrap_or(u32::MAX));
    let seed = number("USHER_MODEL_SEED");
    let fresh = seed.unwrap_or_else(rand::random::<u64>);
    eprintln!("to repeat this: USHER_MODEL_SEED={fresh}");
    let mut plans = vec![(fresh, by_hand.unwrap_or(cases))];
    if by_hand.is_none() && seed.is_none() {
        plans.extend(SEEDS.map(|seed| (seed, cases)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (scripts, steps) = (Cell::new(0_u64), Cell::new(0_usize));
    let reached = RefCell::new(Reached::default());
    let world = RefCell::new(&mut world);
    let play = |script: Vec<Step>| {
        scripts.set(scripts.get() + 1);
        steps.set(steps.get() + script.len());
        let clock = Arc::new(ManualClock::new(BEGIN));
        let made = (world.borrow_mut())(clock.clone());
        let played = runtime.block_on(async {
            let store: SharedStore = Arc::new(model(MemoryStore::new(clock.clone())));
            Player::new(&made, clock, store).await.play(&script).await
        });
        match played {
            Ok(more) => reached.borrow_mut().add(more),
            Err(told) => return Err(TestCaseError::fail(told)),
        }
        Ok(())
    };
    for (i, (seed, cases)) in plans.into_iter().enumerate() {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config {
            cases,
            max_shrink_iters: 4_096,
            // What failed once is played first of all.
            failure_persistence: (i == 0).then(|| {
                Box::new(FileFailurePersistence::Direct(name))
                    as Box<dyn proptest::test_runner::FailurePersistence>
            }),
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, random);
        if let Err(TestError::Fail(reason, script)) = runner.run(&script(), play) {
            panic!(
                "seed {seed}: the store and the model differ, after {} operations:\n{reason}",
                script.len()
            );
        }
    }
    let reached = reached.into_inner().0;
    eprintln!("{} scripts, {} operations: {reached:?}", scripts.get(), steps.get());
    // What is played each time comes to all of it; a few scripts of another seed need not.
    for what in EACH.into_iter().filter(|_| by_hand.is_none() && seed.is_none()) {
        assert!(reached.get(what).is_some_and(|times| *times > 0), "no script came to {what}");
    }
}
