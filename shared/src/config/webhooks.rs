//! `[webhooks.NAME]`: whom operators' events go to.

use serde::Deserialize;
use url::Url;

use super::SecretSource;
use crate::AccountName;

/// `[webhooks.NAME]`: an endpoint that is told what an operator must hear of, signed by the Standard Webhooks scheme.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where it is. https, unless it is loopback and `allow_private` is set.
    pub url: Url,
    /// What messages are signed with: `whsec_...`, as `usher webhook new` prints one.
    pub secret: SecretSource,
    /// The secret before this one, while a receiver changes over: messages are signed with both.
    #[serde(default)]
    pub previous_secret: Option<SecretSource>,
    /// Only these kinds of events, such as `run.held`; without it, all.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// Only events of these accounts; without it, of all.
    #[serde(default)]
    pub accounts: Option<Vec<AccountName>>,
    /// Lets it be a private or loopback address, which is refused otherwise.
    #[serde(default)]
    pub allow_private: bool,
    /// After how many hours a message is given up on. Default: 72. 0.1 to 720.
    #[serde(default = "three_days")]
    pub give_up_hours: f64,
}

fn three_days() -> f64 {
    72.0
}
