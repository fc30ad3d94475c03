use std::path::PathBuf;

use anyhow::ensure;
use loadtest::{
    compare::{differences, pairs},
    record::Record,
    render::compare::{notes, table},
};

use super::{
    exit::Exit,
    print::{result, room, say},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What `run --json` has written, with five rounds or more
    a: PathBuf,

    /// The same for what is compared with it
    b: PathBuf,

    /// Compare files of other machines or conditions
    #[arg(long)]
    anyway: bool,

    /// Print the table for a README instead
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let (a, b) = (Record::read(&args.a)?, Record::read(&args.b)?);
    let [file_a, file_b] = [args.a.display(), args.b.display()];
    let pairs = pairs(&a.runs, &b.runs);
    ensure!(!pairs.is_empty(), "{file_a} and {file_b} have no version in common that met the same scenario");
    let differences = differences(&a, &b, &pairs).join("; ");
    ensure!(
        args.anyway || differences.is_empty(),
        "{file_a} and {file_b} were measured under other conditions: {differences}. --anyway compares them"
    );
    let commit = |record: &Record| record.commit.clone().unwrap_or_else(|| "unknown".into());
    let heads = [("A", file_a, &a), ("B", file_b, &b)]
        .map(|(side, file, record)| format!("{side}: {file}, commit {}, {}", commit(record), record.command));
    let conditions = (!differences.is_empty()).then(|| format!("Measured under other conditions: {differences}"));
    let lines = heads.into_iter().chain(conditions).chain(notes(&pairs));
    let (bullet, table) = match args.markdown {
        true => ("- ", format!("\n{}", table(&pairs).markdown())),
        false => ("", table(&pairs).terminal(room())),
    };
    for line in lines {
        say(format_args!("{bullet}{line}"));
    }
    result(table)?;
    Ok(Exit::AsPromised)
}
