//! The shop around the purchase: plumbing that all chapters share and no chapter is about.
//!
//! Read `../purchase.rs` first and come back when you wonder how a request gets there. Then, in this order:

/// Who is buying: the `Buyer` extractor, and the header that stands in for a login.
pub mod buyer;
/// Every setting, its default, and how a wrong one is refused.
pub mod config;
/// The connection pool and the schema, the same for embedded SQLite and for PostgreSQL.
pub mod database;
/// One error type; every refusal is an RFC 9457 problem document.
pub mod error;
/// What every request passes: a limit on its body and on its time, and a trace.
pub mod limits;
/// `GET /orders/{order_id}`, and the answer to a purchase that succeeded.
pub mod orders;
/// `GET /`: the page that people buy at.
pub mod page;
/// `GET /sales/{sale_id}`.
pub mod sales;
/// The accept loop, and `run`, which every chapter's `main.rs` calls.
pub mod serve;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{FromRequestParts, MatchedPath, Request, rejection::PathRejection},
    middleware,
    routing::get,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sqlx::AnyPool;
use tempfile::TempDir;

pub use self::{
    buyer::{Buyer, header_login},
    config::{Config, parse, parse_from},
    database::Database,
    error::{Error, problem},
    limits::Limits,
    orders::Placed,
    serve::{SET_UP, run, serve, stop_signal},
};

/// Buckets for what takes time, and for how many there were at once.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
const SIZES: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0, 4000.0];

/// What a handler needs: the state of every router in chapters 1 to 5. Cheap to clone.
#[derive(Clone)]
pub struct Shop {
    /// The connections. First come, first served: waiters get one in the order in which they asked.
    pub pool: AnyPool,
    /// Which database is behind the pool, for the few statements that differ.
    pub database: Database,
    /// The first link of a sale, with `{sale_id}` to be filled in: where a buyer's first `POST` goes.
    pub buy: &'static str,
    limits: Limits,
    _temporary: Option<Arc<TempDir>>,
}

impl Shop {
    /// Connects, makes the schema, and puts sale 1 up if it is not there yet.
    ///
    /// # Errors
    /// The database does not answer (the message names its URL without the password), or refuses the schema.
    pub async fn open(config: &Config, buy: &'static str) -> anyhow::Result<Shop> {
        let (url, temporary) = config.database_url()?;
        let (pool, database) = database::connect(&url, config).await?;
        database.check(&pool).await?;
        database.make(&pool, &[database.sales(), database.orders()]).await?;
        sales::Sale::first(config).insert(&pool).await?;
        Ok(Shop { pool, database, buy, limits: config.into(), _temporary: temporary.map(Arc::new) })
    }

    /// Joins a chapter's purchase routes with the read-only ones and closes the router.
    pub fn router(self, purchase: Router<Shop>) -> Router {
        let pool = self.pool.clone();
        let gauges = move || {
            metrics::gauge!("pool_connections").set(f64::from(pool.size()));
            metrics::gauge!("pool_idle").set(pool.num_idle() as f64);
        };
        let routes = Router::new()
            .route("/", get(page::show))
            .route("/sales/{sale_id}", get(sales::show))
            .route("/orders/{order_id}", get(orders::show))
            .merge(purchase);
        close(routes, self.limits, gauges).with_state(self)
    }
}

/// Closes a router: health, metrics, a problem document for what is not there, and the limits in front of it all. `gauges`
/// is called before each look at the metrics.
pub fn close<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    limits: Limits,
    gauges: impl Fn() + Clone + Send + Sync + 'static,
) -> Router<S> {
    let metrics = recorder();
    let expose = move || async move {
        gauges();
        metrics.render()
    };
    routes
        .route("/healthz", get(async || Json(serde_json::json!({ "status": "ok" }))))
        .route("/metrics", get(expose))
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::method_not_allowed())
        .layer(middleware::from_fn_with_state(limits, limits::limit))
        // Without its line per 5xx: a shop that refuses a crowd as overloaded must not write a log about it.
        .layer(tower_http::trace::TraceLayer::new_for_http().make_span_with(span).on_failure(()))
}

/// The log names the route and not the address: an address can carry a secret.
fn span(request: &Request) -> tracing::Span {
    let route = request.extensions().get().map_or("none", MatchedPath::as_str);
    tracing::debug_span!("request", method = %request.method(), route)
}

/// The process's counters. Installed once; a second shop in the same process (as in tests) counts into the same.
fn recorder() -> PrometheusHandle {
    static RECORDER: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    let install = || {
        // Counted into buckets: unlike quantiles, those of several instances can be added up.
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS);
        let builder =
            builder.and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_orders".into()), &SIZES));
        let recorder = builder.unwrap_or_default().build_recorder(); // an error is no buckets at all
        let handle = recorder.handle();
        // Fails only if a program that embeds the shop has a recorder of its own; then that one counts.
        let _ = metrics::set_global_recorder(recorder);
        handle
    };
    RECORDER.get_or_init(install).clone()
}

/// `axum`'s path extractor, refusing as a problem document.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub struct Path<T>(pub T);

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Error::invalid(rejection.body_text())
    }
}
