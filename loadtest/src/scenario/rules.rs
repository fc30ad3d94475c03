//! The rules that differ from scenario to scenario.

use std::time::Duration;

use super::plan::Plan;
use crate::{record::Run, version::Version};

/// A scenario's own rules. The defaults are those of a stampede.
pub(crate) trait Rules: Sync {
    /// The plan with its default numbers, derived from a stampede's.
    fn plan(&self, stampede: Plan) -> Plan {
        stampede
    }

    /// A smaller plan for a quick run.
    fn quick(&self, plan: Plan) -> Plan {
        Plan { buyers: plan.buyers / 5, lasts: Duration::from_secs(1), ..plan }
    }

    /// The buyers in words: `10,000 buyers`.
    fn who(&self, plan: &Plan) -> String {
        plan.counted("buyer", "buyers")
    }

    /// Checks that the plan can run.
    ///
    /// # Errors
    /// The version lacks what the scenario attacks, or the numbers are too small.
    fn check(&self, _plan: &Plan) -> anyhow::Result<()> {
        Ok(())
    }

    /// The most sockets that are open at the same time.
    fn sockets(&self, plan: &Plan) -> usize {
        plan.sockets_of_a_crowd()
    }

    /// Extra arguments for the shop, so that no other limit hides what the scenario measures. The buyers of a crowd ask for their
    /// purchase URLs before the barrier. With a slow database, or a fault, the last of them clicks after more than a minute.
    fn shop_args(&self, version: Version) -> Vec<&'static str> {
        if version.hides_the_address() { vec!["--path-ttl=900"] } else { Vec::new() }
    }

    /// Whether the load is large enough for something to break: concurrent buyers, and units to take. Without such load, a
    /// version may hold although the table promises that it breaks.
    fn contended(&self, plan: &Plan) -> bool {
        plan.crowded() && plan.buyers as i64 > plan.units()
    }

    /// The figure in two or three words.
    fn figure(&self, run: &Run) -> String {
        run.figure_of_a_crowd()
    }
}
