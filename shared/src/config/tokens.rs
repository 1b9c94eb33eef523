//! `[tokens.NAME]`, `[audit]` and `[retention]`: who may approve, how the audit is sealed, how long runs are kept.

use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{ConfigError, SecretSource};
use crate::{AccountName, audit::AuditKey, identity::TokenKey};

/// `[tokens.NAME]`: a person or a service that is known by a personal token. `usher token new` makes one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The token's key, as `usher token new` printed it. It is no secret: nothing can be signed with it.
    pub key: TokenKey,
    /// What its holder may do: `submit`, `operate`, `approve`, `read`.
    pub roles: Vec<Role>,
    /// For which accounts; without it, all.
    #[serde(default)]
    pub accounts: Option<Vec<AccountName>>,
}

impl TokenConfig {
    /// Whether its holder may do this for that account.
    #[must_use]
    pub fn allows(&self, role: Role, account: &AccountName) -> bool {
        self.roles.contains(&role) && self.accounts.as_ref().is_none_or(|accounts| accounts.contains(account))
    }
}

/// What the holder of a personal token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Submit runs.
    Submit,
    /// Pause, resume, cancel, retry.
    Operate,
    /// Approve what others submitted.
    Approve,
    /// Read runs and outcomes.
    Read,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Submit, Self::Operate, Self::Approve, Self::Read];

    /// The word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Operate => "operate",
            Self::Approve => "approve",
            Self::Read => "read",
        }
    }
}

/// `[audit]`: how the audit is sealed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// The key of the seals: `{ env = "..." }` or `{ file = "..." }`, at least 16 characters. It must lie where those who can
    /// write to the store can't read it. Without it, a worker on the embedded store makes `audit.key` in the data directory;
    /// on Redis entries are kept unsealed.
    pub key: Option<SecretSource>,
}

/// What a key of seals has at least: shorter ones are guessed.
const SHORTEST_KEY: usize = 16;

impl AuditConfig {
    /// Reads the key; `None` where none is configured.
    pub fn read_key(&self) -> Result<Option<AuditKey>, ConfigError> {
        let Some(source) = &self.key else { return Ok(None) };
        let secret =
            source.read().map_err(|source| ConfigError::Secret { key: "audit.key".into(), source })?;
        let length = secret.expose_secret().chars().count();
        if length < SHORTEST_KEY {
            let problem = format!(
                "{source} has {length} characters, and the key of the audit needs at least {SHORTEST_KEY}: put a longer \
                 random text there, as `openssl rand -hex 32` prints one"
            );
            return Err(ConfigError::Invalid { key: "audit.key".into(), problem });
        }
        Ok(Some(AuditKey::new(secret.expose_secret().as_bytes())))
    }
}

/// `[retention]`: how long runs that are over are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Days after its end that a run is forgotten, with its users and their outcomes; without it, none ever is. The audit
    /// stays. 1 to 36,500.
    pub keep_days: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_seals_that_could_be_guessed_is_refused_without_being_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let config = AuditConfig { key: Some(SecretSource::File(path.clone())) };
        assert!(AuditConfig::default().read_key().unwrap().is_none());
        let error = config.read_key().unwrap_err().to_string();
        assert!(error.contains("audit.key") && error.contains("can't be read"), "{error}");
        std::fs::write(&path, "0123456789abcde\n").unwrap();
        let error = config.read_key().unwrap_err().to_string();
        assert!(
            error.contains("15 characters") && error.contains("16") && !error.contains("0123"),
            "{error}"
        );
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        assert!(config.read_key().unwrap().is_some());
    }
}
