//! `cargo run -p v3-optimistic`

use std::process::ExitCode;

use v3_optimistic::{Config, app, shop};

#[tokio::main]
async fn main() -> ExitCode {
    let config: Config = shop::parse();
    shop::run(&config.shop, app(&config)).await
}
