use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::sync::Mutex;

use super::{Gates, SalePath, expiring::Expiring, path};
use crate::shop::{Error, Path, problem};

/// For how long a sale's times are believed without another look.
const FRESH: Duration = Duration::from_secs(1);
/// Sales, and ids that are none, whose times are remembered.
const SALES: usize = 10_000;

/// When each sale opens and closes; nothing for an id that is none.
pub(super) struct Windows {
    known: Expiring<i64, Option<(i64, i64)>>,
    /// One looks into the database while the crowd waits for what it finds.
    look: Mutex<()>,
}

impl Default for Windows {
    fn default() -> Self {
        Windows { known: Expiring::new(FRESH, SALES), look: Mutex::default() }
    }
}

impl Gates {
    async fn window(&self, sale_id: i64) -> Result<Option<(i64, i64)>, Error> {
        if let Some(window) = self.windows.known.get(self.clock.now_ms(), &sale_id) {
            return Ok(window);
        }
        let _look = self.windows.look.lock().await;
        let now = self.clock.now_ms();
        if let Some(window) = self.windows.known.get(now, &sale_id) {
            return Ok(window);
        }
        let window = sqlx::query_as("select opens_at, closes_at from sales where id = $1")
            .bind(sale_id)
            .fetch_optional(&self.shop.pool)
            .await?;
        self.windows.known.insert(now, sale_id, window).map_err(|_| Error::Overloaded)?;
        Ok(window)
    }
}

/// Lets a request through while its sale is open, by this server's clock. A sale that does not exist looks like a wrong
/// address.
///
/// # Errors
/// 403 `not-open`, 410 `closed`, 404 `wrong-path`.
pub async fn layer(
    State(gates): State<Arc<Gates>>,
    Path(SalePath { sale_id }): Path<SalePath>,
    request: Request,
    next: Next,
) -> Result<Response, Response> {
    let window = gates.window(sale_id).await.map_err(IntoResponse::into_response)?;
    let (opens_at, closes_at) = window.ok_or_else(path::wrong)?;
    let now = gates.clock.now_ms();
    if now < opens_at {
        return Err(problem(StatusCode::FORBIDDEN, "not-open", "the sale has not opened yet"));
    }
    if now >= closes_at {
        return Err(problem(StatusCode::GONE, "closed", "the sale is over"));
    }
    metrics::counter!("passed_window_total").increment(1);
    Ok(next.run(request).await)
}
