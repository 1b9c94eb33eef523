//! What other services and those who tell them do: submissions in one go, claims on keys, messages.

use usher_shared::{
    Clock, Timestamp,
    audit::{AuditEvent, AuditKind},
    store::{Message, Tried},
};

use super::{
    calls::Call,
    ops::{CameTo, Op},
    player::{Player, World, account, tenths, worker},
};

/// The endpoint that all messages are for.
pub(super) const ENDPOINT: &str = "ops";

fn message(number: u8) -> Message {
    Message {
        endpoint: ENDPOINT.into(),
        id: format!("run.held/{number}"),
        kind: "run.held".into(),
        account: account(false),
        body: format!("{{\"number\":{number}}}"),
    }
}

impl<W: World> Player<'_, W> {
    /// The calls that such an operation comes to.
    pub(super) fn serving(&mut self, op: Op) -> Vec<Call> {
        let key = |key: u8| format!("key {key}");
        let claimant = |client: u8| format!("claimant {}", client % 3);
        let call = match op {
            Op::SubmitWhole { branch, priority, key, wishes } => {
                let calls = self.submit(branch, priority, key, &wishes);
                let [Call::OpenRun(run), Call::Append(_, _, requests), Call::Seal(_, seal)] =
                    calls.as_slice()
                else {
                    panic!("{calls:?}")
                };
                let event = AuditEvent {
                    what: AuditKind::Submitted,
                    by: "test".into(),
                    from: None,
                    account: Some(run.account.clone()),
                    run: Some(run.id.clone()),
                    plan: None,
                    detail: None,
                };
                Call::Submit(Box::new((run.clone(), requests.clone(), seal.clone(), event)))
            }
            Op::ClaimKey { branch, key: number, client, tenths: ttl } => {
                Call::ClaimKey(account(branch), key(number), claimant(client), tenths(ttl))
            }
            Op::ReleaseKey { branch, key: number, client } => {
                Call::ReleaseKey(account(branch), key(number), claimant(client))
            }
            Op::Post { messages } => Call::Post(messages.into_iter().map(message).collect()),
            Op::TakeDeliveries { client, limit, tenths: ttl } => {
                Call::TakeDeliveries(ENDPOINT.into(), worker(client), limit.into(), tenths(ttl))
            }
            Op::FinishDelivery { delivery, came_to } => {
                let taken = self.model.deliveries.len();
                if taken == 0 {
                    return Vec::new();
                }
                // Mostly the last ones: earlier ones have come to their end.
                let delivery = taken - 1 - usize::from(delivery) % taken.min(4);
                let tried = match came_to {
                    CameTo::Delivered => Tried::Delivered,
                    CameTo::GivenUp => Tried::GivenUp,
                    CameTo::Failed(due) => {
                        let due = self.clock.now().as_millis() + i64::from(due) * 100;
                        Tried::Again(Timestamp::from_millis(due))
                    }
                };
                Call::FinishDelivery(delivery, tried)
            }
            Op::Repost { message: number } => Call::Repost(ENDPOINT.into(), message(number).id),
            _ => return Vec::new(),
        };
        vec![call]
    }

    /// Counts what such a call came to.
    pub(super) fn count_serving(&mut self, call: &Call, answer: &str) {
        let came_to = match call {
            Call::Submit(..) if answer.starts_with("New") => "submitted whole",
            Call::Submit(..) if answer.starts_with("Existing") => "submitted before",
            Call::ClaimKey(..) if answer == "Busy" => "busy keys",
            Call::FinishDelivery(_, Tried::Delivered) if answer == "()" => "delivered",
            Call::FinishDelivery(..) if answer.starts_with("refused") => "rights lost",
            Call::Repost(..) if answer == "true" => "reposted",
            _ => return,
        };
        self.reached.count(came_to, 1);
    }
}
