//! What the reader sees of a sitting.

use std::time::Duration;

use super::{Kind, Recall, Sitting, State, Task};
use crate::{
    rehearse::{
        markdown::Block,
        predict::{Figure, compare},
        view::{Ask, Clock, View},
    },
    render::text::minutes,
};

impl Sitting {
    /// The time to talk.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(60 * self.card.minutes())
    }

    /// What the reader sees. `progress` says which card of the session this is, and `due` when it comes again.
    pub fn view(&self, progress: &str, due: &str, now: Duration) -> View {
        let again = match self.kind {
            Kind::Again => "Again, ",
            Kind::Rest => "The rest of ",
            Kind::Whole | Kind::Interview => "",
        };
        let step = match self.state {
            State::Done => String::new(),
            _ => format!(" · step {} of {}", self.at + 1, self.tasks.len()),
        };
        let spent = now.saturating_sub(self.began.unwrap_or(now));
        let (cue, answer, ask) = self.shown(due);
        View {
            heading: format!("{again}{}: {}", self.card.number, self.card.title),
            progress: format!("{progress}{step}"),
            clock: self.is_talk().then(|| Clock { spent, limit: self.limit() }),
            cue,
            answer,
            ask,
        }
    }

    fn shown(&self, due: &str) -> (Vec<Block>, Vec<Block>, Ask) {
        let text = Block::Text;
        match (&self.state, self.tasks.get(self.at)) {
            (State::Done, _) | (_, None) => (self.result(due), self.proof(), Ask::GoOn("go on")),
            (_, Some(Task::Talk)) => {
                let task = format!(
                    "You have {} minutes. Talk aloud, and draw on paper. Then compare: nothing is shown before.",
                    self.card.minutes()
                );
                (vec![text(self.card.prompt.clone()), text(task)], Vec::new(), Ask::GoOn("I have said all"))
            }
            (state, Some(Task::Recall(of))) => {
                let (answer, ask) = match state {
                    State::Revealed { unclear } => (of.step.answer.clone(), Ask::Mark { unclear: *unclear }),
                    _ => (Vec::new(), Ask::GoOn("reveal")),
                };
                (vec![text(self.cue(of))], answer, ask)
            }
            (state, Some(Task::Predict(predict))) => {
                let asked = vec![text(format!("Predict. {}", predict.ask)), Block::Verbatim(vec![predict.line()])];
                match state {
                    State::Typing { typed, refused } => {
                        (asked, Vec::new(), Ask::Predict { typed: typed.clone(), refused: *refused })
                    }
                    State::Beside { said, came } => (asked, beside(said, came, &predict.why), Ask::GoOn("go on")),
                    State::Playing { said } => {
                        (asked, vec![text(format!("You said {said}. The run is played …"))], Ask::Wait)
                    }
                    State::Asked | State::Revealed { .. } | State::Done => (asked, Vec::new(), Ask::Wait),
                }
            }
        }
    }

    fn cue(&self, of: &Recall) -> String {
        let is_follow_up = of.card.follow_ups.iter().any(|step| std::ptr::eq(step, of.step));
        match is_follow_up {
            true if of.card.number != self.card.number => format!("The interviewer asks: {}", of.step.cue),
            true => format!("Follow-up: {}", of.step.cue),
            false => format!("Compare: {}", of.step.cue),
        }
    }

    /// How it went, and when the card comes again.
    fn result(&self, due: &str) -> Vec<Block> {
        let before = if self.kind == Kind::Rest { self.before.len() } else { 0 };
        let had = before + self.marks.iter().filter(|mark| mark.had).count();
        let talked =
            self.talked.map(|talked| format!("You talked for {} of {}. ", minutes(talked), minutes(self.limit())));
        let mut result = vec![Block::Text(format!(
            "{}You had {had} of {}. {due}",
            talked.unwrap_or_default(),
            before + self.marks.len()
        ))];
        let missed = self.marks.iter().filter(|mark| !mark.had);
        result.extend(missed.map(|mark| Block::Item(format!("missed: {}", mark.of.step.cue))));
        result
    }

    fn proof(&self) -> Vec<Block> {
        match self.kind {
            Kind::Whole | Kind::Rest => [&[Block::Text("Prove it:".into())][..], &self.card.prove].concat(),
            Kind::Again | Kind::Interview => Vec::new(),
        }
    }
}

/// The prediction beside what came out.
fn beside(said: &str, came: &Result<Figure, String>, why: &str) -> Vec<Block> {
    let why = Block::Text(format!("Why: {why}"));
    match came {
        Err(reason) => vec![Block::Text(format!("Not played: {reason}")), why],
        Ok(figure) => {
            let lines = vec![format!("you said {said:>12}"), format!("it was   {figure:>12}")];
            vec![Block::Verbatim(lines), Block::Text(compare(said, figure)), why]
        }
    }
}
