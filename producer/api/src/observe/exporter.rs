//! The recorder of this process: there is one, for the facade that is counted by has one.

use std::{fmt, sync::OnceLock, time::Duration};

use metrics::{Key, KeyName, Metadata, Recorder, gauge};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use usher_shared::{Metric, MetricKind};

use super::{names, process};

/// Observations are taken into their buckets so often where nobody scrapes; until then each is kept by itself.
const UPKEEP: Duration = Duration::from_secs(5);

/// Nothing can be counted: another recorder is there. Never retried; it is a defect of whoever embeds this.
#[derive(Debug, thiserror::Error)]
#[error("metrics can't be recorded in this process: {0}")]
pub struct NotInstalled(#[from] BuildError);

/// What this process counts.
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exporter")
    }
}

static INSTALLED: OnceLock<Exporter> = OnceLock::new();

impl Exporter {
    /// Counts from now on what the server counts, and these. The first call in a process decides; a later one gets the same.
    /// Must be called within a Tokio runtime, in which it keeps itself small.
    pub fn install(more: &[&[Metric]]) -> Result<Self, NotInstalled> {
        if let Some(installed) = INSTALLED.get() {
            return Ok(installed.clone());
        }
        let recorder = recorder(&[&[names::SERVER], more].concat())?;
        let exporter = Self(recorder.handle());
        metrics::set_global_recorder(recorder).map_err(BuildError::from)?;
        gauge!(names::BUILD.name, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let handle = exporter.0.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                handle.run_upkeep();
            }
        });
        Ok(INSTALLED.get_or_init(|| exporter).clone())
    }

    /// The one that was installed; `None` where nothing is counted.
    #[must_use]
    pub fn installed() -> Option<Self> {
        INSTALLED.get().cloned()
    }

    /// What was counted, and what the process is made of.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.0.render();
        process::write(&mut text);
        text
    }
}

/// A recorder that knows these metrics: their help, and the buckets of those that have some.
pub(super) fn recorder(lists: &[&[Metric]]) -> Result<PrometheusRecorder, BuildError> {
    let all = || lists.iter().copied().flatten();
    let mut builder = PrometheusBuilder::new();
    for metric in all() {
        if let MetricKind::Histogram(buckets) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
        }
    }
    let recorder = builder.build_recorder();
    for metric in all() {
        let (name, help) = (KeyName::from_const_str(metric.name), metric.help.into());
        match metric.kind {
            MetricKind::Counter => recorder.describe_counter(name, None, help),
            MetricKind::Gauge => recorder.describe_gauge(name, None, help),
            MetricKind::Histogram(_) => recorder.describe_histogram(name, None, help),
        }
        if metric.labels.is_empty() && metric.kind == MetricKind::Gauge {
            // There from the start.
            let metadata = Metadata::new(module_path!(), metrics::Level::INFO, None);
            recorder.register_gauge(&Key::from_static_name(metric.name), &metadata).set(0.0);
        }
    }
    Ok(recorder)
}
