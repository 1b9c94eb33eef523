//! What a caller says of all users of a submission: in the body's JSON, or in the query beside rows.

use rand::rngs::StdRng;
use serde::Deserialize;
use usher_producer::submit::{Claim, Description, Patience};
use usher_shared::{AccountName, Action, Priority, Terms};
use utoipa::{IntoParams, ToSchema};

use super::{key::IdempotencyKey, users::UserEntry};
use crate::{
    Api,
    auth::Caller,
    problem::Problem,
    times::{self, Moment, in_order, in_time},
};

/// A run of users who are listed in the body
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunBody {
    /// Whose users: the account's name in usher's configuration.
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9_-]{0,63}$", example = "zoom-main")]
    account: AccountName,
    /// What is wanted of all of them; without it, each says so.
    #[serde(default)]
    action: Option<Action>,
    /// How soon: every urgent user before every normal one, every normal one before bulk. Default: `normal`.
    #[serde(default)]
    #[schema(required = false)]
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
    #[param(inline)]
    action: Option<Action>,
    /// How soon. Default: `normal`.
    #[serde(default)]
    #[param(value_type = Option<Priority>, inline)]
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
        let reason = times::reason(self.reason.as_deref())?;
        let (begins, ends) = (self.not_before.map(|at| at.0), self.deadline.map(|at| at.0));
        in_order(begins, ends)?;
        if (begins.is_some() || ends.is_some())
            && let Err(passed) = in_time(begins, ends, api.now().await)
            // What was taken before its time is the same run after it.
            && !self.was_taken(api, caller, key).await?
        {
            return Err(passed);
        }
        Ok(Description {
            priority: self.priority,
            reason,
            from: Some(caller.from()),
            source: Some("api".to_owned()),
            terms: Terms { plan: self.plan, not_before: begins, deadline: ends, ..Terms::default() },
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
