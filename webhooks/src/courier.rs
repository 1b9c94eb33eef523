//! Delivers what lies in the outbox for one endpoint, until told to stop. Several may do so at once, in as many processes: the
//! store gives each message to one of them at a time.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use usher_shared::{
    Clock, Timestamp, WorkerId,
    store::{Delivery, DeliveryState, Posted, SharedStore, StoreError, Tried},
};

use crate::{
    answer::{Answer, Meaning},
    endpoint::{Endpoint, TIMEOUT},
    metrics,
    road::{Road, Room},
};

/// The right to deliver a message lasts so long: longer than a try with all that goes with it.
const TAKEN_FOR: Duration = Duration::from_secs(40);
/// How often it is looked for messages that other processes posted.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What is under way when it is told to stop has so long; what is not done then is tried again once the right has lapsed.
const TO_FINISH: Duration = Duration::from_secs(5);
/// A message that was reposted long after it was first posted gets so many tries before it is given up on again.
const LEAST_TRIES: u32 = 8;
/// What came of a try is told to the store so many times.
const TELL_TIMES: u32 = 4;
/// How often the messages that wait are counted.
const COUNT_EVERY: Duration = Duration::from_secs(15);
/// Counted up to this.
const COUNT_AT_MOST: usize = 1_000;

/// Delivers to one endpoint.
#[derive(Debug)]
pub(crate) struct Courier {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) store: SharedStore,
    pub(crate) worker: WorkerId,
    /// The wall clock, for signatures.
    pub(crate) clock: Arc<dyn Clock>,
    /// There may be something to deliver.
    pub(crate) nudge: Arc<Notify>,
    pub(crate) seed: u64,
}

impl Courier {
    /// Delivers until told to stop, and then what is due at that moment, as far as that goes quickly.
    pub(crate) async fn deliver_until(self, mut stop: watch::Receiver<bool>) {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut road = Road::default();
        let mut failures = 0;
        let mut count_at = Instant::now();
        while !*stop.borrow() {
            let wait = match road.room(Instant::now()) {
                Room::Wait(until) => until.saturating_duration_since(Instant::now()).min(COUNT_EVERY),
                Room::Send(most) => {
                    let stopped = async {
                        // The sender is gone only when the process ends: that, too, is a stop.
                        let _ = stop.wait_for(|stop| *stop).await;
                        tokio::time::sleep(TO_FINISH).await;
                    };
                    let round = tokio::select! {
                        round = self.round(most, &mut road, &mut random) => round,
                        () = stopped => return,
                    };
                    match round {
                        Ok(sent) => {
                            failures = 0;
                            if sent == 0 { LOOK_EVERY } else { Duration::ZERO }
                        }
                        Err(error) => {
                            failures += 1;
                            if failures == 1 {
                                tracing::warn!(endpoint = %self.endpoint.name, %error, "messages can't be taken from the store for now; trying again");
                            }
                            LOOK_EVERY
                        }
                    }
                }
            };
            if count_at <= Instant::now() {
                self.count().await;
                count_at = Instant::now() + COUNT_EVERY;
            }
            if !wait.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    // Nobody is asked sooner than is due.
                    () = self.nudge.notified(), if !road.is_down() => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            }
        }
        let last = async {
            while let Room::Send(most) = road.room(Instant::now()) {
                if !matches!(self.round(most, &mut road, &mut random).await, Ok(sent) if sent > 0) {
                    break;
                }
            }
        };
        if tokio::time::timeout(TO_FINISH, last).await.is_err() {
            tracing::info!(endpoint = %self.endpoint.name, "stopped in the middle of a delivery; it is tried again by whoever runs next");
        }
    }

    /// Takes up to `most` messages that are due and tries each once; returns how many there were.
    async fn round(&self, most: usize, road: &mut Road, random: &mut StdRng) -> Result<usize, StoreError> {
        let name = &self.endpoint.name;
        let taken = self.store.take_deliveries(name, &self.worker, most, TAKEN_FOR).await?;
        if taken.is_empty() {
            return Ok(0);
        }
        let answers = join_all(taken.iter().map(|delivery| self.try_once(delivery))).await;
        let seen: Vec<(Meaning, u32)> = answers
            .iter()
            .zip(&taken)
            .map(|(answer, delivery)| (answer.meaning(), delivery.posted.tries.saturating_add(1)))
            .collect();
        let (waits, changed) = road.seen(&seen, Instant::now(), random);
        if changed {
            self.say(road, &answers);
        }
        let now = if waits.iter().any(Option::is_some) { Some(self.store.now().await?) } else { None };
        let count = taken.len();
        for ((delivery, answer), wait) in taken.into_iter().zip(answers).zip(waits) {
            let tried =
                decide(&delivery.posted, self.endpoint.config.give_up_hours, answer.meaning(), wait.zip(now));
            self.tell(delivery, tried, &answer).await;
        }
        Ok(count)
    }

    async fn try_once(&self, delivery: &Delivery) -> Answer {
        let message = &delivery.posted.message;
        let sent = self.endpoint.send(&message.id, &message.body, self.clock.now());
        // Connecting, sending and reading have their own bounds; this one is for what nobody thought of.
        match tokio::time::timeout(TIMEOUT * 2, sent).await {
            Ok(answer) => answer,
            Err(_) => Answer::None("no answer in time".to_owned()),
        }
    }

    /// Has the store know what came of a try. Where it can't be told, the message is tried again once the right has lapsed.
    async fn tell(&self, delivery: Delivery, tried: Tried, answer: &Answer) {
        let (name, said) = (&self.endpoint.name, answer.to_string());
        let message = &delivery.posted.message;
        metrics::tried(name, tried);
        match tried {
            Tried::Delivered => tracing::debug!(endpoint = %name, id = %message.id, %said, "delivered"),
            Tried::Again(at) => {
                tracing::debug!(endpoint = %name, id = %message.id, %said, %at, "to be tried again")
            }
            Tried::GivenUp => tracing::warn!(
                endpoint = %name, id = %message.id, %said, tries = delivery.posted.tries + 1,
                "given up on; `usher webhook retry {name}` has it tried again"
            ),
        }
        for time in 1..=TELL_TIMES {
            let once = Delivery { posted: delivery.posted.clone(), token: delivery.token };
            match self.store.finish_delivery(once, tried, &said).await {
                Ok(()) => return,
                Err(error) if error.is_retryable() && time < TELL_TIMES => {
                    tokio::time::sleep(Duration::from_millis(250) * time).await;
                }
                Err(error) => {
                    tracing::warn!(
                        endpoint = %name, id = %message.id, %error,
                        "what came of a delivery could not be noted: it may be sent once more, under the same id"
                    );
                    return;
                }
            }
        }
    }

    fn say(&self, road: &Road, answers: &[Answer]) {
        let (name, host) = (&self.endpoint.name, self.endpoint.host());
        if road.is_down() {
            let said = answers.first().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(endpoint = %name, %host, %said, "the webhook can't be delivered for now; it is kept and tried again");
        } else {
            tracing::info!(endpoint = %name, %host, "webhooks are delivered again");
        }
    }

    async fn count(&self) {
        let name = &self.endpoint.name;
        let waiting = self.store.outbox(name, Some(DeliveryState::Waiting), COUNT_AT_MOST).await;
        if let Ok(waiting) = waiting {
            metrics::waiting(name, waiting.len());
        }
    }
}

