/// What a run and a shop are told.
mod shops;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use loadtest::{
    fault::Fault,
    interleave::scheduler::MOST_BUYERS,
    lab::{Backend, servers::Server},
    version::Version,
};

pub(crate) use self::shops::{Nginx, Provider, Run, Serve};

/// Breaks every version of the flash sale with the same crowd, and audits what is left.
///
/// Exit codes: 0 as promised, 2 a promise is broken (also a version that holds where it is to break), 3 the run is invalid and
/// says nothing, 4 set-up, 130 interrupted.
#[derive(Parser)]
#[command(name = "loadtest", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) demo: Demo,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Every version and variant under the same stampede, in one table (what happens without a command)
    Demo(Demo),
    /// A version under a stampede or an attack of your own
    Run(Run),
    /// Every version in every scenario: the table of what holds and what breaks
    Matrix(Matrix),
    /// Breaks a server, a connection or an instance of chapter 6 in the middle of a sale, again and again
    Faults(Faults),
    /// Tests the checks: shops that are wrong in one way each, in every scenario
    Mutants(Mutants),
    /// Every order of events of two buyers, on the real database: how a version oversells, or that it cannot
    Explore(Explore),
    /// One order of events, as a file has it, again and again
    Replay(Replay),
    /// The HTML report again, from a file of figures
    Report(Again),
    /// A picture for README and book, from a file of figures
    Picture(Picture),
    /// One version up, with its database, to try by hand
    Serve(Serve),
    /// Private servers up until Ctrl-C; prints their URLs
    Services,
    /// A payment provider for chapter 6: a fake, with a ledger, which can be slow, silent or dead
    Provider(Provider),
    /// nginx in front of instances of chapter 6
    #[command(hide = true)]
    Nginx(Nginx),
    /// A shop that is wrong in one way
    #[command(hide = true)]
    Mutant(Mutant),
    /// Keeps private servers for as long as standard input is open
    #[command(hide = true)]
    Keeper { servers: Vec<Server> },
}

#[derive(Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) database: Database,

    #[command(flatten)]
    pub(crate) output: Output,

    /// Draws the order of the buyers
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Args)]
pub(crate) struct Output {
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) report: Report,
}

#[derive(Args)]
pub(crate) struct Report {
    /// Write the report to this file [default: oversold-report.html, in target/ if that is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Show the report in the browser
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Args)]
pub(crate) struct Again {
    /// What `--json` has written
    pub(crate) file: PathBuf,

    /// Print the table for a README instead
    #[arg(long)]
    pub(crate) markdown: bool,

    #[command(flatten)]
    pub(crate) report: Report,
}

#[derive(Args)]
pub(crate) struct Picture {
    /// Which
    #[arg(value_enum)]
    pub(crate) kind: Kind,

    /// What `demo --json`, `matrix --json` or, for lanes, `explore --json` or `replay --json` has written
    pub(crate) file: PathBuf,

    /// Write the picture to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: PathBuf,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The versions as steps, each with what came out of its stampede
    Ladder,
    /// Versions against scenarios
    Matrix,
    /// How far the requests of a stampede get
    Funnel,
    /// One order of events: a lane for each buyer and one for the row
    Lanes,
}

#[derive(Args)]
pub(crate) struct Matrix {
    /// Smaller crowds and shorter floods: within two minutes
    #[arg(long)]
    pub(crate) quick: bool,

    #[command(flatten)]
    pub(crate) database: Database,

    #[command(flatten)]
    pub(crate) output: Output,

    /// Draws the order of the buyers
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Args)]
pub(crate) struct Faults {
    /// What is to break [default: all of them, one after the other]
    #[arg(value_name = "FAULT")]
    pub(crate) faults: Vec<Fault>,

    /// Sales in which each of them strikes; one that it strikes too late is played again, three times at most
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,

    /// Buyers; at least half of them come when what broke is up again. Some more come one by one
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(4..=1_000_000))]
    pub(crate) buyers: u32,

    /// Units of each sale; the fault strikes when a quarter of them is sold, and has to be in place before half of them is
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(4..))]
    pub(crate) stock: u32,

    /// Instances of the shop; each request of a tab goes to the next
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) instances: u32,

    /// Draws the order of the buyers; each round adds one, each repeat a thousand
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Write the figures to this file, after each round
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(crate) json: Option<PathBuf>,

    /// Go on with what was broken off: rounds in this file are not played again, others are added to it. Stock, buyers,
    /// instances, seed, machine and commit have to be those of the file
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Mutants {
    /// Which shops [default: all of them]
    #[arg(value_name = "SHOP")]
    pub(crate) mutants: Vec<loadtest::mutant::Mutant>,

    #[command(flatten)]
    pub(crate) database: Database,

    /// Write the table to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Mutant {
    /// Stop when standard input is closed
    #[arg(long)]
    pub(crate) while_stdin_is_open: bool,

    /// Which, and the arguments of chapter 5
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) shop_args: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Explore {
    /// v1-naive, v2-pessimistic, v3-optimistic; v1, v2, v3 for short
    #[arg(required = true)]
    pub(crate) versions: Vec<Version>,

    /// Sell the way of one of the version's variants
    #[arg(long)]
    pub(crate) variant: Option<String>,

    /// Buyers, each with an instance of its own
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=MOST_BUYERS as i64))]
    pub(crate) buyers: u32,

    /// Units
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) stock: u32,

    /// Orders of events to play at most
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) orders: u32,

    #[command(flatten)]
    pub(crate) database: Database,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Replay {
    /// v1-naive, v2-pessimistic, v3-optimistic; v1, v2, v3 for short
    pub(crate) version: Version,

    /// The schedule: `A select · B select · A update …`; without a commit in it, commits follow by themselves
    pub(crate) file: PathBuf,

    /// Sell the way of one of the version's variants
    #[arg(long)]
    pub(crate) variant: Option<String>,

    /// Units
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) stock: u32,

    /// Times to play it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) times: u32,

    #[command(flatten)]
    pub(crate) database: Database,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Database {
    /// sqlite, postgres (a private server), or the postgres:// URL of a server
    /// [default: postgres if it is installed, else sqlite]
    #[arg(long, env = "DATABASE_URL", hide_env = true, hide_env_values = true, value_name = "DATABASE")]
    pub(crate) database: Option<String>,
}

impl Database {
    /// Parsed here and not by clap, which would print a refused URL with its password.
    pub(crate) fn backend(&self) -> anyhow::Result<Option<Backend>> {
        let backend = self.database.as_ref().map(|text| text.parse::<Backend>()).transpose();
        backend.map_err(|why| anyhow::anyhow!("--database {why}"))
    }
}
