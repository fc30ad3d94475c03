//! `cargo loadtest`: breaks every version of the flash sale with the same crowd, and audits what is left.

mod cli;
mod commands;

use std::process::ExitCode;

use cli::{Cli, Command};
use commands::{Exit, demo, explore, faults, matrix, mutants, nginx, provider, replay, report, run, serve, services};

/// A stampede is allocations: the system's allocator took a quarter of a shop's processor time. Crowd and shops are this one
/// program, so every version has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = v1_naive::shop::parse();
    let result = match cli.command.unwrap_or(Command::Demo(cli.demo)) {
        Command::Demo(args) => demo::demo(args).await.map(ExitCode::from),
        Command::Run(args) => run::run(args).await.map(ExitCode::from),
        Command::Report(args) => report::again(args).map(ExitCode::from),
        Command::Matrix(args) => matrix::matrix(args).await.map(ExitCode::from),
        Command::Faults(args) => faults::faults(args).await.map(ExitCode::from),
        Command::Mutants(args) => mutants::mutants(args).await.map(ExitCode::from),
        Command::Mutant(args) => mutants::mutant(args).await,
        Command::Explore(args) => explore::explore(args).await.map(ExitCode::from),
        Command::Replay(args) => replay::replay(args).await.map(ExitCode::from),
        Command::Picture(args) => report::picture(&args).map(ExitCode::from),
        Command::Serve(args) => serve::serve(args).await,
        Command::Nginx(args) => nginx::nginx(args).await,
        Command::Provider(args) => provider::provider(args).await,
        Command::Services => services::services().await,
        Command::Keeper { servers } => loadtest::lab::servers::keeper::run(servers).await,
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        Exit::SetUp.into()
    })
}
