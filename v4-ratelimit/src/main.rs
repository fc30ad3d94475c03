//! `cargo run -p v4-ratelimit`

use std::process::ExitCode;

use v4_ratelimit::{Config, app, shop};

#[tokio::main]
async fn main() -> ExitCode {
    let config: Config = shop::parse();
    shop::run(&config.shop, app(&config)).await
}
