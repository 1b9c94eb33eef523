//! Zoom's plans: how many calls of each label an account may make.
//!
//! Source of the numbers: Zoom, "Rate limits" (developers.zoom.us/docs/api/rate-limits/).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::rate::Rate;

/// What Zoom files an endpoint under; the calls of one label share its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Light.
    Light,
    /// Medium.
    Medium,
    /// Heavy.
    Heavy,
    /// Resource-intensive.
    ResourceIntensive,
}

impl Label {
    /// All labels.
    pub const ALL: [Label; 4] = [Label::Light, Label::Medium, Label::Heavy, Label::ResourceIntensive];

    /// Its name in settings and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Label::Light => "light",
            Label::Medium => "medium",
            Label::Heavy => "heavy",
            Label::ResourceIntensive => "resource_intensive",
        }
    }

    /// Its name in the header `X-RateLimit-Category`.
    pub const fn category(self) -> &'static str {
        match self {
            Label::Light => "Light",
            Label::Medium => "Medium",
            Label::Heavy => "Heavy",
            Label::ResourceIntensive => "Resource-intensive",
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Label::ALL
            .into_iter()
            .find(|label| label.name() == text)
            .ok_or_else(|| format!("`{text}` is no label; use light, medium, heavy or resource_intensive"))
    }
}

/// The account's plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Free.
    Free,
    /// Pro.
    Pro,
    /// Business, Education, Enterprise, Partner.
    #[default]
    Business,
    /// No limits at all; Zoom has no such plan, but tests of other rules want one.
    Unlimited,
}

impl Plan {
    /// The rate of a label; `None` for none.
    pub const fn rate(self, label: Label) -> Option<Rate> {
        Some(match (self, label) {
            (Plan::Unlimited, _) => return None,
            (Plan::Free, Label::Light) => Rate::per_second(4),
            (Plan::Free, Label::Medium) => Rate::per_second(2),
            (Plan::Free, Label::Heavy) => Rate::per_second(1),
            (Plan::Pro, Label::Light) => Rate::per_second(30),
            (Plan::Pro, Label::Medium) => Rate::per_second(20),
            (Plan::Pro, Label::Heavy) => Rate::per_second(10),
            (Plan::Free | Plan::Pro, Label::ResourceIntensive) => Rate::per_minute(10),
            (Plan::Business, Label::Light) => Rate::per_second(80),
            (Plan::Business, Label::Medium) => Rate::per_second(60),
            (Plan::Business, Label::Heavy) => Rate::per_second(40),
            (Plan::Business, Label::ResourceIntensive) => Rate::per_minute(20),
        })
    }

    /// The day's quotas: which labels share one, and how many calls it holds.
    pub const fn per_day(self) -> &'static [(&'static [Label], u64)] {
        const HEAVY_AND_MORE: &[Label] = &[Label::Heavy, Label::ResourceIntensive];
        match self {
            Plan::Free => &[
                (&[Label::Light], 6_000),
                (&[Label::Medium], 2_000),
                (&[Label::Heavy], 1_000),
                (&[Label::ResourceIntensive], 30_000),
            ],
            Plan::Pro => &[(HEAVY_AND_MORE, 30_000)],
            Plan::Business => &[(HEAVY_AND_MORE, 60_000)],
            Plan::Unlimited => &[],
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Plan::Free => "free",
            Plan::Pro => "pro",
            Plan::Business => "business",
            Plan::Unlimited => "unlimited",
        })
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "free" => Plan::Free,
            "pro" => Plan::Pro,
            "business" => Plan::Business,
            "unlimited" => Plan::Unlimited,
            other => return Err(format!("`{other}` is no plan; use free, pro, business or unlimited")),
        })
    }
}
