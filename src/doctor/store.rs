//! The store: does it answer, how fast, and can a ledger be trusted to it?

use std::time::{Duration, Instant};

use usher_shared::{
    Diagnosis,
    config::{Config, StoreAddress},
    store::{SharedStore, redis},
};

use super::{Section, clocks, guards};
use crate::{
    exit::{Exit, Failure},
    limits, wiring,
};

/// Asks of which the middle one counts.
const ASKS: usize = 5;
/// A store that takes longer than this holds work up: each lease and each outcome waits for it.
const SLOW: Duration = Duration::from_millis(50);

/// Looks at the store; returns it where it can be opened.
pub async fn look(config: &Config, given: Option<StoreAddress>) -> (Section, Option<SharedStore>) {
    let address = match config.store_address(given) {
        Ok(address) => address,
        Err(error) => {
            let mut section = Section::new("store", "");
            section.add(closed(&error.to_string(), "correct store and the keys beside it in usher.toml"));
            return (section, None);
        }
    };
    let mut section = Section::new("store", address.to_string());
    if !limits::exists(&address) {
        section.add(Diagnosis::ok("answers", "there is none yet; the first run makes it"));
        return (section, None);
    }
    match wiring::open(&address).await {
        Ok(store) => {
            examine(&mut section, &address, &store).await;
            guards::audit(&mut section, config, &address);
            (section, Some(store))
        }
        Err(Failure { exit, error }) => {
            section.add_with(closed(&error.to_string(), &cure(&address, exit)), exit);
            // A server may tell why it will not do.
            if let StoreAddress::Redis(address) = &address {
                for finding in redis::examine(address).await.unwrap_or_default() {
                    section.add(finding.diagnosis());
                }
            }
            (section, None)
        }
    }
}

fn closed(found: &str, cure: &str) -> Diagnosis {
    Diagnosis::failure("answers", found, "nothing can be submitted, worked or reported", cure)
}

fn cure(address: &StoreAddress, exit: Exit) -> String {
    match (address, exit) {
        (StoreAddress::Redis(_), Exit::Unavailable) => {
            "see that the server runs and that this machine may reach it: redis-cli -u <address> PING".into()
        }
        (StoreAddress::Redis(_), _) => "correct store, or the keys beside it, in usher.toml".into(),
        (StoreAddress::Sqlite(path), _) => {
            format!("ls -l {}; or name another: store in usher.toml", path.display())
        }
    }
}

async fn examine(section: &mut Section, address: &StoreAddress, store: &SharedStore) {
    let mut times = Vec::with_capacity(ASKS);
    for _ in 0..ASKS {
        let began = Instant::now();
        if let Err(error) = store.runs(None, 1).await {
            let Failure { exit, error } = error.into();
            section.add_with(closed(&error.to_string(), &cure(address, exit)), exit);
            break;
        }
        times.push(began.elapsed());
    }
    times.sort_unstable();
    if times.len() == ASKS {
        section.add(speed(times[ASKS / 2]));
    }
    // The embedded store has no clock of its own.
    if matches!(address, StoreAddress::Redis(_)) {
        let (clock, began) = (wiring::clock(), Instant::now());
        let before = clock.now();
        if let Ok(theirs) = store.now().await {
            section.add(clocks::with_store(before.after(began.elapsed() / 2), theirs));
        }
    }
    for finding in store.examine().await {
        section.add(finding.diagnosis());
    }
}

fn speed(middle: Duration) -> Diagnosis {
    let found = format!("in {:.1} ms", middle.as_secs_f64() * 1000.0);
    if middle <= SLOW {
        return Diagnosis::ok("answers", found);
    }
    Diagnosis::warning(
        "answers",
        found,
        "each lease and each outcome waits for it: fast plans may not be reached",
        "run workers near the store, or look what keeps it busy: redis-cli --latency, SLOWLOG GET",
    )
}
