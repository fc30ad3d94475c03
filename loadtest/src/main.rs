//! `cargo loadtest`: breaks every version of the flash sale with the same crowd, and audits what is left.

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "they panic if the reader has gone: use `command::print`")]

mod command;

use std::process::ExitCode;

use command::{
    Cli, Command, bench, capacity, compare, demo, exercise, exhibit, exit::Exit, explore, faults, figures, matrix,
    museum, mutant, mutants, nginx, no_op, picture, print::note, provider, rehearse, replay, report, run, serve,
    services, ways,
};
use loadtest::lab::servers::keeper;

/// A stampede is allocations: the system's allocator took a quarter of a shop's processor time. Crowd and shops are this one
/// program, so every version has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = v1_naive::shop::parse();
    let result = match cli.command.unwrap_or(Command::Demo(cli.demo)) {
        Command::Demo(args) => demo::run(args).await.map(ExitCode::from),
        Command::Run(args) => run::run(*args).await.map(ExitCode::from),
        Command::Report(args) => report::run(args).map(ExitCode::from),
        Command::Bench(args) => bench::run(args).await.map(ExitCode::from),
        Command::Capacity(args) => capacity::run(args).await.map(ExitCode::from),
        Command::Ways(args) => ways::run(args).await.map(ExitCode::from),
        Command::WayWorker => ways::worker().await,
        Command::Compare(args) => compare::run(args).map(ExitCode::from),
        Command::Matrix(args) => matrix::run(args).await.map(ExitCode::from),
        Command::Faults(args) => faults::run(args).await.map(ExitCode::from),
        Command::Figures(args) => figures::run(&args),
        Command::Museum(args) => museum::run(args).await.map(ExitCode::from),
        Command::Exhibit(args) => exhibit::run(args).await,
        Command::Mutants(args) => mutants::run(args).await.map(ExitCode::from),
        Command::Mutant(args) => mutant::run(args).await,
        Command::NoOp(args) => no_op::run(args).await,
        Command::Explore(args) => explore::run(args).await.map(ExitCode::from),
        Command::Exercise(args) => exercise::run(args).await.map(ExitCode::from),
        Command::Replay(args) => replay::run(args).await.map(ExitCode::from),
        Command::Rehearse(args) => rehearse::run(args).await.map(ExitCode::from),
        Command::Picture(args) => picture::run(&args).map(ExitCode::from),
        Command::Serve(args) => serve::run(args).await,
        Command::Nginx(args) => nginx::run(args).await,
        Command::Provider(args) => provider::run(args).await,
        Command::Services => services::run().await,
        Command::Keeper { servers } => keeper::run(servers).await,
    };
    result.unwrap_or_else(|error| {
        note(format_args!("error: {error:#}"));
        Exit::SetUp.into()
    })
}
