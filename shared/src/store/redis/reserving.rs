//! Counting users towards an account's cap of a day.

use super::{RedisStore, reply, script, working::millis};
use crate::{
    RunId,
    store::{CHUNK, RESERVING, Reserved, StoreError, UtcDay},
};

impl RedisStore {
    pub(super) async fn count_users(
        &self,
        run: &RunId,
        day: UtcDay,
        users: &[String],
        cap: u64,
    ) -> Result<Reserved, StoreError> {
        if users.len() > CHUNK {
            return Err(StoreError::Refused(
                format!("no more than {CHUNK} users are counted at once").into(),
            ));
        }
        let reply = self
            .on_run(script::RESERVE, run, "users are counted before it is admitted", |call| {
                call.arg(day).arg("count").arg(cap).arg(millis(RESERVING)).arg(users);
            })
            .await?;
        match reply.code {
            0 => Ok(Reserved::Counted { used: reply.count(0)? }),
            1 => Ok(Reserved::Over { used: reply.count(0)? }),
            2 => Ok(Reserved::Busy(reply.text(0)?.parse().map_err(|_| reply::odd("a run id that is none"))?)),
            _ => Err(reply::odd("a count with no such answer")),
        }
    }

    pub(super) async fn take_back_users(&self, run: &RunId, day: UtcDay) -> Result<u64, StoreError> {
        self.on_run(script::RESERVE, run, "nothing is counted on its behalf", |call| {
            call.arg(day).arg("back").arg(millis(RESERVING));
        })
        .await?
        .count(0)
    }
}
