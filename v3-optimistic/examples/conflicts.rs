//! Chapter 3 under the crowd of chapter 1's example. It sells exactly, and counts its conflicts. After a change in `src/purchase.rs`
//! it is rebuilt in seconds, the load test in minutes.
//!
//! ```text
//! cargo run --profile quick -p v3-optimistic --example conflicts
//! ```

#[path = "../../v1-naive/examples/crowd/mod.rs"]
mod crowd;

use anyhow::Context;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use clap::Parser;
use crowd::{BUYERS, Database, Outcome, UNITS};
use tower::ServiceExt;
use v3_optimistic::Config;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let database = Database::new()?;
    let shop = v3_optimistic::app(&Config::try_parse_from(database.shop())?).await?;

    println!("{BUYERS} buyers click at once, for {UNITS} units:");
    let Outcome { told_yes, orders, sold } = database.stampede(&shop).await?;
    let conflicts = conflicts(shop).await?;
    println!(
        "v3-optimistic  {told_yes} told yes, {orders} orders, its counter says {sold} sold; {conflicts} conflicts"
    );
    Ok(())
}

/// The shop's count of updates that changed no row.
async fn conflicts(shop: Router) -> anyhow::Result<u64> {
    let answer = shop.oneshot(Request::get("/metrics").body(Body::empty())?).await?;
    let metrics = String::from_utf8(to_bytes(answer.into_body(), usize::MAX).await?.to_vec())?;
    // A counter that was never raised is not listed.
    let count = metrics.lines().find_map(|line| line.strip_prefix("conflicts_total "));
    count.map_or(Ok(0), |count| count.parse().context("conflicts_total is no number"))
}
