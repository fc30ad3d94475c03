//! `cargo loadtest`: breaks every version of the flash sale with the same crowd, and audits what is left.

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "they panic if the reader has gone: use `command::print`")]

mod command;

use std::process::ExitCode;

use command::{
    Cli, Command, bench, capacity, compare, demo, exercise, exhibit, exit::Exit, explore, faults, figures, gates, lab,
    matrix, museum, mutant, mutants, nginx, no_op, picture, print::note, provider, rehearse, replay, report, run,
    serve, services, ways,
};
use loadtest::lab::{machines::init, servers::keeper};

/// A stampede is allocations: the system's allocator took a quarter of a shop's processor time. Crowd and shops are this one
/// program, so every version has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = v1_naive::shop::parse();
    // On the heap: a future is as large as the largest of its branches, and the main thread has 8 MiB of stack.
    let result = match cli.command.unwrap_or(Command::Demo(cli.demo)) {
        Command::Demo(args) => Box::pin(demo::run(args)).await.map(ExitCode::from),
        Command::Run(args) => Box::pin(run::run(*args)).await.map(ExitCode::from),
        Command::Report(args) => report::run(args).map(ExitCode::from),
        Command::Bench(args) => Box::pin(bench::run(args)).await.map(ExitCode::from),
        Command::Capacity(args) => Box::pin(capacity::run(args)).await.map(ExitCode::from),
        Command::Ways(args) => Box::pin(ways::run(args)).await.map(ExitCode::from),
        Command::WayWorker => ways::worker().await,
        Command::Compare(args) => compare::run(args).map(ExitCode::from),
        Command::Matrix(args) => Box::pin(matrix::run(args)).await.map(ExitCode::from),
        Command::Faults(args) => Box::pin(faults::run(args)).await.map(ExitCode::from),
        Command::Figures(args) => figures::run(&args),
        Command::Museum(args) => Box::pin(museum::run(args)).await.map(ExitCode::from),
        Command::Exhibit(args) => Box::pin(exhibit::run(args)).await,
        Command::Mutants(args) => Box::pin(mutants::run(args)).await.map(ExitCode::from),
        Command::Lab(args) => Box::pin(lab::run(args)).await.map(ExitCode::from),
        Command::Gates(args) => Box::pin(gates::run(args)).await,
        Command::Mutant(args) => Box::pin(mutant::run(args)).await,
        Command::NoOp(args) => Box::pin(no_op::run(args)).await,
        Command::Explore(args) => Box::pin(explore::run(args)).await.map(ExitCode::from),
        Command::Exercise(args) => Box::pin(exercise::run(args)).await.map(ExitCode::from),
        Command::Replay(args) => Box::pin(replay::run(args)).await.map(ExitCode::from),
        Command::Rehearse(args) => Box::pin(rehearse::run(args)).await.map(ExitCode::from),
        Command::Picture(args) => picture::run(&args).map(ExitCode::from),
        Command::Serve(args) => Box::pin(serve::run(args)).await,
        Command::Nginx(args) => Box::pin(nginx::run(args)).await,
        Command::Provider(args) => Box::pin(provider::run(args)).await,
        Command::Services(args) => services::run(args).await,
        Command::Init { remove } => init::run(remove).await,
        Command::Keeper { servers, replicated } => keeper::run(servers, replicated).await,
    };
    result.unwrap_or_else(|error| {
        note(format_args!("error: {error:#}"));
        Exit::SetUp.into()
    })
}
