//! Seals what was told, in order, and notes the head outside the store, so that a cut-off tail shows.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use usher_shared::{
    audit::{AuditHead, AuditKey, seal},
    store::{CHUNK, SharedStore, StoreError},
};

use crate::backoff::Backoff;

/// How often it is looked whether something was told.
const EVERY: Duration = Duration::from_secs(1);
/// How often the head is logged while it grows.
const LOG_EVERY: Duration = Duration::from_secs(10 * 60);

/// What the audit is sealed with.
#[derive(Clone, Debug)]
pub struct AuditSealing {
    /// The key, which lies outside the store.
    pub key: AuditKey,
    /// The file that the head is noted in, where there is a place for one.
    pub head_file: Option<PathBuf>,
}

/// Seals until it is to end, and then once more.
pub(crate) async fn seal_until(store: SharedStore, sealing: AuditSealing, mut end: watch::Receiver<bool>) {
    let mut sealer = Sealer { store, sealing, logged: None, compared: false, keeps_file: true };
    let mut failures = 0;
    loop {
        let wait = match sealer.seal().await {
            Ok(()) => {
                failures = 0;
                EVERY
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, "the audit is not sealed for now; trying again");
                Backoff::SERVICE.ceiling(failures).max(EVERY)
            }
        };
        // The sender is gone only when the engine is.
        let ended = tokio::time::timeout(wait, end.wait_for(|end| *end)).await;
        if ended.is_ok() {
            break;
        }
    }
    if let Err(error) = sealer.seal().await {
        tracing::warn!(%error, "the audit's last entries are not sealed yet; the next worker seals them");
    }
    sealer.log_head(true).await;
}

struct Sealer {
    store: SharedStore,
    sealing: AuditSealing,
    /// The head that was logged last, and when.
    logged: Option<(AuditHead, Instant)>,
    /// Whether the store was held against the noted head.
    compared: bool,
    /// What contradicts the store is evidence, and is left as it is.
    keeps_file: bool,
}

impl Sealer {
    /// Seals all that is not sealed yet.
    async fn seal(&mut self) -> Result<(), StoreError> {
        let mut head = self.store.audit_head().await?;
        if !self.compared {
            self.compare(head.as_ref()).await?;
            self.compared = true;
        }
        loop {
            let next = head.as_ref().map_or(1, |head| head.number + 1);
            let entries = self.store.audit(next, CHUNK).await?;
            let mut before = head.as_ref().map_or_else(String::new, |head| head.seal.clone());
            let mut seals = Vec::new();
            let mut last = None;
            // An entry that is out of order, or sealed, is another writer's doing: nothing is sealed over it.
            for (entry, number) in entries.iter().zip(next..) {
                if entry.number != number || entry.seal.is_some() {
                    break;
                }
                before = seal(&self.sealing.key, &before, entry);
                seals.push(before.clone());
                last = Some(AuditHead { number, seal: before.clone() });
            }
            let Some(last) = last else { break };
            if !self.store.seal_audit(head.as_ref(), &seals).await? {
                // Another worker was faster; it goes on from where that one came to at the next look.
                break;
            }
            self.note(&last).await;
            head = Some(last);
        }
        self.log_head(false).await;
        Ok(())
    }

    /// Holds the store against the head that was noted before: one that the store does not have any more was cut off.
    async fn compare(&mut self, head: Option<&AuditHead>) -> Result<(), StoreError> {
        let Some(path) = self.sealing.head_file.clone() else { return Ok(()) };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the noted head of the audit can't be read");
                return Ok(());
            }
        };
        let Ok(noted) = text.parse::<AuditHead>() else {
            tracing::warn!(path = %path.display(), "the noted head of the audit can't be read: it is written anew");
            return Ok(());
        };
        let there = match head {
            Some(head) if head.number >= noted.number => {
                let entry = self.store.audit(noted.number, 1).await?.into_iter().next();
                entry.is_some_and(|entry| entry.seal.as_deref() == Some(noted.seal.as_str()))
            }
            _ => false,
        };
        if !there {
            self.keeps_file = false;
            tracing::error!(
                path = %path.display(),
                "the audit does not have its noted head {noted} any more: entries were removed, or all of it was written \
                 anew. `usher audit verify` says more; the noted head is kept as it is"
            );
        }
        Ok(())
    }

    async fn note(&self, head: &AuditHead) {
        let Some(path) = self.sealing.head_file.clone().filter(|_| self.keeps_file) else { return };
        let text = format!("{head}\n");
        let written = tokio::task::spawn_blocking(move || write(&path, &text)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the head of the audit can't be noted in its file"),
            Err(error) => tracing::warn!(%error, "the head of the audit was not noted"),
        }
    }

    /// Logs the head: at the start, now and then while it grows, and at the end.
    async fn log_head(&mut self, at_end: bool) {
        let due = self.logged.as_ref().is_none_or(|(_, at)| at.elapsed() >= LOG_EVERY);
        if !due && !at_end {
            return;
        }
        let Ok(Some(head)) = self.store.audit_head().await else { return };
        if self.logged.as_ref().is_none_or(|(logged, _)| *logged != head) {
            tracing::info!("audit head {head}");
        }
        self.logged = Some((head, Instant::now()));
    }
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("head.new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}
