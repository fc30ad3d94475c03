use anstream::print;
use loadtest::{
    interleave::{
        picture, replay,
        schedule::Schedule,
        scheduler::{Scheduler, Subject},
    },
    record::interleavings::{Playings, Replays},
    report,
};

use super::{
    Exit,
    explore::{progress, with_a_wire},
    in_lab,
    report::Destination,
};
use crate::cli::Replay;

pub(crate) async fn replay(args: Replay) -> anyhow::Result<Exit> {
    let schedule = Schedule::read(&args.file)?;
    let Replay { version, variant, stock, times, .. } = args;
    let variant = super::variant(version, variant.as_deref())?;
    let subject = Subject { version, variant, buyers: schedule.buyers(), stock: stock.into() };
    subject.check()?;
    let destination = Destination::new(args.output)?;
    in_lab(&with_a_wire(args.database)?, async |lab| {
        let says = format!("{}: {} statements of {} buyers", subject.title(), schedule.turns.len(), subject.buyers);
        let bar = progress(&says);
        let scheduler = Scheduler::build(lab, &subject).await?;
        let shown = |n: usize| bar.set_message(format!("{says}: {n} of {times}"));
        let replayed = replay::replay(&scheduler, &schedule, times as usize, shown).await?;
        scheduler.close(lab).await?;
        bar.finish_and_clear();
        print!("{}", picture::text(&replayed.caption(), &replayed.played));
        for note in &replayed.notes {
            println!("{note}");
        }
        println!("{}.", replayed.says());
        let same = replayed.same == replayed.times;
        let file = Replays::new(Playings { replayed: vec![replayed] });
        if let Some(json) = destination.json() {
            file.write(json)?;
        }
        destination.write_report(&report::explore::replayed(&file))?;
        Ok(if same { Exit::AsPromised } else { Exit::PromiseBroken })
    })
    .await
}
