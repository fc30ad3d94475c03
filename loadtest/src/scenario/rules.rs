//! What is particular about a scenario.

use std::time::Duration;

use super::plan::Plan;
use crate::{record::Run, version::Version};

/// What is particular about a scenario, in its own file. What it does not say is as in a stampede.
pub(crate) trait Rules: Sync {
    /// The plan as the book has it, made from a stampede's.
    fn plan(&self, stampede: Plan) -> Plan {
        stampede
    }

    /// The same for a quick look.
    fn quick(&self, plan: Plan) -> Plan {
        Plan { buyers: plan.buyers / 5, lasts: Duration::from_secs(1), ..plan }
    }

    /// Who comes: `10,000 buyers`.
    fn who(&self, plan: &Plan) -> String {
        plan.counted("buyer", "buyers")
    }

    /// Whether it can be carried out.
    ///
    /// # Errors
    /// The version has nothing that it could attack, or too few of something were asked for.
    fn check(&self, _plan: &Plan) -> anyhow::Result<()> {
        Ok(())
    }

    /// Sockets that it needs at the same time.
    fn sockets(&self, plan: &Plan) -> usize {
        plan.sockets_of_a_crowd()
    }

    /// What else the shop has to be told, for the thing itself to be measured and not a limit before it.
    fn shop_args(&self, _version: Version) -> Vec<&'static str> {
        Vec::new()
    }

    /// Whether there is enough of a crowd, or of an attack, for something to break: more than one who asks at the same time, and
    /// something to take. What one buyer alone, or an empty sale, does is measured.
    fn contended(&self, plan: &Plan) -> bool {
        plan.crowded() && plan.buyers as i64 > plan.units()
    }

    /// Its figure in two or three words.
    fn figure(&self, run: &Run) -> String {
        run.figure_of_a_crowd()
    }
}
