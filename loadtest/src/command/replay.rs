use std::path::PathBuf;

use loadtest::{
    interleave::{
        replay,
        schedule::Schedule,
        scheduler::{Scheduler, Subject},
    },
    record::interleavings::{Playings, Replays},
    render::{page, picture},
    version::Version,
};

use super::{
    database::{Database, in_lab},
    exit::Exit,
    explore::with_a_wire,
    output::{Destination, Output},
    print::{print, say},
    progress::spinner,
    variant::Variant,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// v1-naive, v2-pessimistic, v3-optimistic; v1, v2, v3 for short
    version: Version,

    /// The schedule: `A select · B select · A update …`; without a commit in it, commits follow by themselves
    file: PathBuf,

    #[command(flatten)]
    variant: Variant,

    /// Units of the sale
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    stock: u32,

    /// How often to play it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    times: u32,

    #[command(flatten)]
    database: Database,

    #[command(flatten)]
    output: Output,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let schedule = Schedule::read(&args.file)?;
    let Args { version, stock, times, .. } = args;
    let variant = args.variant.of(version)?;
    let subject = Subject { version, variant, buyers: schedule.buyers(), stock: stock.into() };
    subject.check()?;
    let destination = Destination::new(args.output)?;
    in_lab(&with_a_wire(args.database)?, async |lab| {
        let says = format!("{}: {} statements of {} buyers", subject.title(), schedule.turns.len(), subject.buyers);
        let bar = spinner(&says);
        let scheduler = Scheduler::build(lab, &subject).await?;
        let shown = |n: usize| bar.set_message(format!("{says}: {n} of {times}"));
        let replayed = replay::replay(&scheduler, &schedule, times as usize, shown).await?;
        scheduler.close(lab).await?;
        bar.finish_and_clear();
        print(picture::text(&replayed.caption(), &replayed.played));
        for note in &replayed.notes {
            say(note);
        }
        say(format_args!("{}.", replayed.says()));
        let same = replayed.same == replayed.times;
        let file = Replays::new(Playings { seed: None, replayed: vec![replayed] });
        if let Some(json) = destination.json() {
            file.write(json)?;
        }
        destination.write_report(&page::interleavings::replayed(&file))?;
        Ok(if same { Exit::AsPromised } else { Exit::PromiseBroken })
    })
    .await
}
