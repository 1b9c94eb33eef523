//! What is told, as receivers get it: `{"type": ..., "timestamp": ..., "data": {...}}`. Fields are only ever added.
//!
//! No more of a person is told than is needed to act: users are named in [`LeaversStillActive`] alone, as the submitter
//! named them.

use std::collections::BTreeMap;

use serde::Serialize;
use usher_shared::{
    AccountName, Outcome, Priority, RunId, RunState, RunStatus, Timestamp, config::WebhookEvent,
    store::Message,
};

/// Something that an operator must hear of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Made of what happened, the same whoever finds it out; no full stop in it, as the scheme asks.
    #[serde(skip)]
    pub id: String,
    /// The kind.
    #[serde(rename = "type")]
    pub kind: WebhookEvent,
    /// Whose users.
    #[serde(skip)]
    pub account: AccountName,
    /// When it happened, by the store's clock.
    #[serde(rename = "timestamp", serialize_with = "as_text")]
    pub at: Timestamp,
    /// What happened.
    pub data: Data,
}

/// What happened, by kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Data {
    /// `run.finished`
    RunFinished(RunFinished),
    /// `run.held`
    RunHeld(RunHeld),
    /// `run.parked`
    RunParked(RunParked),
    /// `run.deadline_near`
    DeadlineNear(DeadlineNear),
    /// `run.leavers_still_active`
    LeaversStillActive(LeaversStillActive),
    /// `account.halted`
    AccountHalted(AccountHalted),
    /// `account.resumed`
    AccountResumed(AccountResumed),
    /// `webhook.test`
    Test(Test),
}

/// Which run it is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct About {
    /// Its id.
    pub run: RunId,
    /// Whose users.
    pub account: AccountName,
    /// `deactivate`, `activate` or `mixed`.
    pub action: &'static str,
    /// `urgent`, `normal` or `bulk`.
    pub priority: Priority,
    /// Who asked: `cli:alice@host`, `token:hr`.
    pub asked_by: String,
}

impl From<&RunStatus> for About {
    fn from(status: &RunStatus) -> Self {
        Self {
            run: status.run.id.clone(),
            account: status.run.account.clone(),
            action: status.action_word(),
            priority: status.run.priority,
            asked_by: status.run.asked_by.clone(),
        }
    }
}

/// `run.finished`: every job has its outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunFinished {
    /// Which run.
    #[serde(flatten)]
    pub about: About,
    /// `finished`, `cancelled`, `expired` or `refused`.
    pub state: RunState,
    /// Users in the run.
    pub total: u64,
    /// Of them, those that are as wished: applied or already applied.
    pub as_wished: u64,
    /// Users by outcome; an outcome that none has is left out.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Why it was ended before everybody was done, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was submitted.
    #[serde(serialize_with = "as_text_or_null")]
    pub sealed_at: Option<Timestamp>,
    /// When the last job got its outcome.
    #[serde(serialize_with = "as_text_or_null")]
    pub finished_at: Option<Timestamp>,
}

/// `run.held`: nothing is changed until a person says so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunHeld {
    /// Which run.
    #[serde(flatten)]
    pub about: About,
    /// `approval`, `over_run_cap` or `over_day_cap`.
    pub why: &'static str,
    /// For people: the figures, and what to type.
    pub message: String,
    /// Users whose state it would change, where that is known.
    pub change: Option<u64>,
    /// Users in the run.
    pub total: u64,
    /// Since when.
    #[serde(serialize_with = "as_text")]
    pub since: Timestamp,
}

/// `run.parked`: the day's calls are used up; it goes on by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunParked {
    /// Which run.
    #[serde(flatten)]
    pub about: About,
    /// When calls come free again.
    #[serde(serialize_with = "as_text")]
    pub until: Timestamp,
    /// Whether a few calls of the day are left, which are kept for urgent work.
    pub kept_for_urgent: bool,
    /// Users that are not done yet.
    pub left: u64,
    /// Users in the run.
    pub total: u64,
}

