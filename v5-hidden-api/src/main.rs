//! `cargo run -p v5-hidden-api`

use std::process::ExitCode;

use v5_hidden_api::{Config, app, shop};

#[tokio::main]
async fn main() -> ExitCode {
    let config: Config = shop::parse();
    shop::run(&config.shop, app(&config)).await
}
