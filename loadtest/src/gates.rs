//! Chapters 4 and 5 without some of their gates: the same shop, put together from the list of gates. The shops themselves have no
//! setting that switches a gate off.

use std::{fmt, process::ExitCode, sync::Arc};

use axum::{
    Extension, Router,
    middleware::{from_fn, from_fn_with_state},
    routing::post,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use v1_naive::shop::{self, header_login};
use v5_hidden_api::{
    gate::{self, Gates, clock::Clock, frequency, one_order, path, window},
    purchase,
    rate_limit::{self, RateLimit, client_limit},
};

use crate::version::Version;

/// A gate in front of the purchase of chapters 4 and 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// The rate limit: of each client, and of all clients together
    RateLimit,
    /// The sale's window: nothing is sold before the opening and after the close
    Window,
    /// The frequency cap: a buyer who tries too often is refused
    Frequency,
    /// The hidden path: each buyer has a purchase URL of its own
    Path,
    /// One order per buyer: a unique index in the database
    OneOrder,
}

/// The gates of chapter 5, in the order in which a request passes them.
pub const GATES: [Gate; 5] = [Gate::RateLimit, Gate::Window, Gate::Frequency, Gate::Path, Gate::OneOrder];

impl Gate {
    /// The gates of a version; none if it has no gates that can be left out.
    pub fn of(version: Version) -> &'static [Gate] {
        match version {
            Version::V4 => &GATES[..1],
            Version::V5 => &GATES,
            Version::V1 | Version::V2 | Version::V3 | Version::V6 => &[],
        }
    }

    /// What it refuses, in a few words.
    pub fn refuses(self) -> &'static str {
        match self {
            Gate::RateLimit => "floods",
            Gate::Window => "requests before and after the sale",
            Gate::Frequency => "buyers who try too often",
            Gate::Path => "buyers who did not get this URL",
            Gate::OneOrder => "buyers who have an order already",
        }
    }
}

impl fmt::Display for Gate {
    /// The name on the command line and in records.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// The names of gates, with commas between them.
pub fn names(gates: &[Gate]) -> String {
    gates.iter().map(Gate::to_string).collect::<Vec<_>>().join(", ")
}

/// ` without window, path` behind a version's name; empty if no gate is missing.
pub(crate) fn missing(without: &[Gate]) -> String {
    if without.is_empty() { String::new() } else { format!(" without {}", names(without)) }
}

/// Serves a version without these gates until a stop is requested. `args` are the arguments of its own program.
pub async fn serve(version: Version, without: &[Gate], args: &[String]) -> ExitCode {
    let args = || std::iter::once(version.name()).chain(args.iter().map(String::as_str));
    match version {
        Version::V4 => {
            let config: v4_ratelimit::Config = shop::parse_from(args());
            shop::run(&config.shop, chapter_4(without, &config)).await
        }
        Version::V5 => {
            let config: v5_hidden_api::Config = shop::parse_from(args());
            shop::run(&config.shop, chapter_5(without, &config)).await
        }
        Version::V1 | Version::V2 | Version::V3 | Version::V6 => {
            shop::serve::conclude(Err(anyhow::anyhow!("{version} has no gates to leave out")))
        }
    }
}

/// Chapter 4's shop without these gates.
///
/// # Errors
/// See [`v4_ratelimit::app`].
pub async fn chapter_4(without: &[Gate], config: &v4_ratelimit::Config) -> anyhow::Result<Router> {
    let shop = v3_optimistic::open(&config.shop, purchase::BUY).await?;
    let purchase = match without.contains(&Gate::RateLimit) {
        true => purchase::routes(),
        false => RateLimit::new(&config.limits)?.guard(purchase::routes()),
    };
    Ok(shop.router(purchase).layer(Extension(config.retry)).layer(from_fn(header_login)))
}

/// Chapter 5's shop without these gates.
///
/// # Errors
/// See [`v5_hidden_api::app`].
pub async fn chapter_5(without: &[Gate], config: &v5_hidden_api::Config) -> anyhow::Result<Router> {
    let has = |gate| !without.contains(&gate);
    let shop = v3_optimistic::open(&config.shop, gate::ASK).await?;
    let gates = Gates::new(&config.rules, &shop, Clock::default()).await?;
    let limit = RateLimit::new(&config.limits)?;
    let mut ask = post(path::issue).layer(Extension(Arc::clone(&gates)));
    let mut buy = post(one_order::handler);
    if !has(Gate::OneOrder) {
        buy = post(purchase::handler);
        sqlx::query("drop index one_order_per_buyer").execute(&shop.pool).await?;
    }
    // A request passes the layer that is added last first.
    if has(Gate::Path) {
        buy = buy.layer(from_fn_with_state(gates.clone(), path::layer));
    }
    if has(Gate::Frequency) {
        buy = buy.layer(from_fn_with_state(gates.clone(), frequency::layer));
        ask = ask.layer(from_fn_with_state(gates.clone(), frequency::layer));
    }
    if has(Gate::Window) {
        buy = buy.layer(from_fn_with_state(gates.clone(), window::layer));
        ask = ask.layer(from_fn_with_state(gates.clone(), window::layer));
    }
    if has(Gate::RateLimit) {
        buy = buy.layer(from_fn_with_state(limit.clone(), rate_limit::layer));
        ask = ask.layer(from_fn_with_state(limit.clients.clone(), client_limit::layer));
    }
    let routes = Router::new().route(gate::ASK, ask).route(gate::BUY, buy);
    Ok(shop.router(routes).layer(Extension(config.retry)).layer(from_fn(header_login)))
}
