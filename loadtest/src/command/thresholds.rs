use loadtest::{record::Run, scenario::plan::Plan, verdict::threshold::Threshold};

#[derive(clap::Args)]
pub(crate) struct Thresholds {
    /// Fail each run for which this is true, with exit code 1: 'p99(bought)>50ms', 'oversold>0', 'undersold>0', 'errors>1%',
    /// 'dropped>0', 'late>1%', 'rps<2000'. Several are possible
    #[arg(long, value_name = "THRESHOLD")]
    fail_if: Vec<Threshold>,

    /// Stop as soon as a run is certain to fail a threshold over oversold or errors, and play no round after a failed one
    #[arg(long, requires = "fail_if")]
    abort_early: bool,
}

impl Thresholds {
    /// The plan with these thresholds.
    pub(crate) fn of(&self, plan: Plan) -> Plan {
        Plan { fail_if: self.fail_if.clone(), abort_early: self.abort_early, ..plan }
    }

    /// Whether this run is the last one.
    pub(crate) fn end_after(&self, run: &Run) -> bool {
        self.abort_early && run.missed_threshold()
    }
}
