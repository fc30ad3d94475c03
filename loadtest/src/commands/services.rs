use std::process::ExitCode;

use loadtest::services::Services;
use v1_naive::shop::stop_signal;

use super::this_program;

pub(crate) async fn services() -> anyhow::Result<ExitCode> {
    let stop = stop_signal()?;
    let program = this_program()?;
    let services = tokio::task::spawn_blocking(move || Services::start(&program)).await??;
    println!("DATABASE_URL={}", services.postgres);
    eprintln!("Up until Ctrl-C. In another terminal: DATABASE_URL=… cargo run -p v1-naive");
    stop.await;
    Ok(ExitCode::SUCCESS) // and the servers go with their value
}
