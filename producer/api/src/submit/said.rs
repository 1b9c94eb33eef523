//! What a caller says of all users of a submission: in the body's JSON, or in the query beside rows.

use rand::rngs::StdRng;
use serde::{Deserialize, Deserializer, de::Error as _};
use usher_producer::submit::{Claim, Description, Patience};
use usher_shared::{AccountName, Action, Priority, Terms, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::{key::IdempotencyKey, users::UserEntry};
use crate::{
    Api,
    auth::Caller,
    problem::{Kind, Problem},
};

/// The longest reason of a run, in characters.
const LONGEST_REASON: usize = 1_000;

/// A run of users who are listed in the body
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunBody {
    /// Whose users: the account's name in usher's configuration.
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9_-]{0,63}$", example = "zoom-main")]
    account: AccountName,
    /// What is wanted of all of them; without it, each says so.
    #[serde(default)]
    #[schema(value_type = Option<ActionWord>)]
    action: Option<Action>,
    /// How soon: every urgent user before every normal one, every normal one before bulk. Default: `normal`.
    #[serde(default)]
    #[schema(value_type = PriorityWord, required = false)]
    priority: Priority,
    /// Why, in the submitter's words.
    #[serde(default)]
    #[schema(max_length = 1000)]
    reason: Option<String>,
    /// Look everybody up, show what would be done, and wait for `apply`.
    #[serde(default)]
    plan: bool,
    /// It does not begin before: a time with its offset.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-12-24T17:00:00+01:00")]
    not_before: Option<Moment>,
    /// What is not done by then ends as expired: a time with its offset.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-12-31T00:00:00Z")]
    deadline: Option<Moment>,
    /// Leave out the users who can't be read, instead of refusing the whole.
    #[serde(default)]
    skip_invalid: bool,
    /// The users: e-mail addresses or the vendor's ids, or objects that say more.
    #[schema(min_items = 1)]
    users: Vec<UserEntry>,
}

/// What is said beside rows (CSV or JSON Lines).
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    /// Beside rows (CSV, JSON Lines): whose users. A JSON body says it itself, as everything here.
    #[param(value_type = Option<String>, pattern = "^[a-z0-9][a-z0-9_-]{0,63}$")]
    account: AccountName,
    /// What is wanted of all of them; without it, each row says so.
    #[serde(default)]
    #[param(value_type = Option<ActionWord>)]
    action: Option<Action>,
    /// How soon. Default: `normal`.
    #[serde(default)]
    #[param(value_type = Option<PriorityWord>)]
    priority: Priority,
    /// Why, in the submitter's words.
    #[serde(default)]
    #[param(max_length = 1000)]
    reason: Option<String>,
    /// Look everybody up, show what would be done, and wait for `apply`.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    plan: bool,
    /// It does not begin before: a time with its offset.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    not_before: Option<Moment>,
    /// What is not done by then ends as expired: a time with its offset.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    deadline: Option<Moment>,
    /// Leave out the rows that can't be read, instead of refusing the whole.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    skip_invalid: bool,
}

/// What is wanted
#[derive(ToSchema)]
#[schema(as = Action, rename_all = "snake_case")]
#[allow(dead_code, reason = "stands for usher_shared::Action in the description")]
pub enum ActionWord {
    Deactivate,
    Activate,
}

/// How soon
#[derive(ToSchema)]
#[schema(as = Priority, rename_all = "snake_case")]
#[allow(dead_code, reason = "stands for usher_shared::Priority in the description")]
pub enum PriorityWord {
    Urgent,
    Normal,
    Bulk,
}

/// A time by RFC 3339, whose offset leaves no doubt when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // In a query an unescaped + is read as a blank, and no offset begins with one.
        let text = text.replace(' ', "+");
        // A zone in brackets is no part of RFC 3339.
        let instant = text.parse::<jiff::Timestamp>().ok().filter(|_| !text.contains('['));
        let instant = instant.ok_or_else(|| {
            let text: String = text.chars().take(60).collect();
            D::Error::custom(format!(
                "{text:?} is no time with an offset: write it as 2026-12-24T17:00:00+01:00 or 2026-12-24T16:00:00Z"
            ))
        })?;
        Ok(Self(Timestamp::from_millis(instant.as_millisecond())))
    }
}

