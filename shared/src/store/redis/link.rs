//! One connection that many calls share, replaced when it breaks.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, RedisResult, Value, aio::MultiplexedConnection,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::error::spoils_connection;

/// How long a new connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a reply may take. Every script ends within milliseconds; what takes this long is not coming.
const RESPONSE: Duration = Duration::from_secs(3);
/// How long a call may take in all, waiting for a connection included.
const CALL: Duration = Duration::from_secs(5);
/// For how long a failed try to connect stands for those who waited for it.
const REFUSED_FOR: Duration = Duration::from_millis(50);

/// One connection that many calls share. A call whose connection breaks fails; the next one connects anew. A reply
/// that does not come breaks the connection too: a half-open one would swallow every later call.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u64,
    connection: Option<MultiplexedConnection>,
    failed: Option<(Instant, RedisError)>,
}

impl Link {
    /// A link that connects when it is first used.
    pub(super) fn new(client: Client) -> Self {
        Self { client, slot: Mutex::default() }
    }

    /// The client, for connections of other kinds.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a command and returns its reply.
    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        match timeout(CALL, self.send_within(command)).await {
            Ok(reply) => reply,
            Err(_) => Err((ErrorKind::Io, "no reply", format!("within {} s", CALL.as_secs())).into()),
        }
    }

    async fn send_within(&self, command: &Cmd) -> RedisResult<Value> {
        let (generation, mut connection) = self.connection().await?;
        let reply = command.query_async(&mut connection).await;
        if let Err(error) = &reply
            && spoils_connection(error)
        {
            let mut slot = self.slot.lock().await;
            if slot.generation == generation {
                slot.connection = None;
            }
        }
        reply
    }

    /// A connection apart from the shared one.
    pub(super) async fn another(&self) -> RedisResult<MultiplexedConnection> {
        self.client.get_multiplexed_async_connection_with_config(&times()).await
    }

    async fn connection(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = &slot.connection {
            return Ok((slot.generation, connection.clone()));
        }
        if let Some((at, error)) = &slot.failed
            && at.elapsed() < REFUSED_FOR
        {
            return Err(error.clone());
        }
        match self.another().await {
            Ok(connection) => {
                slot.generation += 1;
                slot.connection = Some(connection.clone());
                slot.failed = None;
                Ok((slot.generation, connection))
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

fn times() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(RESPONSE))
}
