//! What follows an activation that gives back more than the sign-in: a look at the user, then one call for each thing that is
//! missing, each under a permit of its own.
//!
//! Every call sets a desired state, so a job that was broken off anywhere is simply begun again: the look tells what is left to
//! do. What a person must hear of (no seat, a group that is gone) does not keep the rest from being given back; what
//! passes (a refusal for the rate, a failure) ends the attempt there.

use std::time::Duration;

use tokio::time::Instant;
use usher_shared::{
    ACTIVATED_AS_BASIC, Action, Outcome, PARTLY_RESTORED, Restore, SnoozeReason, Then, Timestamp, UserRef,
    Verdict,
    store::{Lease, LeasedJob},
};

use super::{
    call::bounded,
    is_rate_refusal,
    lasting::while_lasting,
    look::user_ref,
    ready::{NotReady, ready},
};
use crate::{
    account::Account,
    backend::Work,
    provider::{Call, Label, Part, Reply},
};

/// How long the permit for a further call is waited for. The lease is kept alive meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a job comes back whose permit did not come in time, where the limiter does not know better.
const LATER: Duration = Duration::from_secs(5);
/// The contract's bound on messages.
const MESSAGE: usize = 500;

/// What one attempt at a job came to.
#[derive(Debug)]
pub(super) struct Tried {
    /// What it means.
    pub reply: Reply,
    /// Vendor calls after the first one.
    pub further: u32,
    /// Whether this attempt, or one before it, brought the user into the desired state.
    pub activated: bool,
    /// Whether this attempt gave something back.
    pub gave: bool,
    /// Set where the attempt was broken off between two calls: when to come back.
    pub broken_off: Option<Timestamp>,
}

impl Tried {
    /// An attempt of one call.
    fn once(reply: Reply) -> Self {
        Self { reply, further: 0, activated: false, gave: false, broken_off: None }
    }

    /// Whether the user may have been changed, whatever the reply says.
    pub fn changed(&self) -> bool {
        self.activated || self.gave
    }

    /// The verdict under which the ledger keeps an attempt that is followed by another. A store knows by `transient` that the
    /// user may have been changed: a later "already there" is then our own doing.
    pub fn recorded(&self, then: &Then) -> Verdict {
        let goes_on = !matches!(then, Then::Finish { .. });
        if goes_on && self.changed() { Verdict::Transient } else { self.reply.verdict }
    }

    /// What becomes of the job where the attempt was broken off.
    pub fn later(&self) -> Option<Then> {
        self.broken_off.map(|until| Then::Snooze { until, reason: SnoozeReason::Returned })
    }

    /// Says so where a job ends not as wished although its user was changed. Who is gone needs no more words.
    pub fn told(&self, then: Then, unlicensed: &str) -> Then {
        match then {
            Then::Finish { outcome, message, .. }
                if self.changed() && !outcome.is_as_wished() && outcome != Outcome::NotFound =>
            {
                let (code, done) = match outcome {
                    Outcome::NoSeat if self.activated => {
                        (ACTIVATED_AS_BASIC, format!("activated as {unlicensed}"))
                    }
                    _ if self.activated => (PARTLY_RESTORED, "activated".to_owned()),
                    _ => (PARTLY_RESTORED, "given back in part".to_owned()),
                };
                let message = message.map_or(done.clone(), |message| format!("{done}: {message}"));
                Then::Finish { outcome, code: Some(code.to_owned()), message: Some(limit(message)) }
            }
            then => then,
        }
    }
}

/// What this job gives back, where it gives anything back.
pub(super) fn wanted<'a>(lease: &Lease, job: &'a LeasedJob) -> Option<&'a Restore> {
    let restore = job.request.restore.as_ref()?;
    let anything = Part::all(restore).next().is_some();
    (anything && lease.action == Action::Activate).then_some(restore)
}

/// Makes the calls that follow the first one, if any do.
pub(super) async fn follow(work: &mut Work, account: &Account, job: &LeasedJob, first: Reply) -> Tried {
    let done = matches!(first.verdict, Verdict::Applied | Verdict::AlreadyApplied);
    let (true, Some(restore)) = (done, wanted(&work.lease, job)) else { return Tried::once(first) };
    let was_there = job.user.before.status == work.lease.action.desired();
    let ours = job.may_have_applied || (first.verdict == Verdict::Applied && !was_there);
    let mut tried = Tried { activated: ours, ..Tried::once(first) };
    give_back(work, account, job, restore, &mut tried).await;
    tried
}

