//! A look at the server itself: is it one that a ledger can be trusted to?

use redis::{Value, from_redis_value_ref};

use super::{Core, link::Link, rights};
use crate::{
    config::RedisAddress,
    store::{Durability, Finding, Standing, StoreError},
};

/// What `INFO` and `CONFIG GET appendfsync` say, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    product: &'static str,
    version: String,
    cluster: bool,
    replica_of: Option<String>,
    append_only: bool,
    append_fails: bool,
    fsync: Option<String>,
    policy: String,
    used: u64,
    limit: u64,
}

impl Facts {
    /// Reads an answer of `INFO`.
    fn read(info: &str, fsync: Option<String>) -> Self {
        let field = |name: &str| {
            info.lines()
                .find_map(|line| line.split_once(':').filter(|(key, _)| *key == name))
                .map(|(_, value)| value.trim())
        };
        let number = |name| field(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        let (product, version) = match field("valkey_version") {
            Some(version) => ("Valkey", version),
            None => ("Redis", field("redis_version").unwrap_or("of an unknown version")),
        };
        let primary =
            || format!("{}:{}", field("master_host").unwrap_or("?"), field("master_port").unwrap_or("?"));
        Self {
            product,
            version: version.to_owned(),
            cluster: field("cluster_enabled") == Some("1"),
            replica_of: (field("role") == Some("slave")).then(primary),
            append_only: field("aof_enabled") == Some("1"),
            append_fails: field("aof_last_write_status").is_some_and(|status| status != "ok"),
            fsync,
            policy: field("maxmemory_policy").unwrap_or_default().to_owned(),
            used: number("used_memory"),
            limit: number("maxmemory"),
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let major = self.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        let supported = self.product != "Redis" || major.is_some_and(|major| major >= 7);
        let standing = match &self.replica_of {
            _ if self.cluster => Standing::ClusterNode,
            Some(of) => Standing::Replica { of: of.clone() },
            None => Standing::Primary,
        };
        let durability = match (self.append_only, self.append_fails, self.fsync.as_deref()) {
            (false, ..) => Durability::Off,
            (true, true, _) => Durability::Failing,
            (_, _, Some("always")) => Durability::Always,
            (_, _, Some("everysec")) => Durability::EverySecond,
            (_, _, Some(_)) => Durability::Unflushed,
            (_, _, None) => Durability::Unknown,
        };
        vec![
            Finding::Server { name: format!("{} {}", self.product, self.version), supported },
            Finding::Standing(standing),
            Finding::Durability(durability),
            Finding::Eviction { policy: self.policy.clone(), limited: self.limit > 0 },
            Finding::Memory { used: self.used, limit: (self.limit > 0).then_some(self.limit) },
        ]
    }
}

/// Looks at the server of an address, whether or not it will do as a store: a replica, say, or one whose user lacks a right,
/// can't be opened as one. Writes nothing.
///
/// # Errors
/// As [`super::RedisStore::connect`] has them: where nothing at all can be asked.
pub async fn examine(address: &RedisAddress) -> Result<Vec<Finding>, StoreError> {
    let core = Core::new(address, None)?;
    core.greet(address).await?;
    Ok(examine_server(&core.link).await)
}

/// Looks at the server and at the rights of its user. Writes nothing.
pub(super) async fn examine_server(link: &Link) -> Vec<Finding> {
    let mut findings = match link.send(&redis::cmd("INFO")).await {
        Ok(info) => {
            let info: String = from_redis_value_ref(&info).unwrap_or_default();
            Facts::read(&info, fsync(link).await).findings()
        }
        Err(error) => vec![Finding::Unseen {
            command: "redis-cli INFO",
            said: error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned),
        }],
    };
    // On a connection of its own: what others send on a shared one would be queued with it.
    if let Ok(mut connection) = link.another().await
        && let Ok(lacking) = rights::lacking(&mut connection).await
    {
        let seen = lacking.is_some();
        findings.push(Finding::Rights { lacking: lacking.unwrap_or_default(), seen });
    }
    findings
}

/// `None` where the user may not see it: who may `CONFIG GET` can read the server's passwords.
async fn fsync(link: &Link) -> Option<String> {
    let answer = link.send(redis::cmd("CONFIG").arg("GET").arg("appendfsync")).await.ok()?;
    match answer {
        Value::Array(pair) => pair.get(1).and_then(|value| from_redis_value_ref(value).ok()),
        Value::Map(pairs) => pairs.first().and_then(|(_, value)| from_redis_value_ref(value).ok()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\ncluster_enabled:0\r\nrole:master\r\naof_enabled:1\r\n\
        aof_last_write_status:ok\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nused_memory:1048576\r\n";

    #[test]
    fn what_the_server_tells_of_itself_is_read_and_judged() {
        use {Durability as D, Finding as F};
        let server = |name: &str, supported| F::Server { name: name.into(), supported };
        let eviction = |policy: &str, limited| F::Eviction { policy: policy.into(), limited };
        let replica = F::Standing(Standing::Replica { of: "10.0.0.1:6380".into() });
        // (in place of, this, appendfsync, what is then found)
        let cases = [
            ("", "", Some("always"), F::Durability(D::Always)),
            ("", "", Some("everysec"), F::Durability(D::EverySecond)),
            ("", "", Some("no"), F::Durability(D::Unflushed)),
            ("", "", None, F::Durability(D::Unknown)),
            ("aof_enabled:1", "aof_enabled:0", Some("always"), F::Durability(D::Off)),
            ("status:ok", "status:err", Some("always"), F::Durability(D::Failing)),
            ("", "", None, server("Redis 7.0.15", true)),
            ("7.0.15", "6.2.14", None, server("Redis 6.2.14", false)),
            ("7.0.15", "10.1.0", None, server("Redis 10.1.0", true)),
            ("redis_version:7.0.15", "", None, server("Redis of an unknown version", false)),
            ("cluster_e", "valkey_version:8.1.3\r\ncluster_e", None, server("Valkey 8.1.3", true)),
            ("role:master", "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6380", None, replica),
            ("cluster_enabled:0", "cluster_enabled:1", None, F::Standing(Standing::ClusterNode)),
            ("noeviction", "allkeys-lru", None, eviction("allkeys-lru", false)),
            ("maxmemory:0", "maxmemory:2097152", None, eviction("noeviction", true)),
            ("maxmemory:0", "maxmemory:2097152", None, F::Memory { used: 1 << 20, limit: Some(2 << 20) }),
            ("", "", None, F::Memory { used: 1 << 20, limit: None }),
        ];
        for (from, to, fsync, expected) in cases {
            let found = Facts::read(
                &GOOD.replace(from, if from.is_empty() { "" } else { to }),
                fsync.map(Into::into),
            )
            .findings();
            assert!(found.contains(&expected), "{from} -> {to}: {expected:?} is not in {found:?}");
        }
    }
}
