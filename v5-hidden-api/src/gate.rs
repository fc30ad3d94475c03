//! Chapter 5, the file to read first: the gates between a buyer and the purchase, the cheapest first.
//!
//! | gate | keeps out | costs |
//! |---|---|---|
//! | [`rate_limit`] | floods | a hash and an atomic number |
//! | [`window`] | whoever comes before or after the sale | two comparisons |
//! | [`frequency`] | a buyer who tries again and again | an entry in a map |
//! | [`path`] | whoever was not given this address | a keyed hash |
//! | [`one_order`] | a buyer who has one already | the purchase's own transaction |
//!
//! All but the last live in this process: a second instance, or the same after a restart, knows nothing of them.

/// The time, as tests can move it.
pub mod clock;
/// Memory that forgets, and that nobody can fill.
pub mod expiring;
/// So many attempts for each buyer.
pub mod frequency;
/// One unit for each buyer.
pub mod one_order;
/// The address to buy at, made anew for each buyer.
pub mod path;
/// Why a gate lets nobody through.
pub mod refused;
/// From the opening to the close.
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

/// The first step: where a buyer asks for the address to buy at.
pub const ASK: &str = "/sales/{sale_id}/path";
/// The address to buy at.
pub const BUY: &str = "/sales/{sale_id}/purchase/{path}";

/// What the gates ask of a buyer.
#[derive(Debug, Clone, clap::Args)]
pub struct Rules {
    /// At least 32 bytes that nobody else knows [default, in demo mode only: one that stands in this source]
    #[arg(long, env = "PATH_SECRET", value_name = "PATH_SECRET", hide_env_values = true)]
    pub path_secret: Option<String>,

    /// Whether the secret may be the one that everybody knows
    #[arg(long, env = "MODE", value_name = "MODE", value_enum, default_value_t = Mode::Demo)]
    pub mode: Mode,

    /// Seconds for which an address to buy at is good
    #[arg(long, env = "PATH_TTL", value_name = "PATH_TTL", default_value = "60", value_parser = seconds)]
    pub path_ttl: Duration,

    /// Requests of one buyer within the window below: a purchase is two
    #[arg(long, env = "FREQUENCY_LIMIT", value_name = "FREQUENCY_LIMIT", default_value_t = 6,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub frequency_limit: u32,

    /// Seconds after which a buyer's count starts again
    #[arg(long, env = "FREQUENCY_WINDOW", value_name = "FREQUENCY_WINDOW", default_value = "10", value_parser = seconds)]
    pub frequency_window: Duration,

    /// Buyers, and addresses, that are remembered at the same time; about 100 bytes each
    #[arg(long, env = "REMEMBERED", value_name = "REMEMBERED", default_value_t = 100_000,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub remembered: u32,
}

/// Whether this is for learning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// For learning: a secret that everybody knows will do
    Demo,
    /// For selling: a secret of one's own is needed
    Production,
}

/// What the gates of one process know.
pub struct Gates {
    shop: Shop,
    clock: Clock,
    windows: window::Windows,
    frequency: frequency::Frequency,
    paths: path::Paths,
}

impl Gates {
    /// Gates that know nothing yet, and the index that [`one_order`] stands on.
    ///
    /// # Errors
    /// The secret is too short, or everybody's; the database holds two orders of one buyer already.
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

/// The sale that an address names, whatever else it names.
#[derive(Deserialize)]
pub struct SalePath {
    sale_id: i64,
}

/// The two steps of a purchase, each behind its gates; a request passes them from top to bottom.
pub fn routes(limit: &Arc<RateLimit>, gates: &Arc<Gates>) -> Router<Shop> {
    // Asking costs no SQL, so it takes no token of the bucket that protects it.
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
