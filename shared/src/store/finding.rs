//! What a store finds out about itself, and how that is told: the one place with the words for it.

use crate::{Diagnosis, Level};

/// The share of a Redis' memory from which on its being full is near.
const NEARLY_FULL: f64 = 0.9;

/// What a store finds out about itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Which server it is, and whether it has what usher's functions need.
    Server {
        /// `Redis 7.0.15`
        name: String,
        /// Whether it is version 7.0 or newer.
        supported: bool,
    },
    /// What the server is among others.
    Standing(Standing),
    /// What a crash may lose.
    Durability(Durability),
    /// What happens to keys when the memory is full.
    Eviction {
        /// Redis' word: `noeviction`, `allkeys-lru`.
        policy: String,
        /// Whether there is a limit at which it happens.
        limited: bool,
    },
    /// How full the memory is.
    Memory {
        /// Bytes in use.
        used: u64,
        /// The server's limit; `None` where it has none.
        limit: Option<u64>,
    },
    /// What the user lacks of that which usher needs: ACL rules, such as `+hget`, `~usher:*`.
    Rights {
        /// Rules that are missing; empty where none is.
        lacking: Vec<String>,
        /// Whether that could be seen at all.
        seen: bool,
    },
    /// Something can't be looked at: the server's settings, by a user who may not.
    Unseen {
        /// What a person with more rights types instead.
        command: &'static str,
        /// What the server said.
        said: String,
    },
    /// Whether a database file is whole; `Some`: the first thing that is wrong with it.
    Integrity(Option<String>),
    /// How a database file keeps what is being written.
    Journal(String),
}

/// What a server is among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It takes writes.
    Primary,
    /// It copies another, and takes no writes.
    Replica {
        /// The address of the one it copies.
        of: String,
    },
    /// One node of a cluster.
    ClusterNode,
}

/// What a crash of a server may lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: an append-only file, on the disk before each answer.
    Always,
    /// The last second: an append-only file that goes to the disk every second.
    EverySecond,
    /// As much as the operating system likes: nobody sees to it that the append-only file goes to the disk.
    Unflushed,
    /// An append-only file; how often it goes to the disk this user may not see.
    Unknown,
    /// An append-only file that can't be written.
    Failing,
    /// Everything since the last snapshot, or everything: no append-only file.
    Off,
}

impl Finding {
    /// Whether what is stored may be lost without anybody noticing: told when a worker starts.
    #[must_use]
    pub fn endangers_data(&self) -> bool {
        match self {
            Self::Durability(_) | Self::Eviction { .. } | Self::Integrity(_) => {
                self.diagnosis().level > Level::Ok
            }
            _ => false,
        }
    }

