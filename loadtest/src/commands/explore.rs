use std::io::IsTerminal;

use anstream::print;
use anyhow::ensure;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadtest::{
    interleave::{
        explain::explain,
        picture,
        scheduler::{Scheduler, Subject},
        search::search,
        table,
    },
    lab::{Backend, Lab},
    record::interleavings::{Explorations, Explored, Searches},
    report,
    text::thousands,
    verdict::Verdict,
};

use super::{Exit, in_lab, report::Destination};
use crate::cli::{Database, Explore};

pub(crate) async fn explore(args: Explore) -> anyhow::Result<Exit> {
    let subject = |&version| {
        let variant = super::variant(version, args.variant.as_deref())?;
        Ok(Subject { version, variant, buyers: args.buyers as usize, stock: args.stock.into() })
    };
    let subjects: Vec<_> = args.versions.iter().map(subject).collect::<anyhow::Result<_>>()?;
    subjects.iter().try_for_each(Subject::check)?;
    let destination = Destination::new(args.output)?;
    in_lab(&with_a_wire(args.database)?, async |lab| {
        table::head();
        let mut all = Vec::new();
        for subject in &subjects {
            let explored = one(lab, subject, args.orders as usize).await?;
            table::row(&explored);
            all.push(explored);
        }
        show(&all);
        conclude(&destination, all)
    })
    .await
}

/// PostgreSQL unless another is named, also where it is not installed: then that is said.
pub(crate) fn with_a_wire(database: Database) -> anyhow::Result<Database> {
    let has_none = database.backend()? == Some(Backend::Sqlite);
    ensure!(
        !has_none,
        "SQLite has no wire to hold: orders of events are played on PostgreSQL, `make services` installs it"
    );
    Ok(Database { database: database.database.or(Some("postgres".into())) })
}

/// A line that tells how far it is; none where nobody looks.
pub(crate) fn progress(says: &str) -> ProgressBar {
    let terminal = std::io::stderr().is_terminal();
    if !terminal {
        eprintln!("{says} …");
    }
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, target).with_style(style).with_message(says.to_owned())
}

async fn one(lab: &Lab, subject: &Subject, most: usize) -> anyhow::Result<Explored> {
    let says = format!("{}: every order of events of {} buyers", subject.title(), subject.buyers);
    let bar = progress(&says);
    let scheduler = Scheduler::build(lab, subject).await?;
    let explored = search(&scheduler, most, |so_far| {
        bar.set_message(format!("{says}: {}", thousands(so_far.orders_of_events as i64)));
    })
    .await?;
    scheduler.close(lab).await?;
    bar.finish_and_clear();
    Ok(explored)
}

/// One picture: of the first version that has an order which breaks something, else of the first.
fn show(all: &[Explored]) {
    let breaks = all.iter().find(|explored| explored.is_broken()).or(all.first());
    let Some((explored, shown)) = breaks.and_then(|explored| Some((explored, explored.shown.as_ref()?))) else {
        return;
    };
    print!("\n{}", picture::text(&explored.caption(), shown));
    for line in explain(&shown.steps) {
        println!("{line}");
    }
    println!("{}.", shown.outcome());
}

fn conclude(destination: &Destination, all: Vec<Explored>) -> anyhow::Result<Exit> {
    let kept = all.iter().all(|explored| explored.verdict != Verdict::NotAsPromised);
    let file = Explorations::new(Searches { explored: all });
    if let Some(json) = destination.json() {
        file.write(json)?;
    }
    destination.write_report(&report::explore::explored(&file))?;
    Ok(if kept { Exit::AsPromised } else { Exit::PromiseBroken })
}
