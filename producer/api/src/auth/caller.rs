//! Who calls: known by a personal token, of which the configuration has the key.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};
use http::header;
use subtle::ConstantTimeEq;
use usher_producer::submit::{FillOptions, Signer};
use usher_shared::{
    AccountName, RunId, RunStatus,
    config::{Config, TokenConfig},
    identity::PersonalToken,
};

use crate::{
    Api,
    problem::{Kind, Problem, no_such_run},
};

/// Whoever calls, proved by a token.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Known>);

#[derive(Debug)]
struct Known {
    name: String,
    rights: TokenConfig,
    token: PersonalToken,
    from: String,
}

impl Caller {
    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// As runs and the audit name it.
    pub fn by(&self) -> String {
        format!("token:{}", self.0.name)
    }

    /// The address that the call came from, for the audit.
    pub fn from(&self) -> String {
        self.0.from.clone()
    }

    /// What it may do, and for whom.
    pub fn rights(&self) -> &TokenConfig {
        &self.0.rights
    }

    /// The token, which signs what is submitted and approved.
    pub fn token(&self) -> &PersonalToken {
        &self.0.token
    }

    /// Proves who submits.
    pub fn signer(&self) -> Signer {
        Signer { by: self.0.name.clone(), token: self.0.token.clone() }
    }

    /// How what it submits is put into the store, signed with its token.
    pub fn fill_options(&self, api: &Api) -> FillOptions {
        FillOptions { clock: Arc::clone(&api.clock), signer: Some(self.signer()), ..FillOptions::default() }
    }

    /// Whether it may do anything for this account.
    pub fn sees(&self, account: &AccountName) -> bool {
        self.0.rights.accounts.as_ref().is_none_or(|accounts| accounts.contains(account))
    }

    /// Refuses an account that is not the caller's, or that is not there.
    pub fn on(&self, account: &AccountName, config: &Config) -> Result<(), Problem> {
        if !self.sees(account) {
            let name = &self.0.name;
            return Err(Problem::new(
                Kind::Forbidden,
                format!(
                    "the token {name} is not for the account {account}: [tokens.{name}] names its accounts"
                ),
            ));
        }
        // A server without accounts of its own takes every name: its workers have them.
        if config.accounts.is_empty() || config.accounts.contains_key(account) {
            return Ok(());
        }
        let known: Vec<&str> =
            config.accounts.keys().filter(|account| self.sees(account)).map(AccountName::as_str).collect();
        Err(Problem::new(
            Kind::InvalidInput,
            format!("there is no account {account}; there is {}", known.join(", ")),
        ))
    }

    /// The run, where there is one that the caller may see.
    pub async fn run(&self, api: &Api, run: &RunId) -> Result<RunStatus, Problem> {
        let status = api.store.run(run).await?;
        status.filter(|status| self.sees(&status.run.account)).ok_or_else(|| no_such_run(run))
    }
}

/// Lets nobody past who is not known.
pub async fn authenticate(
    State(api): State<Api>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let from = address(&request, api.config.serve.behind_proxy);
    let header = request.headers().get(header::AUTHORIZATION);
    let named = from.map_or_else(|| "unknown".to_owned(), |address| address.to_canonical().to_string());
    let caller = match known(&api.config, header.and_then(|value| value.to_str().ok()), named) {
        Ok(caller) => caller,
        Err(problem) => return Err(api.limits().unknown(from).err().unwrap_or(problem)),
    };
    tracing::Span::current().record("token", caller.name());
    api.limits().call(caller.name())?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Where the call comes from: the other end of the connection or, where that is a proxy, the address that it put last into
/// `X-Forwarded-For`. What stands before that one anybody can have written.
fn address(request: &Request, behind_proxy: bool) -> Option<IpAddr> {
    let forwarded = || {
        let last = request.headers().get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        last.rsplit(',').next()?.trim().parse().ok()
    };
    let connected =
        || request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    behind_proxy.then(forwarded).flatten().or_else(connected)
}

/// The caller whose token this is.
fn known(config: &Config, header: Option<&str>, from: String) -> Result<Caller, Problem> {
    let refused = |detail: &str| Problem::new(Kind::Unauthenticated, detail);
    let header = header
        .ok_or_else(|| refused("send `Authorization: Bearer usher_...`; `usher token new` makes a token"))?;
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, token) = token.ok_or_else(|| refused("the Authorization header is not `Bearer usher_...`"))?;
    let unknown =
        || refused("this token is not known here: its key has to stand in a [tokens.NAME] of usher.toml");
    let token: PersonalToken = token.parse().map_err(|_| unknown())?;
    let key = token.key().map_err(|_| unknown())?;
    // Every key is compared, each in constant time: how long it takes says nothing of the keys.
    let mut found = None;
    for (name, rights) in &config.tokens {
        if bool::from(rights.key.as_bytes().ct_eq(key.as_bytes())) {
            found = Some((name, rights));
        }
    }
    let (name, rights) = found.ok_or_else(unknown)?;
    Ok(Caller(Arc::new(Known { name: name.clone(), rights: rights.clone(), token, from })))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn an_address_is_taken_from_a_proxy_alone_and_only_the_one_that_it_put_last() {
        let from = |headers: &[&str], behind_proxy| {
            let mut request = Request::new(Body::empty());
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))));
            for header in headers {
                request.headers_mut().append("x-forwarded-for", header.parse().unwrap());
            }
            address(&request, behind_proxy).unwrap().to_string()
        };
        assert_eq!(from(&["192.0.2.7"], false), "127.0.0.1");
        assert_eq!(from(&["192.0.2.7"], true), "192.0.2.7");
        assert_eq!(from(&["10.0.0.1, 192.0.2.7"], true), "192.0.2.7");
        assert_eq!(from(&["10.0.0.1", "10.0.0.2,2001:db8::1"], true), "2001:db8::1");
        for strange in [&[][..], &[""], &["unknown"], &["192.0.2.7, nonsense"]] {
            assert_eq!(from(strange, true), "127.0.0.1", "{strange:?}");
        }
    }
}
