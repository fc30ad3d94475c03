//! `cargo run -p v6-production`

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    v6_production::main(&v6_production::shop::parse()).await
}
