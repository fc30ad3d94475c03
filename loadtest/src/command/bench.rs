use std::path::PathBuf;

use anyhow::ensure;
use loadtest::{
    bench::{self, Size, growth::Growth},
    lab::{open_files, servers::Server},
    record::{bench::Bench, file::check_writable},
    render::{self, table::Table},
};

use super::{
    database::{Database, in_lab},
    exit::Exit,
    print::{note, print, room, say},
};

/// Connections to shops that are open at the same time, with a margin.
const SOCKETS: usize = 1000;
/// The same where their number grows.
const GROWN_SOCKETS: usize = 11_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// One short round; takes less than a minute instead of six. The p99 with 200,000 held units is left out
    #[arg(long)]
    quick: bool,

    /// Measure also what an order costs with many units held, connections, sales, and old orders; takes seven minutes more
    #[arg(long)]
    growth: bool,

    /// The seed that shuffles the buyers; each round adds 1
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Write the samples to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    for server in [Server::Postgres, Server::Redis, Server::RabbitMq] {
        let variable = server.variable();
        ensure!(
            std::env::var_os(variable).is_none(),
            "{variable} is set; the benchmark measures private servers only: unset it"
        );
    }
    if let Some(path) = &args.json {
        check_writable(path)?;
    }
    let (size, growth) = if args.quick { (Size::QUICK, Growth::QUICK) } else { (Size::FULL, Growth::FULL) };
    open_files::allow(if args.growth { GROWN_SOCKETS } else { SOCKETS })?;
    let size = Size { growth: args.growth.then_some(growth), ..size };
    in_lab(&Database { database: Some("postgres".into()) }, async |lab| {
        let show = |sample: &_| note(render::bench::line(sample));
        let file = Bench::new(bench::run(lab, size, args.seed, show).await?);
        print(Table::all(&render::bench::tables(&file), |table| table.terminal(room())));
        render::bench::notes(&file).iter().for_each(say);
        if let Some(path) = &args.json {
            file.write(path)?;
        }
        Ok(Exit::of_bench(&file))
    })
    .await
}
