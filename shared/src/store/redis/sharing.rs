//! What a fleet shares beside its work: day quotas, pulses, the access token.

use std::time::Duration;

use rand::RngExt;
use tokio::time::sleep;

use super::{
    RedisStore, error,
    reply::{self, Refusal, Reply},
    script,
    working::millis,
};
use crate::{
    AccountName, Drawn, Pulse, QuotaWindow, Timestamp, WorkerId,
    store::{PULSE_LASTS, Refresh, RefreshClaim, ShelvedToken, StoreError},
};

/// A fetched token whose shelving was not answered is shelved again, so often at the most: its claim is spent.
const SHELVE_TRIES: u32 = 20;
/// Between two such tries, at the least; up to twice as long.
const SHELVE_AGAIN: Duration = Duration::from_millis(100);
/// What a script's number holds exactly: calls and durations are cut to it.
const MOST: u64 = 1 << 52;

impl RedisStore {
    pub(super) async fn draw(
        &self,
        account: &AccountName,
        label: &str,
        window: QuotaWindow,
        calls: u64,
        cap: u64,
    ) -> Result<Drawn, StoreError> {
        let word = match window {
            QuotaWindow::UtcDay => "utc_day",
            QuotaWindow::Rolling24h => "rolling24h",
        };
        let mut call = self.core.call(script::QUOTA, account);
        call.arg(label).arg(word).arg(calls.min(MOST)).arg(cap.min(MOST));
        let reply = self.core.send(script::QUOTA, &call).await?;
        let at = Timestamp::from_millis(reply.code);
        let oldest = match reply.text(2)?.as_str() {
            "" => None,
            hour => Some(hour.parse().map_err(|_| reply::odd("an hour that is no number"))?),
        };
        Ok(Drawn {
            granted: reply.count(0)?,
            used: reply.count(1)?,
            at,
            frees_at: window.frees_at(at, oldest.map(Timestamp::from_millis)),
        })
    }

    pub(super) async fn give_back(
        &self,
        account: &AccountName,
        label: &str,
        drawn_at: Timestamp,
        calls: u64,
    ) -> Result<(), StoreError> {
        let mut call = self.core.call(script::QUOTA, account);
        call.arg(label).arg("return").arg(calls.min(MOST)).arg(drawn_at.as_millis());
        self.core.send(script::QUOTA, &call).await.map(drop)
    }

    pub(super) async fn publish(&self, pulse: &Pulse) -> Result<(), StoreError> {
        let text = serde_json::to_string(pulse).map_err(|error| odd_pulse(&pulse.account, &error))?;
        let mut call = self.core.call(script::PULSE, &pulse.account);
        call.arg(pulse.worker.as_str()).arg(text).arg(millis(PULSE_LASTS));
        self.core.send(script::PULSE, &call).await.map(drop)
    }

    pub(super) async fn told(&self, account: &AccountName) -> Result<Vec<Pulse>, StoreError> {
        let reply = self.core.send(script::PULSE, &self.core.call(script::PULSE, account)).await?;
        let mut pulses = Vec::new();
        for text in reply.into_rest() {
            let pulse = serde_json::from_str::<Pulse>(reply::str(&text)?);
            pulses.push(pulse.map_err(|error| odd_pulse(account, &error))?);
        }
        pulses.sort_by(|one, other| one.worker.as_str().cmp(other.worker.as_str()));
        Ok(pulses)
    }

    pub(super) async fn shelved(&self, account: &AccountName) -> Result<Option<ShelvedToken>, StoreError> {
        let mut call = self.core.call(script::TOKEN, account);
        call.arg("show");
        let reply = self.core.send(script::TOKEN, &call).await?;
        if reply.code == 0 { Ok(None) } else { read_token(reply).map(Some) }
    }

    pub(super) async fn claim(
        &self,
        account: &AccountName,
        worker: &WorkerId,
        instead_of: Option<u64>,
        ttl: Duration,
    ) -> Result<Refresh, StoreError> {
        let mut call = self.core.call(script::TOKEN, account);
        call.arg("claim").arg(worker.as_str());
        call.arg(instead_of.map_or_else(String::new, |generation| generation.to_string()))
            .arg(millis(ttl).min(MOST));
        let reply = self.core.send(script::TOKEN, &call).await?;
        Ok(match reply.code {
            0 => Refresh::Yours(RefreshClaim {
                account: account.clone(),
                claim: reply.count(0)?,
                worker: worker.clone(),
            }),
            1 => Refresh::Newer(read_token(reply)?),
            2 => Refresh::Underway(Timestamp::from_millis(reply.int(0)?)),
            _ => return Err(reply::odd("a claim with no such answer")),
        })
    }

    /// Sends the token until that is answered: the caller has given the claim away and can't, and the vendor may have
    /// killed the token before.
    pub(super) async fn shelve(
        &self,
        claim: RefreshClaim,
        sealed: &[u8],
        keep_for: Duration,
    ) -> Result<u64, StoreError> {
        let mut call = self.core.call(script::TOKEN, &claim.account);
        call.arg("shelve").arg(claim.claim).arg(sealed).arg(millis(keep_for).min(MOST));
        let mut tries = 1;
        loop {
            let sorted = match script::TOKEN.send(&self.core.link, &call).await {
                Err(error) => error::sort(error),
                reply => {
                    let reply = Reply::read(reply)?;
                    if reply.refusal() == Some(Refusal::Lapsed) {
                        return Err(StoreError::LeaseLapsed(format!(
                            "the refresh of {}'s token",
                            claim.account
                        )));
                    }
                    return reply.count(0);
                }
            };
            if !sorted.is_retryable() || tries >= SHELVE_TRIES {
                return Err(sorted);
            }
            tries += 1;
            let jitter = rand::rng().random_range(1.0..2.0);
            sleep(SHELVE_AGAIN.mul_f64(jitter)).await;
        }
    }

    pub(super) async fn abandon(&self, claim: RefreshClaim) -> Result<(), StoreError> {
        let mut call = self.core.call(script::TOKEN, &claim.account);
        call.arg("abandon").arg(claim.claim);
        self.core.send(script::TOKEN, &call).await.map(drop)
    }
}

pub(super) fn read_token(reply: Reply) -> Result<ShelvedToken, StoreError> {
    let generation = reply.count(0)?;
    let values = reply.into_rest();
    let sealed = values.get(1).map(reply::bytes).transpose()?.flatten();
    let sealed = sealed.ok_or_else(|| reply::odd("a token that is not there"))?.to_vec();
    Ok(ShelvedToken { generation, sealed })
}

fn odd_pulse(account: &AccountName, error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt(format!("a pulse of {account}"), error.to_string())
}