/// What is said of all users of a submission, checked as far as it can be without them.
#[derive(Debug)]
pub struct Said {
    pub account: AccountName,
    pub action: Option<Action>,
    pub priority: Priority,
    pub reason: Option<String>,
    pub plan: bool,
    pub not_before: Option<Moment>,
    pub deadline: Option<Moment>,
    pub skip_invalid: bool,
}

impl RunBody {
    /// The terms, and the users.
    pub fn split(self) -> (Said, Vec<UserEntry>) {
        let Self { account, action, priority, reason, plan, not_before, deadline, skip_invalid, users } =
            self;
        (Said { account, action, priority, reason, plan, not_before, deadline, skip_invalid }, users)
    }
}

impl From<RunQuery> for Said {
    fn from(query: RunQuery) -> Self {
        let RunQuery { account, action, priority, reason, plan, not_before, deadline, skip_invalid } = query;
        Self { account, action, priority, reason, plan, not_before, deadline, skip_invalid }
    }
}

impl Said {
    /// The run as this caller asks for it, where it may.
    pub async fn description(
        &self,
        api: &Api,
        caller: &Caller,
        key: Option<&IdempotencyKey>,
    ) -> Result<Description, Problem> {
        caller.on(&self.account, &api.config)?;
        let refused = |detail: String| Err(Problem::new(Kind::InvalidInput, detail));
        if let Some(length) = self.reason.as_ref().map(|reason| reason.chars().count())
            && length > LONGEST_REASON
        {
            return refused(format!("the reason is {length} characters long; at most {LONGEST_REASON}"));
        }
        if self.not_before.is_some() || self.deadline.is_some() {
            let now = api.now().await;
            for (name, at) in [("not_before", self.not_before), ("deadline", self.deadline)] {
                // What was taken before its time is the same run after it.
                if let Some(Moment(at)) = at.filter(|at| at.0 <= now)
                    && !self.was_taken(api, caller, key).await?
                {
                    return refused(format!("{name} {at} has passed; it is {now} now"));
                }
            }
            if let (Some(begin), Some(end)) = (self.not_before, self.deadline)
                && end.0 <= begin.0
            {
                return refused(format!(
                    "the deadline {} is not after not_before {}, before which it must not begin",
                    end.0, begin.0
                ));
            }
        }
        Ok(Description {
            priority: self.priority,
            reason: self
                .reason
                .as_deref()
                .map(str::trim)
                .filter(|reason| !reason.is_empty())
                .map(str::to_owned),
            from: Some(caller.from()),
            source: Some("api".to_owned()),
            terms: Terms {
                plan: self.plan,
                not_before: self.not_before.map(|at| at.0),
                deadline: self.deadline.map(|at| at.0),
                ..Terms::default()
            },
            ..Description::new(self.account.clone(), &caller.by())
        })
    }

    /// Whether a submission under this key is a run already.
    async fn was_taken(
        &self,
        api: &Api,
        caller: &Caller,
        key: Option<&IdempotencyKey>,
    ) -> Result<bool, Problem> {
        let Some(key) = key else { return Ok(false) };
        let key = key.clone().of(caller);
        let mut random = rand::make_rng::<StdRng>();
        let claim = Claim::take(&api.store, &self.account, &key, &mut random, Patience::default()).await?;
        let Some(claim) = claim else { return Ok(false) };
        let known = claim.stands_for().is_some();
        claim.release().await;
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_an_offset_and_nothing_else() {
        let read = |text: &str| serde_json::from_value::<Moment>(text.into());
        let christmas = Moment(Timestamp::from_millis(1_798_128_000_000));
        for same in ["2026-12-24T16:00:00Z", "2026-12-24T17:00:00+01:00", "2026-12-24T17:00:00 01:00"] {
            assert_eq!(read(same).unwrap(), christmas, "{same}");
        }
        for bad in
            ["", "tomorrow", "2026-12-24", "2026-12-24T17:00:00", "2026-12-24T17:00:00+01:00[Europe/Berlin]"]
        {
            assert!(read(bad).unwrap_err().to_string().contains("with an offset"), "{bad}");
        }
    }
}
