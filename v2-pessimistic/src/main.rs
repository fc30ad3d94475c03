//! `cargo run -p v2-pessimistic`

use std::process::ExitCode;

use v2_pessimistic::{Config, app, shop};

#[tokio::main]
async fn main() -> ExitCode {
    let config: Config = shop::parse();
    shop::run(&config.shop, app(&config)).await
}
