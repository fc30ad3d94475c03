use anyhow::ensure;
use loadtest::{
    interleave::{
        explain::explain,
        scheduler::{MOST_BUYERS, Scheduler, Subject},
        search::{classes, search},
    },
    lab::{Backend, Lab},
    record::interleavings::{Explorations, Explored, Searches},
    render::{interleavings, page, picture, text::thousands},
    version::Version,
};

use super::{
    database::{Database, in_lab},
    exit::Exit,
    output::{Destination, Output},
    print::{print, room, say},
    progress::spinner,
    variant::Variant,
};

/// What `--help` says about buyers who wait.
const IN_TURN: &str = "Buyers who wait for the same row get it in the order in which they asked. If the database lets one overtake another, \
                       that interleaving is played again. No outcome is lost: the two could have asked in the other order, which is an \
                       interleaving of its own.";

#[derive(clap::Args)]
#[command(after_help = IN_TURN)]
pub(crate) struct Args {
    /// v1-naive, v2-pessimistic, v3-optimistic; v1, v2, v3 for short
    #[arg(required = true)]
    versions: Vec<Version>,

    #[command(flatten)]
    variant: Variant,

    /// Buyers, each with its own instance
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=MOST_BUYERS as i64))]
    buyers: u32,

    /// Units of the sale
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    stock: u32,

    /// Play one interleaving of each class of equivalent ones, and count all of them. For four buyers
    #[arg(long)]
    classes: bool,

    /// The most interleavings to play
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    orders: u32,

    #[command(flatten)]
    database: Database,

    #[command(flatten)]
    output: Output,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let subject = |&version| {
        let variant = args.variant.of(version)?;
        Ok(Subject { version, variant, buyers: args.buyers as usize, stock: args.stock.into() })
    };
    let subjects: Vec<_> = args.versions.iter().map(subject).collect::<anyhow::Result<_>>()?;
    subjects.iter().try_for_each(Subject::check)?;
    let destination = Destination::new(args.output)?;
    in_lab(&with_a_wire(args.database)?, async |lab| {
        print(interleavings::table([]).heads(room()));
        let mut all = Vec::new();
        for subject in &subjects {
            let explored = one(lab, subject, args.classes, args.orders as usize).await?;
            print(interleavings::table([&explored]).lines(room()));
            all.push(explored);
        }
        show(&all);
        conclude(&destination, all)
    })
    .await
}

/// The database: PostgreSQL unless another one is named. If it is not installed, the error says so.
pub(crate) fn with_a_wire(database: Database) -> anyhow::Result<Database> {
    let has_none = database.backend()? == Some(Backend::Sqlite);
    ensure!(
        !has_none,
        "SQLite has no wire to hold: interleavings are explored on PostgreSQL, `make services` installs it"
    );
    Ok(Database { database: database.database.or(Some("postgres".into())) })
}

async fn one(lab: &Lab, subject: &Subject, by_class: bool, most: usize) -> anyhow::Result<Explored> {
    let which = if by_class { "one interleaving of each class" } else { "all interleavings" };
    let says = format!("{}: {which} of {} buyers", subject.title(), subject.buyers);
    let bar = spinner(&says);
    let scheduler = Scheduler::build(lab, subject).await?;
    let shown = |so_far: &Explored| bar.set_message(format!("{says}: {}", thousands(so_far.orders.len() as i64)));
    let explored = match by_class {
        true => classes(&scheduler, most, shown).await?,
        false => search(&scheduler, most, shown).await?,
    };
    scheduler.close(lab).await?;
    bar.finish_and_clear();
    Ok(explored)
}

/// Prints one picture: of the first version that breaks, otherwise of the first version.
fn show(all: &[Explored]) {
    let breaks = all.iter().find(|explored| explored.is_broken()).or(all.first());
    let Some((explored, shown)) = breaks.and_then(|explored| Some((explored, explored.shown.as_ref()?))) else {
        return;
    };
    print(format_args!("\n{}", picture::text(&explored.caption(), shown)));
    for line in explain(&shown.steps) {
        say(line);
    }
    say(format_args!("{}.", shown.outcome()));
}

fn conclude(destination: &Destination, all: Vec<Explored>) -> anyhow::Result<Exit> {
    let exit = all.iter().map(|explored| Exit::of_verdict(&explored.verdict)).max().unwrap_or(Exit::AsPromised);
    let file = Explorations::new(Searches { seed: None, explored: all });
    if let Some(json) = destination.json() {
        file.write(json)?;
    }
    destination.write_report(&page::interleavings::explored(&file))?;
    Ok(exit)
}
