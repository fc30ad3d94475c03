//! Explains an interleaving in words: one line for each step at which buyers affect each other.

use super::step::{Event, Mark, Step};

/// The lines, in the order of the steps.
pub fn explain(steps: &[Step]) -> Vec<String> {
    steps.iter().enumerate().filter_map(|(n, step)| line(step, &steps[..n])).collect()
}

fn line(step: &Step, before: &[Step]) -> Option<String> {
    let Step { buyer, shown, .. } = step;
    let look = before.iter().rfind(|other| other.buyer == *buyer && other.read.is_some());
    let read = look.and_then(|look| look.read).unwrap_or_default();
    let met = before.last().map_or(0, |other| other.row.sold);
    Some(match (step.event, step.mark, step.error.as_deref()) {
        (Event::Waits, ..) => {
            format!("{buyer}'s {shown} waits: {} has the row locked.", step.waits_for.join(" and "))
        }
        (_, Some(Mark::LostUpdate), _) => {
            format!(
                "{buyer}'s update is a lost update: it had read sold {read}, the row says {met}, and it writes over it."
            )
        }
        (_, Some(Mark::Conflict), Some(code)) => {
            format!("{buyer}'s {shown} is refused ({code}): what it had read has changed since. A conflict.")
        }
        (_, Some(Mark::Conflict), None) => match look.and_then(|look| look.read_version) {
            Some(version) => format!("{buyer}'s update changes no row: version {version} is gone. A conflict."),
            None => format!("{buyer}'s update changes no row. A conflict."),
        },
        (_, Some(Mark::Deadlock), _) => {
            format!("{buyer}'s {shown} is ended by the database (40P01): each waited for the other. A deadlock.")
        }
        (_, _, Some(code)) => format!("{buyer}'s {shown} is refused ({code})."),
        (Event::GoesOn, _, None) => match step.read {
            Some(sold) => format!("{buyer}'s {shown} goes on, and reads what was left: sold {sold}."),
            None => format!("{buyer}'s {shown} goes on."),
        },
        (Event::Done, None | Some(Mark::StaleRead), None) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interleave::step::Row;

    #[test]
    fn each_interaction_has_its_line() {
        let step = |buyer: usize, word: &str| Step::waits(buyer, word.into(), word, &[0], Row::default());
        let done = |step: Step| Step { event: Event::Done, waits_for: Vec::new(), ..step };
        let look = Step { read: Some(0), read_version: Some(3), ..done(step(1, "select")) };
        let conflict = Step { mark: Some(Mark::Conflict), rows: Some(0), ..done(step(1, "update")) };
        let goes_on = Step { event: Event::GoesOn, read: Some(1), ..done(step(1, "select")) };
        let deadlock = Step { mark: Some(Mark::Deadlock), error: Some("40P01".into()), ..done(step(1, "select")) };
        let lines = explain(&[look, step(1, "update"), conflict, goes_on, deadlock, done(step(0, "insert"))]);
        let expected = [
            "B's update waits: A has the row locked.",
            "B's update changes no row: version 3 is gone. A conflict.",
            "B's select goes on, and reads what was left: sold 1.",
            "B's select is ended by the database (40P01): each waited for the other. A deadlock.",
        ];
        assert_eq!(lines, expected);
    }
}
