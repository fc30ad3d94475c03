use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use loadtest::{
    record::{
        Record,
        bench::Bench,
        capacity::Capacities,
        file,
        interleavings::{Explorations, Replays},
        ways::Ways,
    },
    render::svg,
};

use super::exit::Exit;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The picture to draw
    #[arg(value_enum)]
    kind: Kind,

    /// A file written by `demo --json` or `matrix --json`; for `lanes` by `explore --json` or `replay --json`, for
    /// `capacity` by `capacity --json`, for `bench` by `bench --json`, for `ways` by `ways --json`
    file: PathBuf,

    /// Write the picture to this file
    #[arg(long, value_name = "FILE")]
    svg: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// The versions as steps, each with the result of its stampede
    Ladder,
    /// Versions against scenarios
    Matrix,
    /// How many requests of a stampede pass each gate
    Funnel,
    /// The offered rate against orders: a curve for each version
    Capacity,
    /// Rates as ratios to a shop that does nothing
    Bench,
    /// Units per second of each way to take one: a bar for each number of clients
    Ways,
    /// One interleaving: a lane for each buyer and one for the row
    Lanes,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let picture = match args.kind {
        Kind::Ladder => svg::ladder::picture(&runs(&args.file)?),
        Kind::Matrix => svg::matrix::picture(&runs(&args.file)?),
        Kind::Funnel => svg::funnel::picture(&runs(&args.file)?),
        Kind::Capacity => svg::capacity::picture(&Capacities::read(&args.file)?),
        Kind::Bench => svg::bench::picture(&Bench::read(&args.file)?),
        Kind::Ways => svg::ways::picture(&Ways::read(&args.file)?),
        Kind::Lanes => lanes(&args.file)?,
    };
    fs::write(&args.svg, picture.file()).with_context(|| format!("cannot write {}", args.svg.display()))?;
    Ok(Exit::AsPromised)
}

fn runs(path: &Path) -> anyhow::Result<Record> {
    let record = Record::read(path)?;
    ensure!(!record.runs.is_empty(), "{} has no runs", path.display());
    Ok(record)
}

/// The interleaving of the file's first version.
fn lanes(path: &Path) -> anyhow::Result<svg::Picture> {
    let no_order = || format!("{} has no interleaving to show", path.display());
    if file::Kind::of(path)? == file::Kind::Explored {
        let explored = Explorations::read(path)?;
        let first = explored.explored.iter().find_map(|one| Some((one.caption(), one.shown.as_ref()?)));
        return first.map(|(caption, shown)| svg::lanes::picture(&caption, shown)).with_context(no_order);
    }
    let replays = Replays::read(path)?;
    let first = replays.replayed.first().with_context(no_order)?;
    Ok(svg::lanes::picture(&first.caption(), &first.played))
}