/// What is done about a message after a try. `again`: how long it waits for the next one, from this moment of the store's clock.
fn decide(
    posted: &Posted,
    give_up_hours: f64,
    meaning: Meaning,
    again: Option<(Duration, Timestamp)>,
) -> Tried {
    match (meaning, again) {
        (Meaning::Arrived, _) => Tried::Delivered,
        (Meaning::Gone, _) | (_, None) => Tried::GivenUp,
        (Meaning::Refused | Meaning::Away | Meaning::Down { .. }, Some((wait, now))) => {
            let keep = Duration::from_secs_f64(give_up_hours * 3_600.0);
            let too_old = now.since(posted.posted_at) >= keep && posted.tries + 1 >= LEAST_TRIES;
            if too_old { Tried::GivenUp } else { Tried::Again(now.after(wait)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::store::Message;

    use super::*;

    #[test]
    fn a_message_is_given_up_on_when_its_time_is_over_and_it_was_tried_often_enough() {
        let at = |hours: u64| Timestamp::from_millis(0).after(Duration::from_secs(hours * 3_600));
        let posted = |tries| Posted {
            message: Message {
                endpoint: "ops".into(),
                id: "id".into(),
                kind: "run.finished".into(),
                account: "zoom-main".parse().unwrap(),
                body: "{}".into(),
            },
            posted_at: at(0),
            state: DeliveryState::Waiting,
            tries,
            tried_at: None,
            due: None,
            last: None,
        };
        let wait = Duration::from_secs(7);
        let again = |hours| Some((wait, at(hours)));
        let down = Meaning::Down { retry_after: None };
        let cases = [
            (Meaning::Arrived, 900, None, Tried::Delivered),
            (Meaning::Gone, 0, None, Tried::GivenUp),
            (down, 0, again(0), Tried::Again(at(0).after(wait))),
            (down, 900, again(71), Tried::Again(at(71).after(wait))),
            (down, 900, again(72), Tried::GivenUp),
            (Meaning::Refused, 7, again(72), Tried::GivenUp),
            // Posted long ago, and reposted, or nobody was there to deliver it.
            (down, 0, again(100), Tried::Again(at(100).after(wait))),
            (Meaning::Refused, 6, again(100), Tried::Again(at(100).after(wait))),
        ];
        for (meaning, tries, again, expected) in cases {
            assert_eq!(decide(&posted(tries), 72.0, meaning, again), expected, "{meaning:?} {tries}");
        }
    }
}
