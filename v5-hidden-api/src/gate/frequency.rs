use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use super::{
    Gates, Rules,
    expiring::{Expiring, Full},
    refused::Refused,
};
use crate::shop::Buyer;

/// The number of requests of each buyer in the buyer's current window.
pub(super) struct Frequency {
    counts: Expiring<i64, u32>,
    limit: u32,
    window: Duration,
}

impl Frequency {
    pub(super) fn new(rules: &Rules) -> Self {
        let counts = Expiring::new(rules.frequency_window, rules.remembered as usize);
        Frequency { counts, limit: rules.frequency_limit, window: rules.frequency_window }
    }

    /// Counts a request. `Some` if the buyer is over the limit: the time until the window ends.
    fn count(&self, now: i64, buyer_id: i64) -> Result<Option<Duration>, Full> {
        self.counts.entry(now, buyer_id, 0, |age_ms, count| {
            *count = count.saturating_add(1);
            let age = Duration::from_millis(age_ms.unsigned_abs());
            (*count > self.limit).then(|| self.window.saturating_sub(age))
        })
    }
}

/// The gate: at most `frequency_limit` requests of a buyer in a window. Every request counts, also one that a later gate refuses.
///
/// # Errors
/// 429 `rate-limited`, 401 `unauthenticated`; 503 `overloaded` if too many buyers are counted.
pub async fn layer(
    State(gates): State<Arc<Gates>>,
    buyer: Buyer,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    if let Some(wait) = gates.frequency.count(gates.clock.now_ms(), buyer.id)? {
        return Err(Refused::TooOften(wait));
    }
    metrics::counter!("passed_frequency_total").increment(1);
    Ok(next.run(request).await)
}
