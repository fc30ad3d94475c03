//! The smallest program that shows chapter 1's oversell: the shop, an embedded database, and 2000 buyers who click at once.
//! `make demo` runs it first, because it builds in a minute. The load test measures more, and takes longer to build.
//!
//! ```text
//! cargo run --profile quick -p v1-naive --example oversell
//! ```

mod crowd;

use clap::Parser;
use crowd::{BUYERS, Database, Outcome, UNITS};
use v1_naive::{Config, shop::say};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let database = Database::new()?;
    let shop = v1_naive::app(&Config::try_parse_from(database.shop())?).await?;

    say(format_args!("{BUYERS} buyers click at once, for {UNITS} units:"));
    let Outcome { told_yes, orders, sold } = database.stampede(&shop).await?;
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
