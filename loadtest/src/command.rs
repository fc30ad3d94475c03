//! The command line: one file per command, with its arguments and its work.
//!
//! What several commands share: `database` (where the shops keep their rows, and a lab on it), `load` (how buyers come),
//! `target` (a shop that already runs), `variant`, `output` (where results go), `rounds` (how often), `thresholds` (what fails a
//! run), `print` (what is printed), `progress`, `live` and `terminal` (what is shown meanwhile), and `ending` (what Ctrl-C does).
//!
//! The program has no unit tests, because they would compile it twice. What needs one belongs into the library.

pub(crate) mod bench;
pub(crate) mod capacity;
pub(crate) mod compare;
mod database;
pub(crate) mod demo;
mod ending;
pub(crate) mod exercise;
pub(crate) mod exhibit;
pub(crate) mod explore;
pub(crate) mod faults;
pub(crate) mod figures;
pub(crate) mod gates;
pub(crate) mod lab;
mod live;
mod load;
mod machines;
pub(crate) mod matrix;
pub(crate) mod museum;
pub(crate) mod mutant;
pub(crate) mod mutants;
pub(crate) mod nginx;
pub(crate) mod no_op;
mod output;
pub(crate) mod picture;
pub(crate) mod print;
mod progress;
pub(crate) mod provider;
pub(crate) mod rehearse;
pub(crate) mod replay;
pub(crate) mod report;
mod rounds;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod services;
mod target;
mod terminal;
mod thresholds;
mod variant;
pub(crate) mod ways;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use loadtest::lab::servers::Server;
pub(crate) use loadtest::verdict::exit;

/// Breaks every version of the flash sale with the same crowd, and audits what is left.
///
/// Exit codes: 0 as promised, 1 a threshold is missed, 2 a promise is broken (also a version that holds where it is to break),
/// 3 the run is invalid and says nothing, 4 set-up. Ended by signal n it is 128 + n: 130 after Ctrl-C. The worst counts: 2 before 1,
/// 1 before 3.
#[derive(Parser)]
#[command(name = "loadtest", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) demo: demo::Args,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Every version and variant under the same stampede, in one table (what happens without a command)
    Demo(demo::Args),
    /// A version under a stampede or an attack of your own
    Run(Box<run::Args>),
    /// Every version in every scenario: the table of what holds and what breaks
    Matrix(matrix::Args),
    /// Breaks a server, a connection or an instance of chapter 6 in the middle of a sale, again and again
    Faults(faults::Args),
    /// Tests the checks: shops that are wrong in one way each, in every scenario
    Mutants(mutants::Args),
    /// Real mistakes of public flash-sale code: lists them, or plays one until the audit catches it
    Museum(museum::Args),
    /// Every order of events of two buyers, on the real database: how a version oversells, or that it cannot
    Explore(explore::Args),
    /// One order of events, as a file has it, again and again
    Replay(replay::Args),
    /// Small things that fail, to be mended: three for each chapter, with a check that takes seconds
    Exercise(exercise::Args),
    /// The HTML report again, from a file of figures
    Report(report::Args),
    /// The greatest rate that versions can serve, what gives way above it, and what an order costs
    Capacity(capacity::Args),
    /// Chapter 6 against a shop that does nothing, and against chapters 1 to 5: rates, latencies, costs and goals
    Bench(bench::Args),
    /// Every way to take one unit, side by side on real servers: rates, calls, and what survives
    Ways(ways::Args),
    /// Two files of rounds against each other: the ratio of each figure, and whether it is inside the noise
    Compare(compare::Args),
    /// The whiteboard cards that are due, as an interviewer asks them; predictions are checked by a real run
    Rehearse(rehearse::Args),
    /// A picture for README and book, from a file of figures
    Picture(picture::Args),
    /// A page in the browser: watch a sale break, be the scheduler, and kill servers in the middle of a sale
    Lab(lab::Args),
    /// One version up, with its database, to try by hand
    Serve(serve::Args),
    /// Private servers up until Ctrl-C; prints their URLs
    Services(services::Args),
    /// A payment provider for chapter 6: a fake, with a ledger, which can be slow, silent or dead
    Provider(provider::Args),
    /// nginx in front of instances of chapter 6
    #[command(hide = true)]
    Nginx(nginx::Args),
    /// A shop that does nothing
    #[command(hide = true)]
    NoOp(no_op::Args),
    /// Checks that README and book quote the records in docs/results
    #[command(hide = true)]
    Figures(figures::Args),
    /// A second selling process of `ways`
    #[command(hide = true)]
    WayWorker,
    /// Chapter 4 or 5 without some of its gates
    #[command(hide = true)]
    Gates(gates::Args),
    /// A shop that is wrong in one way
    #[command(hide = true)]
    Mutant(mutant::Args),
    /// A shop with a mistake of the museum
    #[command(hide = true)]
    Exhibit(exhibit::Args),
    /// The first process of a machine
    #[command(hide = true)]
    Init { remove: Option<PathBuf> },
    /// Keeps private servers for as long as standard input is open
    #[command(hide = true)]
    Keeper {
        servers: Vec<Server>,
        /// Start clusters: PostgreSQL with a synchronous standby, RabbitMQ as three nodes
        #[arg(long)]
        replicated: bool,
    },
}
