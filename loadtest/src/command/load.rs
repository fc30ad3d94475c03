use std::time::Duration;

use anyhow::{bail, ensure};
use loadtest::buyer::schedule::{Load, Pattern, Schedule, per_second, seconds};

#[derive(clap::Args)]
pub(crate) struct LoadArgs {
    /// Open loop: this many buyers come each second, for example 2000/s, whether or not the shop keeps up. Without it, the
    /// connections are a closed loop: a buyer asks when the one before has an answer
    #[arg(long, value_name = "RATE", value_parser = per_second)]
    pub(crate) rate: Option<f64>,

    /// How long they come [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,

    /// Open loop with a rate that changes: times and rates, with straight ramps between them, for example 0:0,5s:1000,30s:5000
    #[arg(long, value_name = "TIME:RATE,…", conflicts_with = "rate")]
    pub(crate) stages: Option<String>,

    /// How the buyers of an open loop are spread; chance is drawn from --seed [default: constant]
    #[arg(long, value_enum)]
    pub(crate) arrivals: Option<Pattern>,
}

impl LoadArgs {
    pub(crate) fn load(&self) -> anyhow::Result<Load> {
        let arrivals = self.arrivals.unwrap_or_default();
        let lasts = self.duration.unwrap_or(Duration::from_secs(10));
        let schedule = match (self.rate, &self.stages) {
            (Some(rate), _) => Schedule::constant(rate, lasts, arrivals)?,
            (None, _) if self.duration.is_some() => bail!("--duration is about --rate: add --rate 2000/s"),
            (None, Some(stages)) => Schedule::stages(stages, arrivals)?,
            (None, None) => {
                ensure!(self.arrivals.is_none(), "--arrivals is about an open loop: add --rate 2000/s or --stages");
                return Ok(Load::Closed);
            }
        };
        Ok(Load::Open(schedule))
    }
}
