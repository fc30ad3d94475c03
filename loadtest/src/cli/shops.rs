use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use loadtest::{provider, scenario::Scenario, version::Version};

use super::{Database, Output};

#[derive(Args)]
pub(crate) struct Run {
    /// v1-naive, v2-pessimistic, v3-optimistic, v4-ratelimit, v5-hidden-api, v6-production; v1 … v6 for
    /// short. Several take turns
    #[arg(required = true)]
    pub(crate) versions: Vec<Version>,

    /// Sell the way of one of the version's variants
    #[arg(long)]
    pub(crate) variant: Option<String>,

    /// What it is put through
    #[arg(long, value_enum, default_value_t = Scenario::Stampede)]
    pub(crate) scenario: Scenario,

    /// Buyers, each of whom asks once; or tries [default: 10,000 in a crowd, else as the scenario has it]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) buyers: Option<u32>,

    /// Units of each sale [default: 100, in a flood plenty]
    #[arg(long)]
    pub(crate) stock: Option<u32>,

    /// Sales that the buyers are spread over
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) sales: u32,

    /// Instances of the shop; each request of a tab goes to the next [default: 1, of two-instances 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) instances: Option<u32>,

    /// nginx in front of the instances, as chapter 6 is deployed: all buyers come through it, and open the page first
    #[arg(long)]
    pub(crate) nginx: bool,

    /// Connections that the buyers share
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) connections: u32,

    /// Database connections of each instance [default: 16, in a flood 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) pool: Option<u32>,

    /// Draws the order of the buyers; each round adds one
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Make the limits of chapters 4 and 5 so wide that nobody meets them: what do they cost?
    #[arg(long)]
    pub(crate) wide_limits: bool,

    /// Times to run it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,

    #[command(flatten)]
    pub(crate) database: Database,

    #[command(flatten)]
    pub(crate) output: Output,

    /// Further arguments for the shop, after --
    #[arg(last = true)]
    pub(crate) shop_args: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Serve {
    /// v1-naive, v2-pessimistic, v3-optimistic, v4-ratelimit, v5-hidden-api or v6-production; v1 … v6 for short
    pub(crate) version: Version,

    /// sqlite, postgres (a private server), or a URL
    /// [default: what the shop takes: DATABASE_URL, else sqlite; v6 has private servers for those that are not named]
    #[arg(long, value_name = "DATABASE")]
    pub(crate) database: Option<String>,

    /// Instances of the shop, with nginx in front of them
    #[arg(long, default_value_t = 1, requires = "nginx", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) instances: u32,

    /// nginx in front, as chapter 6 is deployed; then --listen is where it listens
    #[arg(long)]
    pub(crate) nginx: bool,

    /// Stop when standard input is closed
    #[arg(long, hide = true)]
    pub(crate) while_stdin_is_open: bool,

    /// Arguments of the shop: --variant, --listen, --stock, … (`cargo loadtest serve v1 -- --help` lists them)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) shop_args: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Nginx {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,

    /// Whoever connects may say who it speaks for, as a load balancer does
    #[arg(long)]
    pub(crate) as_lab: bool,

    /// Stop when standard input is closed
    #[arg(long)]
    pub(crate) while_stdin_is_open: bool,

    /// The instances
    #[arg(required = true)]
    pub(crate) instances: Vec<SocketAddr>,
}

#[derive(Args)]
pub(crate) struct Provider {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3001")]
    pub(crate) listen: SocketAddr,

    /// Its ledger, an SQLite file
    #[arg(long, value_name = "FILE", default_value = "provider.db")]
    pub(crate) ledger: PathBuf,

    /// What a shop has to know to be served [default: nothing]
    #[arg(long, env = "PROVIDER_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub(crate) secret: Option<String>,

    /// A way to be wrong, for the audit to notice
    #[arg(long, value_name = "MUTANT", value_enum)]
    pub(crate) mutant: Option<provider::Mutant>,
}
