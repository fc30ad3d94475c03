use std::path::PathBuf;

use anyhow::ensure;
use loadtest::{
    bench::{
        self, Size,
        goals::{GOALS, Reached, invalid},
        growth::Growth,
    },
    lab::{open_files, servers::Server},
    record::{
        bench::{Bench, Samples},
        file::check_writable,
    },
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

    /// Measure also what an order costs with many units held, connections, sales, and old orders; takes five minutes more
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
        ensure!(std::env::var_os(variable).is_none(), "{variable} is set; the benchmark measures private servers only");
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
        notes(&file).iter().for_each(say);
        if let Some(path) = &args.json {
            file.write(path)?;
        }
        Ok(exit(&file))
    })
    .await
}

/// Why samples, or the whole run, do not count.
fn notes(samples: &Samples) -> Vec<String> {
    let wrong = samples.bench.iter().filter_map(|one| Some((one, one.wrong.as_ref()?)));
    let wrong = wrong.map(|(one, why)| format!("wrong: {} on {} connections: {why}", one.subject, one.connections));
    wrong.chain(invalid(samples).map(|why| format!("invalid: {why}. Run it again."))).collect()
}

/// A bar that is missed is a missed threshold, a sample that is not what its name says a broken promise.
fn exit(samples: &Samples) -> Exit {
    let is_wrong = samples.bench.iter().any(|one| one.wrong.is_some());
    let is_missed = GOALS.iter().any(|goal| goal.reached(samples) == Reached::No);
    match (is_wrong, is_missed, invalid(samples)) {
        (true, ..) => Exit::PromiseBroken,
        (false, true, _) => Exit::ThresholdMissed,
        (false, false, Some(_)) => Exit::Invalid,
        (false, false, None) => Exit::AsPromised,
    }
}

#[cfg(test)]
mod tests {
    use loadtest::record::bench::{Sample, Subject};

    use super::*;

    /// The no-op at this share of bare hyper, and refusals at this share of the no-op.
    fn samples(no_op: f64, refuse: f64) -> Samples {
        let each = |connections| {
            [(Subject::BareHyper, 1.0), (Subject::NoOp, no_op), (Subject::Refuse, no_op * refuse)]
                .map(|(subject, rate)| Sample::new(1, subject, connections, rate * 1e5))
        };
        Samples { bench: bench::CONNECTIONS.into_iter().flat_map(each).collect(), ..Samples::default() }
    }

    #[test]
    fn the_exit_code_says_what_the_run_is_worth() {
        assert_eq!(exit(&samples(1.0, 0.9)), Exit::AsPromised);
        assert_eq!(exit(&samples(1.0, 0.5)), Exit::ThresholdMissed);
        for refuse in [0.5, 0.9] {
            assert_eq!(exit(&samples(0.8, refuse)), Exit::Invalid, "a slow no-op");
        }
        for (no_op, refuse) in [(1.0, 0.9), (1.0, 0.5), (0.8, 0.9)] {
            let mut samples = samples(no_op, refuse);
            let wrong = Some("sold out".into());
            samples.bench.push(Sample { wrong, ..Sample::new(1, Subject::Sell, 64, 0.0) });
            assert_eq!(exit(&samples), Exit::PromiseBroken);
            assert!(notes(&samples)[0].contains("wrong: sell on 64 connections: sold out"));
        }
    }
}
