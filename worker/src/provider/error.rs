//! Why a provider can't be set up for an account.

use usher_shared::config::SecretError;

/// Why a provider can't be set up for an account. None of these is retried: each is a matter of configuration.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// A secret or an id can't be read. The user sets the variable or the file that is named.
    #[error("accounts.{account}.{key}: {source}")]
    Secret {
        /// The account.
        account: String,
        /// The key in `usher.toml`.
        key: &'static str,
        /// What is missing.
        source: SecretError,
    },
    /// The secret would travel in clear text. The user writes an https address.
    #[error(
        "accounts.{account}.{key}: {url} is not https, and credentials are only sent over https; write \
         https://... (http is accepted for loopback addresses alone)"
    )]
    NotHttps {
        /// The account.
        account: String,
        /// The key in `usher.toml`.
        key: &'static str,
        /// The address, without what could be a password in it.
        url: String,
    },
    /// The address has parts that a base address can't have. The user takes them out.
    #[error("accounts.{account}.{key}: the address must not have {part}")]
    Address {
        /// The account.
        account: String,
        /// The key in `usher.toml`.
        key: &'static str,
        /// Which part: a user name or password, a query, a fragment.
        part: &'static str,
    },
    /// A value is outside of what makes sense. The user corrects it.
    #[error("accounts.{account}.{key}: {problem}")]
    Value {
        /// The account.
        account: String,
        /// The key in `usher.toml`.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The HTTP client can't be built: no usable TLS roots, or a proxy setting that can't be read. The user corrects the
    /// machine's settings.
    #[error("no HTTP client for account {account}: {problem}")]
    Client {
        /// The account.
        account: String,
        /// What is said about it.
        problem: String,
    },
}
