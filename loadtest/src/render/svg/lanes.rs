use maud::{Markup, html};

use super::{Picture, line, rect, text};
use crate::{
    interleave::{
        play::Played,
        step::{Event, Step, letter},
    },
    render::picture::{notice, row, says},
};

const LEFT: f64 = 34.0;
const LANE: f64 = 268.0;
const BOX: f64 = 252.0;
const ROW: f64 = 236.0;
const TOP: f64 = 92.0;
const LINE: f64 = 54.0;

/// One interleaving: a lane for each buyer and one for the row. Every mark is also a word, not only a color.
pub fn picture(title: &str, played: &Played) -> Picture {
    let buyers = played.told.len();
    let lane = |n: usize| LEFT + n as f64 * LANE;
    let (right, bottom) = (lane(buyers), TOP + played.steps.len() as f64 * LINE);
    let outcome = played.outcome().replace('`', "");
    let body = html! {
        (text("big", 4.0, 24.0, title))
        @for n in 0..buyers {
            (text("big middle", lane(n) + BOX / 2.0, 56.0, letter(n)))
            (line("lane", lane(n) + BOX / 2.0, 66.0, lane(n) + BOX / 2.0, bottom))
        }
        (text("big middle", right + ROW / 2.0, 56.0, "the row"))
        @for (n, step) in played.steps.iter().enumerate() {
            @let y = TOP + n as f64 * LINE;
            @let x = lane((0..buyers).find(|n| letter(*n) == step.buyer).unwrap_or_default());
            @if step.event == Event::Waits {
                (wait(&played.steps[n..], x + BOX / 2.0, y))
            } @else {
                (line("touch", x + BOX, y + 22.0, right, y + 22.0))
            }
            (text("soft end", 24.0, y + 27.0, n + 1))
            (action(step, x, y))
            @let changed = if n == 0 { step.row.sold > 0 } else { played.steps[n - 1].row != step.row };
            (rect("row", right, y + 7.0, ROW, 30.0, 15.0))
            (text(if changed { "changed middle" } else { "soft middle" }, right + ROW / 2.0, y + 27.0, row(&step.row)))
        }
        (text(if played.is_broken() { "bad" } else { "soft" }, 4.0, bottom + 22.0, &outcome))
    };
    let label = format!("{title}: {outcome}");
    Picture { class: "lanes", label, width: right + ROW + 10.0, height: bottom + 36.0, body }
}

/// A buyer's step: a box with its text, and below it the mark and the buyer's answer.
fn action(step: &Step, x: f64, y: f64) -> Markup {
    let class = match (step.event, step.mark) {
        (Event::Waits, _) => "waits",
        (Event::Done | Event::GoesOn, Some(_)) => "broke",
        (Event::Done | Event::GoesOn, None) => "card",
    };
    let notice = notice(step);
    let is_alone = notice.is_empty() && step.told.is_none();
    html! {
        (rect(class, x, y, BOX, 44.0, 8.0))
        (text("", x + 12.0, y + if is_alone { 27.0 } else { 18.0 }, says(step)))
        @if !notice.is_empty() {
            (text(if step.mark.is_some() { "bad" } else { "soft" }, x + 12.0, y + 37.0, notice))
        }
        @if let Some(told) = &step.told {
            (text("told end", x + BOX - 12.0, y + 37.0, format_args!("told {told}")))
        }
    }
}

/// A line down the lane while the first of these steps waits.
fn wait(steps: &[Step], x: f64, y: f64) -> Markup {
    let goes_on = |other: &Step| other.buyer == steps[0].buyer && other.event == Event::GoesOn;
    html! {
        @if let Some(until) = steps.iter().position(goes_on) {
            (line("wait", x, y + 44.0, x, y + until as f64 * LINE))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{interleave::step::Row, verdict::audit::Audit};

    /// The file may come from someone else, so its text must be escaped.
    #[test]
    fn text_of_an_untrusted_file_is_escaped() {
        let hostile = "<script>window.hacked = 1</script>\"'&";
        let waits = Step::waits(0, hostile.into(), hostile, &[1], Row::default());
        let waits = Step { waits_for: vec![hostile.into()], told: Some(hostile.into()), ..waits };
        let done =
            Step { event: Event::Done, error: Some(hostile.into()), writes: Some(hostile.into()), ..waits.clone() };
        let told = (0..300).map(|n| (format!("{hostile}{n}"), hostile.to_owned())).collect::<BTreeMap<_, _>>();
        let order = vec![hostile.to_owned()];
        let played = Played {
            order,
            steps: vec![waits, done],
            told,
            audit: Audit::default(),
            cut_off: false,
            footprints: Vec::new(),
        };
        let svg = picture(hostile, &played).file();
        assert!(!svg.contains("<script>") && svg.matches("<svg").count() == 1, "{svg}");
    }
}
