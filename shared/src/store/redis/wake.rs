//! Being told that there may be something to do: one subscribing connection, made when somebody first waits.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use redis::{Client, RedisResult};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use super::{keys, lock};
use crate::AccountName;

/// A connection that says nothing for this long is asked whether it lives.
const QUIET: Duration = Duration::from_secs(15);
/// How long connecting, subscribing, and an answer to that may take.
const ANSWER: Duration = Duration::from_secs(3);
/// Between two tries to connect.
const AGAIN: Duration = Duration::from_millis(250);

/// The wake-ups of all accounts that somebody waits for.
pub(super) struct Wakes {
    client: Client,
    bells: Mutex<HashMap<AccountName, Arc<Bell>>>,
    subscriber: Mutex<Option<mpsc::UnboundedSender<Told>>>,
}

/// An account to listen for, and its bell.
type Told = (AccountName, Arc<Bell>);

/// Counts an account's wake-ups. What rings between a lease and the wait after it ends that wait at once.
struct Bell {
    rung: watch::Sender<u64>,
    /// The count when work was last looked for.
    marked: AtomicU64,
}

impl Bell {
    fn ring(&self) {
        self.rung.send_modify(|count| *count += 1);
    }

    fn mark(&self) {
        self.marked.store(*self.rung.borrow(), Ordering::SeqCst);
    }
}

impl Wakes {
    pub(super) fn new(client: Client) -> Self {
        Self { client, bells: Mutex::default(), subscriber: Mutex::default() }
    }

    /// Work is about to be looked for: only what rings from now on is news.
    pub(super) fn mark(&self, account: &AccountName) {
        if let Some(bell) = lock(&self.bells).get(account) {
            bell.mark();
        }
    }

    /// Waits for the account's bell, but no longer than `at_most`. Returns early after each new connection, which may
    /// have missed a ring.
    pub(super) async fn wait(&self, account: &AccountName, at_most: Duration) {
        let bell = self.bell(account);
        let marked = bell.marked.load(Ordering::SeqCst);
        let mut rung = bell.rung.subscribe();
        // Neither end of the wait is news to the caller, who looks for work in any case.
        drop(timeout(at_most, rung.wait_for(|count| *count != marked)).await);
        bell.mark();
    }

    fn bell(&self, account: &AccountName) -> Arc<Bell> {
        let mut bells = lock(&self.bells);
        if let Some(bell) = bells.get(account) {
            return Arc::clone(bell);
        }
        let bell = Arc::new(Bell { rung: watch::Sender::new(0), marked: AtomicU64::new(0) });
        bells.insert(account.clone(), Arc::clone(&bell));
        let news = (account.clone(), Arc::clone(&bell));
        let mut subscriber = lock(&self.subscriber);
        let unsent = match subscriber.as_ref() {
            Some(queue) => queue.send(news).err().map(|error| error.0),
            None => Some(news),
        };
        if let Some(news) = unsent {
            let (queue, accounts) = mpsc::unbounded_channel();
            // It can't fail: the receiving end is in hand.
            drop(queue.send(news));
            *subscriber = Some(queue);
            tokio::spawn(listen(self.client.clone(), accounts));
        }
        bell
    }
}

/// Keeps a subscribing connection to all accounts that it is told of, until the store is dropped.
async fn listen(client: Client, mut news: mpsc::UnboundedReceiver<Told>) {
    let mut bells: HashMap<String, Arc<Bell>> = HashMap::new();
    loop {
        match listen_on_one(&client, &mut news, &mut bells).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "not told of new work for the moment"),
        }
        if news.is_closed() && news.is_empty() {
            return;
        }
        sleep(AGAIN).await;
    }
}

/// Ends with `Ok` once the store is dropped.
async fn listen_on_one(
    client: &Client,
    news: &mut mpsc::UnboundedReceiver<Told>,
    bells: &mut HashMap<String, Arc<Bell>>,
) -> RedisResult<()> {
    let (mut sink, mut messages) = in_time(client.get_async_pubsub()).await?.split();
    if !bells.is_empty() {
        in_time(sink.subscribe(bells.keys().collect::<Vec<_>>())).await?;
        bells.values().for_each(|bell| bell.ring());
    }
    loop {
        tokio::select! {
            told = news.recv() => match told {
                Some((account, bell)) => {
                    let channel = keys::of(&account, "wake");
                    bells.insert(channel.clone(), Arc::clone(&bell));
                    in_time(sink.subscribe(channel)).await?;
                    bell.ring();
                }
                None => return Ok(()),
            },
            message = messages.next() => match message {
                Some(message) => {
                    if let Some(bell) = bells.get(message.get_channel_name()) {
                        bell.ring();
                    }
                }
                None => return Err((redis::ErrorKind::Io, "the subscribing connection has ended").into()),
            },
            () = sleep(QUIET) => in_time(sink.ping::<redis::Value>()).await.map(drop)?,
        }
    }
}

async fn in_time<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| Err((redis::ErrorKind::Io, "no answer in time").into());
    timeout(ANSWER, answer).await.unwrap_or_else(late)
}