    /// It in words.
    #[must_use]
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Server { name, supported: true } => Diagnosis::ok("version", name),
            Self::Server { name, supported: false } => Diagnosis::failure(
                "version",
                format!("{name} is older than Redis 7.0"),
                "usher keeps what must be atomic in functions, which servers have since 7.0; no run can be submitted",
                "upgrade the server to Redis 7.0 or newer, or a Valkey",
            ),
            Self::Standing(standing) => standing.diagnosis(),
            Self::Durability(durability) => durability.diagnosis(),
            Self::Eviction { policy, limited } => eviction(policy, *limited),
            Self::Memory { used, limit } => memory(*used, *limit),
            Self::Rights { seen: false, .. } => Diagnosis::warning(
                "rights",
                "what the user may do can't be seen: it may not MULTI and DISCARD",
                "a right that is missing would show in the middle of a run only",
                "ACL SETUSER <user> +multi +discard",
            ),
            Self::Rights { lacking, .. } if lacking.is_empty() => {
                Diagnosis::ok("rights", "the user may do all that usher needs")
            }
            Self::Rights { lacking, .. } => Diagnosis::failure(
                "rights",
                format!("the user lacks {}", lacking.join(" ")),
                "submitting, working or reporting stops where it comes to need them",
                format!("ACL SETUSER <user> {}", lacking.join(" ")),
            ),
            Self::Unseen { command, said } => Diagnosis::warning(
                "settings",
                format!("the server does not tell: {said}"),
                "a server that forgets or evicts keys loses jobs, and usher can't see whether this one does",
                format!("ACL SETUSER <user> +info, or look with: {command}"),
            ),
            Self::Integrity(None) => Diagnosis::ok("integrity", "the database file is whole"),
            Self::Integrity(Some(problem)) => Diagnosis::failure(
                "integrity",
                format!("the database file is damaged: {problem}"),
                "runs, jobs or outcomes in it may be wrong or missing",
                "stop every usher on it; sqlite3 usher.db .recover | sqlite3 mended.db, or put a backup in its place",
            ),
            Self::Journal(mode) if mode == "wal" => {
                Diagnosis::ok("journal", "write-ahead log, flushed to the disk with each commit")
            }
            Self::Journal(mode) => Diagnosis::warning(
                "journal",
                format!("{mode} in place of wal"),
                "looking and working wait for each other; file systems over a network often can't do better",
                "put the store on a local disk: data_dir in usher.toml",
            ),
        }
    }
}

impl Standing {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Primary => Diagnosis::ok("role", "primary"),
            Self::Replica { of } => Diagnosis::failure(
                "role",
                format!("a replica of {of}"),
                "it takes no writes, so nothing can be submitted or worked here",
                format!("store = \"redis://{of}\" in usher.toml: the primary's address"),
            ),
            Self::ClusterNode => Diagnosis::failure(
                "role",
                "a node of a Redis Cluster",
                "usher speaks to one server, and a node answers for its own share of the keys alone",
                "use a server with cluster-enabled no; replicas and a failover address are fine",
            ),
        }
    }
}

impl Durability {
    fn diagnosis(self) -> Diagnosis {
        const CHECK: &str = "durability";
        const ON: &str = "CONFIG SET appendonly yes, then CONFIG REWRITE";
        match self {
            Self::Always => {
                Diagnosis::ok(CHECK, "append-only file, appendfsync always: a crash loses nothing")
            }
            Self::EverySecond => Diagnosis::ok(
                CHECK,
                "append-only file, appendfsync everysec: a crash of its machine may lose the last second or two; those \
                 jobs run again, and converge",
            ),
            Self::Unknown => Diagnosis::ok(
                CHECK,
                "append-only file; how often it is flushed this user may not see (everysec, the default, may lose the \
                 last second)",
            ),
            Self::Unflushed => Diagnosis::warning(
                CHECK,
                "append-only file, appendfsync no",
                "a crash of its machine loses what the operating system had not yet written, some 30 s: outcomes, and \
                 runs submitted meanwhile",
                "CONFIG SET appendfsync everysec, then CONFIG REWRITE",
            ),
            Self::Failing => Diagnosis::failure(
                CHECK,
                "the append-only file can't be written",
                "the server refuses every write until it can be: no outcome is recorded",
                "make room on the server's disk; INFO persistence tells more",
            ),
            Self::Off => Diagnosis::failure(
                CHECK,
                "no append-only file",
                "a restart of the server loses runs, and the record of who was changed, since its last snapshot",
                ON,
            ),
        }
    }
}

fn eviction(policy: &str, limited: bool) -> Diagnosis {
    const CHECK: &str = "eviction";
    const CURE: &str = "CONFIG SET maxmemory-policy noeviction, then CONFIG REWRITE";
    let found = format!("maxmemory-policy {policy}");
    match (policy, limited) {
        ("noeviction", _) => Diagnosis::ok(CHECK, found),
        (other, true) if other.starts_with("allkeys") => Diagnosis::failure(
            CHECK,
            found,
            "when its memory is full the server deletes any key it likes: jobs vanish without an outcome",
            CURE,
        ),
        (_, true) => Diagnosis::warning(
            CHECK,
            found,
            "when its memory is full the server deletes keys that expire: the fleet's token and the pace of its calls",
            CURE,
        ),
        (_, false) => Diagnosis::warning(
            CHECK,
            format!("{found}, which has no effect without maxmemory"),
            "as soon as somebody sets maxmemory, a full server deletes keys, jobs among them",
            CURE,
        ),
    }
}