async fn give_back(
    work: &mut Work,
    account: &Account,
    job: &LeasedJob,
    restore: &Restore,
    tried: &mut Tried,
) {
    let provider = &*account.provider;
    if let Err(until) = permitted(work, account, provider.label(Call::LookUp)).await {
        return tried.broken_off = Some(until);
    }
    let name: UserRef = user_ref(&job.user).unwrap_or_else(|| job.request.user.clone());
    let seen = bounded(work, account, provider.look_up(&name)).await.unwrap_or_else(Err);
    tried.further += 1;
    let user = match seen {
        Ok(Some(user)) => {
            account.limiter.accepted(&work.permit, None);
            user
        }
        Ok(None) => return tried.reply = gone(),
        Err(reply) => return tried.reply = reply,
    };
    let mut left_out = LeftOut::default();
    for part in provider.lacking(restore, &user) {
        if let Err(until) = permitted(work, account, provider.label(Call::GiveBack(part.kind()))).await {
            return tried.broken_off = Some(until);
        }
        let reply =
            bounded(work, account, provider.give_back(&part, &user)).await.unwrap_or_else(|failed| failed);
        tried.further += 1;
        if !is_rate_refusal(&reply) {
            account.limiter.accepted(&work.permit, reply.remaining);
        }
        match reply.verdict {
            Verdict::Applied => {
                tried.gave = true;
                tried.reply = reply;
            }
            Verdict::AlreadyApplied => {}
            Verdict::Rejected | Verdict::Unknown | Verdict::NoSeat => left_out.add(&part, reply),
            _ => return tried.reply = reply,
        }
    }
    match left_out.reply() {
        Some(reply) => tried.reply = reply,
        // What was given back makes it a change, whoever activated the user.
        None if tried.gave => tried.reply.verdict = Verdict::Applied,
        None => {}
    }
}

fn gone() -> Reply {
    Reply {
        message: Some("the user was gone when it was looked at after the activation".to_owned()),
        ..Reply::of(Verdict::NotFound)
    }
}

/// What the vendor would not give back.
#[derive(Debug, Default)]
struct LeftOut {
    no_seat: Option<Reply>,
    refused: Option<Reply>,
    words: Vec<String>,
}

impl LeftOut {
    fn add(&mut self, part: &Part, reply: Reply) {
        let said = reply.message.clone().unwrap_or_else(|| "refused without a reason".to_owned());
        if reply.verdict == Verdict::NoSeat {
            self.words.insert(0, said);
            self.no_seat.get_or_insert(reply);
        } else {
            let code = reply.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
            self.words.push(format!("{part} is not given back: {said}{code}"));
            self.refused.get_or_insert(reply);
        }
    }

    /// One reply for all of it, `None` where nothing was left out. No seat outweighs the rest: it is what a person can put right.
    fn reply(self) -> Option<Reply> {
        let words = limit(self.words.join("; "));
        let first = self.no_seat.or(self.refused)?;
        Some(Reply { message: Some(words), ..first })
    }
}

fn limit(text: String) -> String {
    if text.chars().count() <= MESSAGE { text } else { text.chars().take(MESSAGE).collect() }
}

/// Waits until one more call of this job may start; else answers when to come back.
async fn permitted(work: &mut Work, account: &Account, label: Label) -> Result<(), Timestamp> {
    let patient_until = Instant::now() + PATIENCE;
    let priority = work.lease.priority;
    loop {
        let acquire = account.unless_stopping(account.limiter.acquire(label, 1, priority));
        let acquired = tokio::time::timeout_at(patient_until, acquire);
        let permit = match while_lasting(work, account, acquired).await {
            Ok(Some(Ok(permits))) => permits.into_iter().next(),
            // The day's calls are used up: nothing else is tried for this user until they are back.
            Ok(Some(Err(parked))) => return Err(parked.until),
            Ok(None) => return Err(account.now()),
            Err(_) => None,
        };
        let Some(permit) = permit else {
            let paused = account.limiter.status(label).paused_for.unwrap_or_default();
            return Err(account.now().after(paused.max(LATER)));
        };
        work.permit = permit;
        match ready(work, account).await {
            Ok(()) => return Ok(()),
            // Somebody else's by now: whatever is said of it is refused.
            Err(NotReady::Lapsed) => return Err(account.now()),
            Err(NotReady::GiveBack(why)) => {
                let held = account.holds.in_force(account.now()).is_some();
                if account.is_stopping() || held || Instant::now() >= patient_until {
                    tracing::debug!(job = job_of(work), why, "broken off between two calls");
                    return Err(account.now());
                }
            }
        }
    }
}

