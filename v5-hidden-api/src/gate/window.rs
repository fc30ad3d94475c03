use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::sync::Mutex;

use super::{Gates, SalePath, refused::Refused};
use crate::shop::{Error, Path};

/// How long the cached windows are used, in milliseconds.
const FRESH_MS: i64 = 1000;
/// How long a sale is remembered as unknown, in milliseconds. Shorter, because it may have been created since.
const FRESH_NONE_MS: i64 = 100;

/// When each sale opens and closes. One query reads all sales, so requests for sales that do not exist cause at most ten queries a
/// second, however many they are.
#[derive(Default)]
pub(super) struct Windows {
    known: RwLock<Known>,
    /// Held by the one request that queries the database. The others wait for its result.
    look: Mutex<()>,
}

#[derive(Default)]
struct Known {
    since: i64,
    windows: HashMap<i64, (i64, i64)>,
}

impl Windows {
    /// The cached window of this sale: `Some(None)` if there is no such sale, `None` if the cache is too old.
    fn known(&self, now: i64, sale_id: i64) -> Option<Option<(i64, i64)>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let window = known.windows.get(&sale_id).copied();
        let fresh = if window.is_some() { FRESH_MS } else { FRESH_NONE_MS };
        (0..fresh).contains(&(now - known.since)).then_some(window)
    }
}

impl Gates {
    async fn window(&self, sale_id: i64) -> Result<Option<(i64, i64)>, Error> {
        if let Some(window) = self.windows.known(self.clock.now_ms(), sale_id) {
            return Ok(window);
        }
        let _look = self.windows.look.lock().await;
        let since = self.clock.now_ms();
        if let Some(window) = self.windows.known(since, sale_id) {
            return Ok(window);
        }
        metrics::counter!("window_lookups_total").increment(1);
        let rows: Vec<(i64, i64, i64)> =
            sqlx::query_as("select id, opens_at, closes_at from sales").fetch_all(&self.shop.pool).await?;
        let windows: HashMap<_, _> = rows.into_iter().map(|(id, opens, closes)| (id, (opens, closes))).collect();
        let window = windows.get(&sale_id).copied();
        *self.windows.known.write().unwrap_or_else(PoisonError::into_inner) = Known { since, windows };
        Ok(window)
    }
}

/// The gate: the sale is open, by this machine's clock. A sale that does not exist is answered like a wrong path.
///
/// # Errors
/// 403 `not-open`, 410 `closed`, 404 `wrong-path`; those of the query that reads the sales.
pub async fn layer(
    State(gates): State<Arc<Gates>>,
    Path(SalePath { sale_id }): Path<SalePath>,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let (opens_at, closes_at) = gates.window(sale_id).await?.ok_or(Refused::WrongPath)?;
    let now = gates.clock.now_ms();
    if now < opens_at {
        return Err(Refused::NotOpen);
    }
    if now >= closes_at {
        return Err(Refused::Closed);
    }
    metrics::counter!("passed_window_total").increment(1);
    Ok(next.run(request).await)
}
