//! What is told to Prometheus, described once: code, documents and tests go by the same lists.

/// One family of series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name, by Prometheus' conventions: base units, `_total` at the end of what is counted.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// The names of its labels. None of them ever holds a user or an address.
    pub labels: &'static [&'static str],
    /// What it tells, in a sentence.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricKind {
    /// Only ever grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts what was observed, by the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

impl MetricKind {
    /// The word in `# TYPE`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

impl Metric {
    /// Something that is counted.
    #[must_use]
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: MetricKind::Counter, labels, help }
    }

    /// Something that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: MetricKind::Gauge, labels, help }
    }

    /// Something that is observed again and again.
    #[must_use]
    pub const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
        help: &'static str,
    ) -> Self {
        Self { name, kind: MetricKind::Histogram(buckets), labels, help }
    }
}
