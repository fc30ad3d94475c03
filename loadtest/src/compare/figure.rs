use crate::record::Run;

/// A figure of a run that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Requests per second.
    Rps,
    /// p99 of those who got a unit, in milliseconds.
    P99Bought,
    /// p99 of those who were refused, in milliseconds.
    P99Refused,
    /// Buyers who were told yes.
    ToldYes,
    /// Orders beyond the stock.
    Oversold,
}

/// All of them, in the order in which they are shown.
pub const FIGURES: [Figure; 5] =
    [Figure::Rps, Figure::P99Bought, Figure::P99Refused, Figure::ToldYes, Figure::Oversold];

impl Figure {
    /// Its head in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Figure::Rps => "requests/s",
            Figure::P99Bought => "yes p99 ms",
            Figure::P99Refused => "no p99 ms",
            Figure::ToldYes => "told yes",
            Figure::Oversold => "oversold",
        }
    }

    /// Its value; `None` if the run has none.
    pub fn of(self, run: &Run) -> Option<f64> {
        match self {
            Figure::Rps => Some(run.requests_per_second),
            Figure::P99Bought => run.latency_ms.bought.as_ref().map(|latency| latency.p99),
            Figure::P99Refused => run.latency_ms.refused.as_ref().map(|latency| latency.p99),
            Figure::ToldYes => Some(run.told_yes() as f64),
            Figure::Oversold => Some(run.audit.oversold as f64),
        }
    }
}