fn memory(used: u64, limit: Option<u64>) -> Diagnosis {
    const CHECK: &str = "memory";
    let Some(limit) = limit else {
        return Diagnosis::ok(CHECK, format!("{}, no limit set", mib(used)));
    };
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let share = used as f64 / limit.max(1) as f64;
    let found = format!("{} of {} ({:.0}%)", mib(used), mib(limit), share * 100.0);
    if share < NEARLY_FULL {
        return Diagnosis::ok(CHECK, found);
    }
    Diagnosis::warning(
        CHECK,
        found,
        "a full server refuses new runs; work in progress is finished, and nothing new is leased",
        "CONFIG SET maxmemory <more>, then CONFIG REWRITE",
    )
}

fn mib(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let mib = bytes as f64 / (1024.0 * 1024.0);
    format!("{mib:.1} MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_well_says_why_and_what_to_type() {
        use {Durability as D, Finding as F};
        let replica = Standing::Replica { of: "10.0.0.1:6379".into() };
        let eviction = |policy: &str, limited| F::Eviction { policy: policy.into(), limited };
        // (finding, level, whether a worker warns of it at its start)
        let cases = [
            (F::Server { name: "Redis 7.0.15".into(), supported: true }, Level::Ok, false),
            (F::Server { name: "Redis 6.2.1".into(), supported: false }, Level::Failure, false),
            (F::Standing(Standing::Primary), Level::Ok, false),
            (F::Standing(replica), Level::Failure, false),
            (F::Standing(Standing::ClusterNode), Level::Failure, false),
            (F::Durability(D::Always), Level::Ok, false),
            (F::Durability(D::EverySecond), Level::Ok, false),
            (F::Durability(D::Unknown), Level::Ok, false),
            (F::Durability(D::Unflushed), Level::Warning, true),
            (F::Durability(D::Failing), Level::Failure, true),
            (F::Durability(D::Off), Level::Failure, true),
            (eviction("noeviction", true), Level::Ok, false),
            (eviction("allkeys-lru", true), Level::Failure, true),
            (eviction("allkeys-lru", false), Level::Warning, true),
            (eviction("volatile-ttl", true), Level::Warning, true),
            (F::Memory { used: 89, limit: Some(100) }, Level::Ok, false),
            (F::Memory { used: 90, limit: Some(100) }, Level::Warning, false),
            (F::Memory { used: 1 << 40, limit: None }, Level::Ok, false),
            (F::Rights { lacking: vec![], seen: true }, Level::Ok, false),
            (F::Rights { lacking: vec!["+hget".into()], seen: true }, Level::Failure, false),
            (F::Rights { lacking: vec![], seen: false }, Level::Warning, false),
            (F::Unseen { command: "redis-cli INFO", said: "NOPERM".into() }, Level::Warning, false),
            (F::Integrity(None), Level::Ok, false),
            (F::Integrity(Some("row 3 missing".into())), Level::Failure, true),
            (F::Journal("wal".into()), Level::Ok, false),
            (F::Journal("delete".into()), Level::Warning, false),
        ];
        for (finding, level, endangers) in cases {
            let told = finding.diagnosis();
            assert_eq!((told.level, finding.endangers_data()), (level, endangers), "{finding:?}");
            assert_eq!(told.cure.is_empty(), level == Level::Ok, "{finding:?}");
            assert_eq!(told.why.is_empty(), level == Level::Ok, "{finding:?}");
        }
    }
}
