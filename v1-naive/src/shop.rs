//! The shop around the purchase: configuration, database, errors and server, which all chapters share.
//!
//! Read `purchase.rs` first. Then read these modules, in this order, to see how a request gets there:

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "they panic if the reader has gone: use `say`")]

/// The `Buyer` extractor, and a header that stands in for a login.
pub mod buyer;
/// The settings, their defaults, and how a wrong value is reported.
pub mod config;
/// The connection pool and the schema, for embedded SQLite and for PostgreSQL.
pub mod database;
/// The error type. Every refusal is a problem document (RFC 9457).
pub mod error;
/// Limits on the body and on the time of every request.
pub mod limits;
/// `GET /orders/{order_id}`, and the answer to a successful purchase.
pub mod orders;
/// `GET /`: the sale page.
pub mod page;
/// `GET /sales/{sale_id}`: one sale.
pub mod sales;
/// The accept loop, and `run`, which the `main.rs` of every chapter calls.
pub mod serve;
/// The signals that ask a program to stop.
mod signals;

use std::{sync::Arc, time::Duration};

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
    serve::{SET_UP, run, say, serve},
    signals::{StopSignals, stop_signal},
};

/// Histogram buckets for durations in seconds, and for batch sizes.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// How often the values of histograms are put into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);
const SIZES: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0, 4000.0];

/// The state of every router in chapters 1 to 5. Cheap to clone.
#[derive(Clone)]
pub struct Shop {
    /// The connection pool. Waiters get a connection in the order in which they asked.
    pub pool: AnyPool,
    /// Which database is behind the pool, for the few statements that differ.
    pub database: Database,
    /// The route of a buyer's first `POST`, with `{sale_id}` to be filled in. A sale links to it.
    pub buy: &'static str,
    limits: Limits,
    _temporary: Option<Arc<TempDir>>,
}

impl Shop {
    /// Connects, creates the schema, and creates sale 1 if it does not exist.
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

    /// Adds the read-only routes to a chapter's purchase routes, and completes the router with [`close`].
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

/// Completes a router: adds the routes of [`complete`], and the limits of every request. `gauges` is called before the metrics are
/// rendered.
pub fn close<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    limits: Limits,
    gauges: impl Fn() + Clone + Send + Sync + 'static,
) -> Router<S> {
    complete(routes, gauges)
        .layer(middleware::from_fn_with_state(limits, limits::limit))
        // Without a log line for each 5xx answer: an overloaded shop must not also log every refusal.
        .layer(tower_http::trace::TraceLayer::new_for_http().make_span_with(span).on_failure(()))
}

/// Adds health and metrics routes, and problem documents for unknown routes and methods. `gauges` is called before the metrics are
/// rendered.
pub fn complete<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
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
}

/// A request in the log. It contains the route and not the URL, because a URL can contain a secret.
pub fn span(request: &Request) -> tracing::Span {
    let route = request.extensions().get().map_or("none", MatchedPath::as_str);
    tracing::debug_span!("request", method = %request.method(), route)
}

/// The metrics of this process. Installed once: a second shop in the same process, as in tests, uses the same metrics.
fn recorder() -> PrometheusHandle {
    static RECORDER: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    let install = || {
        // Histograms, because the buckets of several instances can be added up. Quantiles cannot.
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS);
        let builder =
            builder.and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_orders".into()), &SIZES));
        let recorder = builder.unwrap_or_default().build_recorder(); // an error means that the list of buckets is empty
        let handle = recorder.handle();
        // A histogram keeps every value until this is called, or until somebody asks for the metrics.
        let upkeep = handle.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        });
        // Fails only if a program that embeds the shop has its own recorder. Then that one is used.
        let _ = metrics::set_global_recorder(recorder);
        handle
    };
    RECORDER.get_or_init(install).clone()
}

/// `axum`'s path extractor. It refuses a wrong path with a problem document.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub struct Path<T>(pub T);

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Error::invalid(rejection.body_text())
    }
}
