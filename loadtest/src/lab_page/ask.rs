//! What the page may ask the first tab for: one run, in a few words that also fit into a link.

use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::{
    buyer::schedule::{Load, Pattern, Schedule},
    gates::Gate,
    scenario::{Scenario, plan::Plan},
    version::{Variant, Version},
};

/// The most buyers of a run on the page.
const MOST_BUYERS: u32 = 100_000;
/// The most units of a run on the page.
const MOST_UNITS: u32 = 1_000_000;
/// The longest open loop on the page, in seconds.
const LONGEST: f64 = 120.0;

/// One run, as the page asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    pub(super) version: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<Variant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scenario: Option<Scenario>,
    /// `None`: as many as the scenario has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    buyers: Option<u32>,
    /// `None`: as many as the scenario has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stock: Option<u32>,
    /// Buyers a second in an open loop; `None`: all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    /// The seconds of an open loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// The gates that the shop is put together without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    without: Vec<Gate>,
}

impl Ask {
    /// The plan of the run, as `cargo loadtest run` makes it.
    ///
    /// # Errors
    /// The numbers are out of range, or do not fit the version or the scenario.
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let version = self.version;
        if let Some(variant) = self.variant {
            version.variant(variant.name()).map_err(anyhow::Error::msg)?;
        }
        let in_range = |what: &str, n: Option<u32>, least: u32, most: u32| {
            ensure!(n.is_none_or(|n| (least..=most).contains(&n)), "{what}: write a number from {least} to {most}");
            anyhow::Ok(())
        };
        in_range("buyers", self.buyers, 1, MOST_BUYERS)?;
        in_range("units", self.stock, 0, MOST_UNITS)?;
        let plan = Plan::new(version, self.variant, self.scenario.unwrap_or(Scenario::Stampede));
        let plan = Plan {
            buyers: self.buyers.map_or(plan.buyers, |n| n as usize),
            stock: self.stock.map_or(plan.stock, i64::from),
            without: self.without.clone(),
            ..plan
        }
        .under(self.load()?);
        plan.check()?;
        Ok(plan)
    }

    fn load(&self) -> anyhow::Result<Load> {
        let Some(rate) = self.rate else { return Ok(Load::Closed) };
        let seconds = self.seconds.unwrap_or(10.0);
        ensure!((1.0..=LONGEST).contains(&seconds), "seconds: write a number from 1 to {LONGEST}");
        ensure!(rate.is_finite() && rate >= 1.0, "rate: write 1 or more buyers a second");
        ensure!(rate * seconds <= f64::from(MOST_BUYERS), "these are more than {MOST_BUYERS} buyers: lower the rate");
        Ok(Load::Open(Schedule::constant(rate, Duration::from_secs_f64(seconds), Pattern::Constant)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(ask: &str) -> Result<Plan, String> {
        let ask: Ask = serde_json::from_str(ask).map_err(|why| why.to_string())?;
        ask.plan().map_err(|why| why.to_string())
    }

    #[test]
    fn a_request_is_the_plan_of_the_command_line() {
        let of_command = Plan::new(Version::V2, Some(Variant::InsertFirst), Scenario::Stampede);
        let of_page = plan(r#"{"version": "v2-pessimistic", "variant": "insert-first"}"#).unwrap();
        assert_eq!(format!("{of_page:?}"), format!("{of_command:?}"));
        let open = plan(r#"{"version": "v1-naive", "rate": 200, "seconds": 2, "stock": 5}"#).unwrap();
        assert_eq!((open.buyers, open.stock), (400, 5));
        let gates = plan(r#"{"version": "v5-hidden-api", "scenario": "early-bird", "without": ["window"]}"#).unwrap();
        assert_eq!(gates.title(), "v5-hidden-api without window early-bird");
    }

    #[test]
    fn what_cannot_be_played_is_refused_in_a_line() {
        for (ask, why) in [
            (r#"{"version": "v7"}"#, "unknown variant"),
            (r#"{"version": "v1-naive", "colour": 1}"#, "unknown field"),
            (r#"{"version": "v1-naive", "variant": "no-retry"}"#, "v1-naive has no variant no-retry"),
            (r#"{"version": "v1-naive", "buyers": 0}"#, "buyers: write a number from 1"),
            (r#"{"version": "v1-naive", "buyers": 100001}"#, "buyers: write a number from 1"),
            (r#"{"version": "v1-naive", "buyers": -1}"#, "invalid value"),
            (r#"{"version": "v1-naive", "rate": 0}"#, "rate: write 1 or more"),
            (r#"{"version": "v1-naive", "rate": 100000, "seconds": 100}"#, "lower the rate"),
            (r#"{"version": "v1-naive", "rate": 10, "seconds": 1e9}"#, "seconds: write a number"),
            (r#"{"version": "v1-naive", "scenario": "forger"}"#, ""),
            (r#"{"version": "v4-ratelimit", "without": ["window"]}"#, "has no such gate: window"),
        ] {
            let refused = plan(ask).unwrap_err();
            assert!(refused.contains(why) && refused.lines().count() == 1, "{ask}: {refused}");
        }
    }
}
