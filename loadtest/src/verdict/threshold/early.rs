use super::{Comparison, Figure, Threshold};

/// The thresholds that can stop a run early: those that are certain to fail before the last buyer has asked. Empty without
/// `--abort-early`.
#[derive(Debug, Clone, Default)]
pub struct Early {
    /// The thresholds of the run. One that a later buyer can still improve never stops it.
    pub thresholds: Vec<Threshold>,
    /// Units of all sales together.
    pub stock: i64,
    /// All buyers of the crowd, including those who have not asked yet.
    pub buyers: usize,
}

impl Early {
    /// The first threshold that the run is certain to fail; `None` if there is none. `yes` counts the buyers who got a unit, and `errors`
    /// those whose answer was neither yes nor no.
    pub(crate) fn certain(&self, yes: usize, errors: usize) -> Option<&Threshold> {
        self.thresholds.iter().find(|threshold| {
            let so_far = match threshold.figure {
                Figure::Oversold => Some((yes as i64 - self.stock).max(0) as f64),
                Figure::Errors => threshold.counted(errors as u64, self.buyers as u64),
                Figure::Latency(..) | Figure::Undersold | Figure::Dropped | Figure::Late | Figure::Rps => None,
            };
            match threshold.comparison {
                Comparison::Above | Comparison::AtLeast => so_far.is_some_and(|n| threshold.is_failed_by(n)),
                Comparison::Below | Comparison::AtMost => false, // more buyers may lift it
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certain(threshold: &str, yes: usize, errors: usize) -> bool {
        let early = Early { thresholds: vec![threshold.parse().unwrap()], stock: 100, buyers: 1000 };
        early.certain(yes, errors).is_some()
    }

    #[test]
    fn more_yes_than_stock_is_certain_to_oversell() {
        assert_eq!([100, 101].map(|yes| certain("oversold>0", yes, 0)), [false, true]);
        assert_eq!([105, 106].map(|yes| certain("oversold>5", yes, 0)), [false, true]);
        assert_eq!([104, 105].map(|yes| certain("oversold>=5", yes, 0)), [false, true]);
    }

    #[test]
    fn an_error_share_is_of_all_buyers_to_come() {
        assert_eq!([10, 11].map(|errors| certain("errors>1%", 0, errors)), [false, true]);
        assert_eq!([3, 4].map(|errors| certain("errors>3", 0, errors)), [false, true]);
    }

    #[test]
    fn what_can_still_get_better_is_not_certain() {
        for threshold in ["oversold<5", "undersold>0", "rps<2000", "p99(bought)>1ms", "late>0", "errors<=3"] {
            assert!(!certain(threshold, 1000, 1000), "{threshold}");
        }
        assert!(Early::default().certain(1000, 1000).is_none());
    }
}
