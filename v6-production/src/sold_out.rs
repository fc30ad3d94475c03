//! The filter in front of Redis: sales of which this process has heard that nothing is left. It is a hint. It lapses after
//! a second, so that a lost message costs a second and no unit.
//!
//! It is asked before everything else, also before who is asking: a no to all is the cheapest answer there is, and in a stampede
//! nearly the only one. What it costs, everybody behind it in line waits for, buyers of other sales as well.

use std::{
    collections::HashMap,
    sync::RwLock,
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio_util::sync::CancellationToken;

use crate::{
    App, headers, observe,
    redis_store::RedisStore,
    reserve::{BUY, KEY},
    supervise,
};

/// How long it is believed.
const LAPSES: Duration = Duration::from_secs(1);

/// Refuses an attempt at a sale that is sold out, before a route is looked for. Who brings a key may be asking again after an
/// answer that was lost, and only Redis knows what that was.
pub(crate) async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let sale_id = (request.method() == Method::POST).then(|| sale_of(request.uri().path())).flatten();
    let may_be_asking_again = request.headers().contains_key(KEY);
    let Some(sale_id) = sale_id.filter(|&sale_id| !may_be_asking_again && app.sold_out.is(sale_id)) else {
        return next.run(request).await;
    };
    metrics::counter!("filtered_total").increment(1);
    let mut response = app.catalogue.sold_out(sale_id).into_response();
    observe::count(BUY, response.status());
    headers::add(response.headers_mut(), app.over_tls);
    response
}

/// The sale that an address to buy at is of.
fn sale_of(path: &str) -> Option<i64> {
    let (sale_id, _) = path.strip_prefix("/sales/")?.split_once("/purchase/")?;
    sale_id.parse().ok()
}

/// Sales that are sold out, as far as this process knows.
#[derive(Default)]
pub(crate) struct SoldOut(RwLock<HashMap<i64, Instant>>);

impl SoldOut {
    pub(crate) fn is(&self, sale_id: i64) -> bool {
        self.0.read().is_ok_and(|sales| sales.get(&sale_id).is_some_and(|since| since.elapsed() < LAPSES))
    }

    pub(crate) fn set(&self, sale_id: i64) {
        if let Ok(mut sales) = self.0.write() {
            sales.insert(sale_id, Instant::now());
        }
    }

    fn clear(&self, sale_id: i64) {
        if let Ok(mut sales) = self.0.write() {
            sales.remove(&sale_id);
        }
    }

    /// Hears from all instances which sale is sold out, and which has units again.
    pub(crate) async fn listen(&self, redis: &RedisStore, stop: &CancellationToken) {
        let channel = &redis.channel("stock");
        let listen = || async move {
            let mut listener = redis.listen(channel).await?;
            while let Some(message) = stop.run_until_cancelled(listener.next()).await {
                let text: String = message?.get_payload()?;
                match text.split_once(' ').map(|(what, sale)| (what, sale.parse())) {
                    Some(("sold-out", Ok(sale_id))) => self.set(sale_id),
                    Some(("restocked", Ok(sale_id))) => self.clear(sale_id),
                    _ => tracing::warn!("strange news of stock: {text}"),
                }
            }
            Ok(())
        };
        supervise::keep("news of stock", stop, listen).await;
    }
}