fn job_of(work: &Work) -> u64 {
    work.lease.jobs.first().map(|job| job.seq).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(verdict: Verdict, code: &str, message: &str) -> Reply {
        Reply { code: Some(code.into()), message: Some(message.into()), ..Reply::of(verdict) }
    }

    fn tried(verdict: Verdict, activated: bool, gave: bool) -> Tried {
        Tried { activated, gave, further: 2, ..Tried::once(reply(verdict, "7", "why")) }
    }

    #[test]
    fn an_attempt_that_changed_the_user_and_goes_on_is_kept_as_one_that_may_have_applied() {
        let now = Timestamp::from_millis(0);
        let snooze = Then::Snooze { until: now, reason: SnoozeReason::Throttled };
        let (retry, done) =
            (Then::Retry { at: now }, Then::Finish { outcome: Outcome::Applied, code: None, message: None });
        for verdict in [Verdict::Throttled, Verdict::Unauthorized, Verdict::Forbidden, Verdict::Transient] {
            for then in [&snooze, &retry] {
                assert_eq!(tried(verdict, true, false).recorded(then), Verdict::Transient);
                assert_eq!(tried(verdict, false, true).recorded(then), Verdict::Transient);
                assert_eq!(tried(verdict, false, false).recorded(then), verdict);
            }
        }
        assert_eq!(tried(Verdict::NoSeat, true, false).recorded(&done), Verdict::NoSeat);
    }

    #[test]
    fn whoever_was_changed_and_is_not_as_wished_is_told_so_by_a_code() {
        let ended = |tried: &Tried, outcome| {
            let then = Then::Finish { outcome, code: Some("7".into()), message: Some("why".into()) };
            let Then::Finish { code, message, .. } = tried.told(then, "Basic") else { panic!() };
            (code.unwrap(), message.unwrap())
        };
        let said = |code: &str, message: &str| (code.to_owned(), message.to_owned());
        let (both, gave, none) = (
            tried(Verdict::NoSeat, true, true),
            tried(Verdict::NoSeat, false, true),
            tried(Verdict::NoSeat, false, false),
        );
        assert_eq!(ended(&both, Outcome::NoSeat), said(ACTIVATED_AS_BASIC, "activated as Basic: why"));
        assert_eq!(ended(&gave, Outcome::NoSeat), said(PARTLY_RESTORED, "given back in part: why"));
        assert_eq!(ended(&none, Outcome::NoSeat), said("7", "why"));
        for outcome in [Outcome::Rejected, Outcome::Exhausted] {
            assert_eq!(ended(&both, outcome), said(PARTLY_RESTORED, "activated: why"));
            assert_eq!(ended(&none, outcome), said("7", "why"));
        }
        for outcome in [Outcome::Applied, Outcome::NotFound] {
            assert_eq!(ended(&both, outcome), said("7", "why"));
        }
    }

    #[test]
    fn what_was_left_out_is_one_reply_and_no_seat_comes_first() {
        let mut left_out = LeftOut::default();
        left_out.add(&Part::Role("R1".into()), reply(Verdict::Rejected, "300", "no such role"));
        left_out
            .add(&Part::License("2".into()), reply(Verdict::NoSeat, "2034", "no seat of type 2 was free"));
        left_out.add(&Part::Group("g".into()), reply(Verdict::Unknown, "4130", &"x".repeat(600)));
        let reply = left_out.reply().unwrap();
        assert_eq!((reply.verdict, reply.code.as_deref()), (Verdict::NoSeat, Some("2034")));
        let message = reply.message.unwrap();
        assert!(message.starts_with(
            "no seat of type 2 was free; role R1 is not given back: no such role (300); group g"
        ));
        assert_eq!(message.chars().count(), MESSAGE);
        assert!(LeftOut::default().reply().is_none());
    }
}
