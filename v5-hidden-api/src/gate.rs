//! Chapter 5, the file to read first: the gates in front of the purchase, in their order, the database last.
//!
//! | gate | refuses | costs |
//! |---|---|---|
//! | [`rate_limit`] | floods | a hash and an atomic operation |
//! | [`window`] | requests before and after the sale | two comparisons |
//! | [`frequency`] | buyers who try too often | an entry in a map |
//! | [`path`] | buyers who did not get this path | a keyed hash |
//! | [`one_order`] | buyers who have an order already | the purchase's own transaction |
//!
//! Limits, counts and paths are in this process: a restart loses them. Window and index are in SQL, for all instances.

/// A clock that tests can move.
pub mod clock;
/// A map with a limited size, whose entries expire.
pub mod expiring;
/// The frequency cap of each buyer.
pub mod frequency;
/// One unit per buyer.
pub mod one_order;
/// The hidden purchase path of each buyer.
pub mod path;
/// Why a gate refuses a request.
pub mod refused;
/// The sale's time window.
pub mod window;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    middleware::{from_fn_with_state, map_response},
    routing::post,
};
use clock::Clock;
use serde::Deserialize;
use tower::ServiceBuilder;

use crate::{
    rate_limit::{self, RateLimit, client_limit},
    shop::{Shop, config::seconds},
};

/// The route of the first step: a buyer asks for the purchase path.
pub const ASK: &str = "/sales/{sale_id}/path";
/// The route of a purchase, with the hidden path.
pub const BUY: &str = "/sales/{sale_id}/purchase/{path}";

/// The settings of the gates.
#[derive(Debug, Clone, clap::Args)]
pub struct Rules {
    /// Secret of at least 32 bytes, which signs the paths [default, in demo mode only: one from this source code]
    #[arg(long, env = "PATH_SECRET", value_name = "PATH_SECRET", hide_env_values = true)]
    pub path_secret: Option<String>,

    /// Whether the secret from the source code is allowed
    #[arg(long, env = "MODE", value_name = "MODE", value_enum, default_value_t = Mode::Demo)]
    pub mode: Mode,

    /// Seconds for which a purchase path is valid
    #[arg(long, env = "PATH_TTL", value_name = "PATH_TTL", default_value = "60", value_parser = seconds)]
    pub path_ttl: Duration,

    /// Requests of one buyer within the frequency window; a purchase takes two
    #[arg(long, env = "FREQUENCY_LIMIT", value_name = "FREQUENCY_LIMIT", default_value_t = 6,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub frequency_limit: u32,

    /// Length of the frequency window in seconds, from the buyer's first request
    #[arg(long, env = "FREQUENCY_WINDOW", value_name = "FREQUENCY_WINDOW", default_value = "10", value_parser = seconds)]
    pub frequency_window: Duration,

    /// Buyers and paths that are remembered at the same time; about 100 bytes each
    #[arg(long, env = "REMEMBERED", value_name = "REMEMBERED", default_value_t = 100_000,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub remembered: u32,
}

/// Whether the shop is for learning or for real sales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// For learning: the secret from the source code is allowed
    Demo,
    /// For real sales: a secret of your own is required
    Production,
}

/// The state of the gates of one process.
pub struct Gates {
    shop: Shop,
    clock: Clock,
    windows: window::Windows,
    frequency: frequency::Frequency,
    paths: path::Paths,
}

impl Gates {
    /// Gates without any state yet. Also creates the index that [`one_order`] needs.
    ///
    /// # Errors
    /// The secret is too short, or it is the public one in production mode; or a buyer has two orders already.
    pub async fn new(rules: &Rules, shop: &Shop, clock: Clock) -> anyhow::Result<Arc<Gates>> {
        one_order::add_index(shop).await?;
        Ok(Arc::new(Gates {
            shop: shop.clone(),
            clock,
            windows: window::Windows::default(),
            frequency: frequency::Frequency::new(rules),
            paths: path::Paths::new(rules)?,
        }))
    }
}

/// The sale in a URL, whatever else the URL contains.
#[derive(Deserialize)]
pub struct SalePath {
    sale_id: i64,
}

/// The two steps of a purchase, each behind its gates. A request passes the layers from top to bottom.
pub fn routes(limit: &Arc<RateLimit>, gates: &Arc<Gates>) -> Router<Shop> {
    // All who ask for paths cause at most ten queries a second, so they take no token of the global bucket, which protects the database.
    let ask = ServiceBuilder::new()
        .layer(map_response(path::keep_secret))
        .layer(from_fn_with_state(limit.clients.clone(), client_limit::layer))
        .layer(from_fn_with_state(gates.clone(), window::layer))
        .layer(from_fn_with_state(gates.clone(), frequency::layer));
    let buy = ServiceBuilder::new()
        .layer(map_response(path::keep_secret))
        .layer(from_fn_with_state(limit.clone(), rate_limit::layer))
        .layer(from_fn_with_state(gates.clone(), window::layer))
        .layer(from_fn_with_state(gates.clone(), frequency::layer))
        .layer(from_fn_with_state(gates.clone(), path::layer));
    let issue = post(path::issue).layer(axum::Extension(gates.clone()));
    Router::new().route(ASK, issue.layer(ask)).route(BUY, post(one_order::handler).layer(buy))
}
