//! `[accounts.NAME]`: one tenant at one provider.

use serde::Deserialize;
use url::Url;

use super::{ApprovalConfig, Caps, ProtectedPattern, SecretSource, Value};

/// `[accounts.NAME]`: one tenant at one provider. `provider` says which kind.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "provider", rename_all = "snake_case")]
pub enum AccountConfig {
    /// A Zoom account, through a server-to-server OAuth app.
    Zoom(ZoomConfig),
}

impl AccountConfig {
    /// The users who are never changed.
    #[must_use]
    pub fn protected(&self) -> &[ProtectedPattern] {
        match self {
            Self::Zoom(zoom) => &zoom.protected,
        }
    }

    /// How many users may be touched.
    #[must_use]
    pub fn caps(&self) -> &Caps {
        match self {
            Self::Zoom(zoom) => &zoom.caps,
        }
    }

    /// Which runs another person has to approve.
    #[must_use]
    pub fn approval(&self) -> Option<&ApprovalConfig> {
        match self {
            Self::Zoom(zoom) => zoom.approval.as_ref(),
        }
    }

    /// Where its secrets come from, each with its key.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, &SecretSource)> {
        let Self::Zoom(zoom) = self;
        let mut sources = vec![("client_secret", &zoom.client_secret)];
        for (key, value) in [("account_id", &zoom.account_id), ("client_id", &zoom.client_id)] {
            if let Value::From(source) = value {
                sources.push((key, source));
            }
        }
        sources
    }

    /// The provider's word.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Zoom(_) => "zoom",
        }
    }
}

/// A Zoom account, through a server-to-server OAuth app.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoomConfig {
    /// The API. Default `https://api.zoom.us/v2`. Must be https unless it is loopback; used whatever `api_url` a token
    /// answer names.
    #[serde(default = "zoom_base_url")]
    pub base_url: Url,
    /// Where tokens come from. Default `https://zoom.us/oauth/token`.
    #[serde(default = "zoom_token_url")]
    pub token_url: Url,
    /// The account id of the server-to-server OAuth app; plainly, or `{ env = "..." }`, `{ file = "..." }`.
    pub account_id: Value,
    /// The client id of the app; plainly, or from the environment or a file.
    pub client_id: Value,
    /// The client secret of the app, from the environment or a file: `{ env = "..." }` or `{ file = "..." }`.
    pub client_secret: SecretSource,
    /// What the account pays for, which decides its rate limits: `free`, `pro`, or `business` (also Education, Enterprise
    /// and Partner accounts). No API tells it to an app.
    pub plan: ZoomPlan,
    /// Calls a second under the label Light, in place of the plan's; for an account that other apps use too.
    #[serde(default)]
    pub light: Option<f64>,
    /// Calls a second under the label Medium, in place of the plan's.
    #[serde(default)]
    pub medium: Option<f64>,
    /// Users who are never changed: addresses with `*` for any characters, ids, `role:ID` or `group:ID`. The owner and
    /// admins are protected without being named.
    #[serde(default)]
    pub protected: Vec<ProtectedPattern>,
    /// How many users may be touched, in a run and in a day.
    #[serde(default)]
    pub caps: Caps,
    /// Which runs another person has to approve; without it, none.
    #[serde(default)]
    pub approval: Option<ApprovalConfig>,
}

/// What a Zoom account pays for. Source of the limits: Zoom's "Rate limits" page, per account, summed over all apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoomPlan {
    /// Light 4/s and 6,000 a day; Medium 2/s and 2,000 a day.
    Free,
    /// Light 30/s; Medium 20/s.
    Pro,
    /// Business, Education, Enterprise, Partner. Light 80/s; Medium 60/s.
    Business,
}

fn zoom_base_url() -> Url {
    #[expect(clippy::expect_used, reason = "a constant that the test below parses")]
    Url::parse("https://api.zoom.us/v2").expect("a valid URL")
}

fn zoom_token_url() -> Url {
    #[expect(clippy::expect_used, reason = "a constant that the test below parses")]
    Url::parse("https://zoom.us/oauth/token").expect("a valid URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_addresses_are_valid() {
        assert_eq!(zoom_base_url().host_str(), Some("api.zoom.us"));
        assert_eq!(zoom_token_url().path(), "/oauth/token");
    }
}
