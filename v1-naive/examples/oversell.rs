//! The smallest program that shows chapter 1's oversell: the shop, an embedded database, and 2000 buyers who click at once.
//! `make demo` runs it first, because it builds in a minute. The load test measures more, and takes longer to build.
//!
//! ```text
//! cargo run --profile quick -p v1-naive --example oversell
//! ```

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use clap::Parser;
use tokio::task::JoinSet;
use tower::ServiceExt;
use v1_naive::{Config, shop::say};

const BUYERS: usize = 2000;
const UNITS: i64 = 100;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let database = format!("sqlite://{}?mode=rwc", folder.path().join("shop.db").display());
    let config = Config::try_parse_from([
        "oversell",
        "--database-url",
        &database,
        "--stock",
        &UNITS.to_string(),
        "--log",
        "off",
    ])?;
    let shop = v1_naive::app(&config).await?;

    say(format_args!("{BUYERS} buyers click at once, for {UNITS} units:"));
    let mut buyers = JoinSet::new();
    for buyer in 1..=BUYERS {
        let click = Request::post("/sales/1/purchase").header("x-buyer-id", buyer).body(Body::empty())?;
        buyers.spawn(shop.clone().oneshot(click));
    }
    let mut told_yes = 0;
    while let Some(answer) = buyers.join_next().await {
        told_yes += usize::from(answer??.status() == StatusCode::CREATED);
    }
    let rows = sqlx::AnyPool::connect(&database).await?;
    let orders: i64 = sqlx::query_scalar("select count(*) from orders").fetch_one(&rows).await?;
    let sold: i64 = sqlx::query_scalar("select sold from sales where id = 1").fetch_one(&rows).await?;
    let verdict = format!("{orders} orders for {UNITS} units: oversold by {}", orders - UNITS);
    say(format_args!("v1-naive  {told_yes} told yes, {}, and its counter says {sold} sold", red(&verdict)));
    say("Why: v1-naive/src/purchase.rs looks, compares and writes, and everybody looks before the first writes.");
    Ok(())
}

/// Red and bold on a terminal, plain text elsewhere.
fn red(text: &str) -> String {
    match std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        true => format!("\x1b[1;31m{text}\x1b[0m"),
        false => text.into(),
    }
}