/// `run.deadline_near`: what is not done by then ends as expired.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadlineNear {
    /// Which run.
    #[serde(flatten)]
    pub about: About,
    /// The deadline.
    #[serde(serialize_with = "as_text")]
    pub deadline: Timestamp,
    /// `running`, `paused`, `halted`, `held`, ...
    pub state: RunState,
    /// Users that are not done yet.
    pub left: u64,
    /// Users in the run.
    pub total: u64,
}

/// `run.leavers_still_active`: deactivations did not happen, and nobody tries any more; or the deadline has passed and nobody
/// has ended the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeaversStillActive {
    /// Which run.
    #[serde(flatten)]
    pub about: About,
    /// How the run stands: `finished`, `expired`, `refused`, ..., or that of a run past its deadline that is not over.
    pub state: RunState,
    /// Its deadline, where it has one.
    #[serde(serialize_with = "as_text_or_null")]
    pub deadline: Option<Timestamp>,
    /// How many users.
    pub number: u64,
    /// The first of them, in file order.
    pub users: Vec<Leaver>,
    /// What shows all of them.
    pub rest: String,
}

/// One user who may still sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leaver {
    /// As the submitter named the user.
    pub user: String,
    /// The outcome; null while there is none.
    pub outcome: Option<Outcome>,
    /// The vendor's code, or usher's word for the reason.
    pub code: Option<String>,
}

/// `account.halted`: nothing is called for the account until this is put right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccountHalted {
    /// The account.
    pub account: AccountName,
    /// `credentials`, `scope`, `vendor_fails` or `disagreement`.
    pub why: String,
    /// For people: what is wrong, and what to do.
    pub message: String,
    /// Whether it goes on by itself once the cause is gone; else a person has to do something.
    pub by_itself: bool,
    /// Runs of the account that wait for it.
    pub waiting_runs: u64,
    /// Since when.
    #[serde(serialize_with = "as_text")]
    pub since: Timestamp,
}

/// `account.resumed`: it goes on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccountResumed {
    /// The account.
    pub account: AccountName,
    /// Why it had stood still, as `account.halted` said it.
    pub why: String,
    /// Since when it had.
    #[serde(serialize_with = "as_text")]
    pub halted_at: Timestamp,
}

/// `webhook.test`: `usher webhook test` was typed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Test {
    /// The endpoint's name.
    pub endpoint: String,
    /// For people.
    pub message: String,
}

impl Event {
    /// What is sent, in JSON.
    pub fn body(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The message to an endpoint.
    pub fn to(&self, endpoint: &str) -> Result<Message, serde_json::Error> {
        Ok(Message {
            endpoint: endpoint.to_owned(),
            id: self.id.clone(),
            kind: self.kind.to_string(),
            account: self.account.clone(),
            body: self.body()?,
        })
    }
}

/// An id: the kind, what it is about, and what tells this time from others.
pub(crate) fn id(kind: WebhookEvent, parts: &[&dyn std::fmt::Display]) -> String {
    let mut id = kind.as_str().replace('.', "_");
    for part in parts {
        id += &format!("/{part}");
    }
    id
}

/// What shows all of a run's users.
pub(crate) fn rest(run: &RunId) -> String {
    format!("`usher report {run} --failed`, or GET /v1/runs/{run}/outcomes")
}

fn as_text<S: serde::Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(at)
}

fn as_text_or_null<S: serde::Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => to.collect_str(at),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod documented;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_has_type_timestamp_and_data_and_an_id_without_a_full_stop() {
        let account: AccountName = "zoom-main".parse().unwrap();
        let at = Timestamp::from_millis(1_763_750_000_000);
        let event = Event {
            id: id(WebhookEvent::AccountResumed, &[&account, &at.as_millis()]),
            kind: WebhookEvent::AccountResumed,
            account: account.clone(),
            at,
            data: Data::AccountResumed(AccountResumed { account, why: "scope".into(), halted_at: at }),
        };
        let message = event.to("ops").unwrap();
        assert_eq!(message.id, "account_resumed/zoom-main/1763750000000");
        assert_eq!((message.endpoint.as_str(), message.kind.as_str()), ("ops", "account.resumed"));
        let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
        let time = "2025-11-21T18:33:20.000Z";
        let data = json!({"account": "zoom-main", "why": "scope", "halted_at": time});
        assert_eq!(body, json!({"type": "account.resumed", "timestamp": time, "data": data}));
    }
}
