//! Chapter 6: the flash sale that a company could start from. SQL is the record, Redis decides who gets a unit, RabbitMQ
//! carries it from one to the other; any number of instances, and no gap in which a unit or a promise is lost.
//!
//! Run with
//!
//! ```text
//! cargo loadtest serve v6
//! ```
//!
//! or, with servers of your own (the program says which), `cargo run -p v6-production`.
//!
//! # A tour
//!
//! The path of an order is five files. Read them in this order:
//!
//! 1. `reserve` holds a unit in Redis, or not (`reserve.lua` decides).
//! 2. `relay` carries the reservation from Redis into the queue.
//! 3. `worker` turns it into an order in SQL.
//! 4. `notify` tells the buyer.
//! 5. `release` sells unpaid units again.
//!
//! Then what stands around that path: `gate` says who may buy, `payment` takes the money, `page` is what people see, `upkeep` keeps
//! Redis in line with SQL. `sql`, `redis_store` and `transport` are the ways to the three servers. `run` puts all of it together.

/// The path of an order, 1: a unit is held in Redis, or not.
mod reserve;

/// The path of an order, 2: from Redis into the queue.
mod relay;

/// The path of an order, 3: from the queue into SQL.
mod worker;

/// The path of an order, 4: back to the buyer.
mod notify;

/// The path of an order, 5: unpaid units are sold again.
mod release;

/// Who may buy.
mod gate;
/// `GET /orders` and what an order says of itself.
mod orders;
/// The page that people buy at.
mod page;
/// What is paid for an order.
mod payment;
/// A short address for each sale.
mod short_link;
/// The filter before Redis.
mod sold_out;

/// What this process knows of the sales.
mod catalogue;
/// One time for all instances.
mod clock;
/// Who may do something alone, and until when.
mod lease;
/// What keeps Redis in line with SQL.
mod upkeep;

/// The way to Redis.
mod redis_store;
/// The way to PostgreSQL.
mod sql;
/// The way to RabbitMQ.
mod transport;

/// Settings and commands.
mod config;
/// Answers that are no.
mod error;
/// Headers that every answer has.
mod headers;
/// Metrics and readiness.
mod observe;
/// What an operator does beside running the shop.
mod operate;
/// An order's number, and what is in it.
mod order_id;
/// One process from start to end.
mod run;
/// Errors of the set-up, that waiting does not mend.
mod set_up;
/// Waiting, starting again, and the pauses between.
mod supervise;

use std::{ops::Deref, sync::Arc};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::header,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
pub use v1_naive::shop;

use self::gate::{
    limits::{self, Limits},
    origin::{self, Origins},
    path,
    puzzle::Puzzles,
    session,
    signer::Signer,
};

pub use self::{
    config::{Command, Config, DenyArgs, Mode, Puzzle, RefundArgs, Role, Rules, SeedArgs, Which},
    gate::limits::SessionLimits,
    gate::session::buyer_id,
    operate::put_up,
    order_id::OrderId,
    page::routes as page_routes,
    run::main,
    transport::Reservation,
};

/// What handlers need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

pub(crate) struct Parts {
    catalogue: Arc<catalogue::Catalogue>,
    clock: clock::Clock,
    signer: Signer,
    /// Whether browsers are told to send the session over TLS only.
    over_tls: bool,
    /// None: straight to the address.
    puzzles: Option<Puzzles>,
    batches: reserve::Batches,
    sold_out: Arc<sold_out::SoldOut>,
    health: observe::Health,
    sql: PgPool,
    redis: redis_store::RedisStore,
    lookups: orders::Lookups,
    page_versions: page::versions::Versions,
    watchers: notify::Watchers,
    provider: payment::Provider,
    stop: CancellationToken,
    /// Payments and WebSockets under way: who began one may be gone.
    tasks: TaskTracker,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The router; a process that only carries answers no more than how it is.
fn routes(app: App, limits: Arc<Limits>, config: &Config) -> Router {
    let origins = Origins(config.origins.clone().into());
    let buying = Router::new()
        .route("/session", post(session::log_in))
        .route(path::ASK, post(path::handler))
        .route(reserve::BUY, post(reserve::handler))
        .route("/orders", get(orders::list))
        .layer(from_fn_with_state(limits, limits::layer))
        .route("/", get(page::show))
        .route(page::FILE, get(page::versions::file))
        .route(short_link::LINK, get(short_link::follow))
        .route("/openapi.json", get(document))
        .route("/sales/{sale_id}", get(catalogue::show))
        .route("/orders/{order_id}", get(orders::show))
        .route("/orders/{order_id}/watch", get(notify::watch))
        .route("/orders/{order_id}/payment", post(payment::handler))
        .route("/orders/{order_id}/cancel", post(payment::cancel))
        .route("/payments/{reference}/callback", post(payment::callback))
        .layer(from_fn_with_state(app.clone(), session::layer))
        .layer(from_fn_with_state(origins.clone(), origin::layer));
    let routes = if config.role.takes_requests() { buying } else { Router::new() };
    let ready = get(observe::ready).with_state((app.clone(), config.role));
    // One layer for both: each costs every request of a stampede a few allocations.
    let last = from_fn_with_state(app.over_tls, on_the_way_out);
    let inner =
        shop::close(routes.route("/readyz", ready), (&config.shop).into(), || ()).layer(last).with_state(app.clone());
    let outer = Router::new().fallback_service(inner).layer(from_fn_with_state(app, sold_out::layer));
    match config.origins.is_empty() {
        true => outer,
        false => outer.layer(origin::cors(&origins)),
    }
}

/// Counts the answer, and says what a browser may do with it.
async fn on_the_way_out(State(over_tls): State<bool>, request: Request, next: Next) -> Response {
    let route: Option<MatchedPath> = request.extensions().get().cloned();
    let mut response = next.run(request).await;
    observe::count(route.as_ref().map_or("none", MatchedPath::as_str), response.status());
    headers::add(response.headers_mut(), over_tls);
    response
}

/// `GET /openapi.json`: what can be asked, and what is answered. Written by hand, and laid beside the answers by the tests.
async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json"))
}
