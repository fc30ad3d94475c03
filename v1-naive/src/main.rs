//! `cargo run -p v1-naive`

use std::process::ExitCode;

use v1_naive::{Config, app, shop};

#[tokio::main]
async fn main() -> ExitCode {
    let config: Config = shop::parse();
    shop::run(&config.shop, app(&config)).await
}
