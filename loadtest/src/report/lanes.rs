use std::fmt::Write;

use super::escape;
use crate::interleave::{
    picture::{notice, row, says},
    play::Played,
    step::{Event, Step, letter},
};

const LEFT: f64 = 34.0;
const LANE: f64 = 268.0;
const BOX: f64 = 252.0;
const ROW: f64 = 236.0;
const TOP: f64 = 92.0;
const LINE: f64 = 54.0;

const STYLE: &str = ".lanes text{font:15px system-ui,sans-serif;fill:#1c1b1a}.lanes .soft{fill:#67625c}.lanes .head{font-size:18px;font-weight:700}\
    .lanes .bad{fill:#b3261e;font-weight:700}.lanes .told{fill:#67625c;font-style:italic}.lanes .step{fill:#fff;stroke:#ddd6cd}\
    .lanes .marked{fill:#fbe1de;stroke:#b3261e}.lanes .waits{fill:#fff;stroke:#67625c;stroke-dasharray:4 4}\
    .lanes .row{fill:#eef3f9;stroke:#9db6d3}.lanes .changed{font-weight:700}.lanes .lane{stroke:#ddd6cd;stroke-width:2}\
    .lanes .wait{stroke:#67625c;stroke-width:2;stroke-dasharray:4 4}.lanes .touch{stroke:#9db6d3}\
    @media (prefers-color-scheme:dark){.lanes text{fill:#f2eee8}.lanes .soft{fill:#aaa39a}.lanes .bad{fill:#ff8a7a}.lanes .told{fill:#aaa39a}\
    .lanes .step{fill:#211f1c;stroke:#3f3b35}.lanes .marked{fill:#3a1512;stroke:#ff8a7a}.lanes .waits{fill:#211f1c;stroke:#aaa39a}.lanes .row{fill:#16202c;stroke:#3d566f}\
    .lanes .lane{stroke:#3f3b35}.lanes .wait{stroke:#aaa39a}.lanes .touch{stroke:#3d566f}}";

/// One order of events as SVG: a lane for each buyer, one for the row. What is to be noticed is said in words, not in colour
/// alone.
pub fn svg(title: &str, played: &Played) -> String {
    let buyers = played.told.len();
    let right = LEFT + buyers as f64 * LANE;
    let (width, bottom) = (right + ROW + 10.0, TOP + played.steps.len() as f64 * LINE);
    let mut svg = String::new();
    let _ = write!(svg, "<text class=\"head\" x=\"4\" y=\"24\">{}</text>", escape(title));
    for n in 0..buyers {
        let x = LEFT + n as f64 * LANE;
        let middle = x + BOX / 2.0;
        let _ = write!(
            svg,
            "<text class=\"head\" x=\"{middle:.0}\" y=\"56\" text-anchor=\"middle\">{}</text>\
             <line class=\"lane\" x1=\"{middle:.0}\" x2=\"{middle:.0}\" y1=\"66\" y2=\"{bottom:.0}\"/>",
            letter(n)
        );
    }
    let _ = write!(
        svg,
        "<text class=\"head\" x=\"{:.0}\" y=\"56\" text-anchor=\"middle\">the row</text>",
        right + ROW / 2.0
    );
    let mut before = None;
    for (n, step) in played.steps.iter().enumerate() {
        let y = TOP + n as f64 * LINE;
        let lane = (0..buyers).find(|n| letter(*n) == step.buyer).unwrap_or_default();
        let x = LEFT + lane as f64 * LANE;
        if step.event == Event::Waits {
            let until =
                played.steps[n..].iter().position(|other| other.buyer == step.buyer && other.event == Event::GoesOn);
            wait(&mut svg, x + BOX / 2.0, y, y + until.unwrap_or_default() as f64 * LINE);
        } else {
            let y = y + 22.0;
            let _ = write!(
                svg,
                "<line class=\"touch\" x1=\"{:.0}\" x2=\"{right:.0}\" y1=\"{y:.0}\" y2=\"{y:.0}\"/>",
                x + BOX
            );
        }
        let _ = write!(svg, "<text class=\"soft\" x=\"24\" y=\"{:.0}\" text-anchor=\"end\">{}</text>", y + 27.0, n + 1);
        action(&mut svg, step, x, y);
        let changed = before.is_some_and(|before| before != step.row) || (before.is_none() && step.row.sold > 0);
        before = Some(step.row);
        let _ = write!(
            svg,
            "<rect class=\"row\" x=\"{right:.0}\" y=\"{:.0}\" width=\"{ROW}\" height=\"30\" rx=\"15\"/>\
             <text class=\"{}\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            y + 7.0,
            if changed { "changed" } else { "soft" },
            right + ROW / 2.0,
            y + 27.0,
            escape(&row(&step.row)),
        );
    }
    let outcome = escape(&played.outcome().replace('`', ""));
    let class = if played.is_broken() { "bad" } else { "soft" };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"lanes\" viewBox=\"0 0 {width:.0} {:.0}\" role=\"img\" aria-label=\"{}: {outcome}\">\
         <style>{STYLE}</style>{svg}<text class=\"{class}\" x=\"4\" y=\"{:.0}\">{outcome}</text></svg>\n",
        bottom + 36.0,
        escape(title),
        bottom + 22.0,
    )
}

/// What a buyer does: in its box, and below it what is to be noticed and what the buyer is told.
fn action(svg: &mut String, step: &Step, x: f64, y: f64) {
    let class = match (step.event, step.mark) {
        (Event::Waits, _) => "waits",
        (_, Some(_)) => "marked",
        _ => "step",
    };
    let (mark, class_of_mark) = (escape(&notice(step)), if step.mark.is_some() { "bad" } else { "soft" });
    let told = step.told.as_ref().map(|told| format!("told {told}")).unwrap_or_default();
    let both = !mark.is_empty() || !told.is_empty();
    let _ = write!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.0}\" y=\"{y:.0}\" width=\"{BOX}\" height=\"44\" rx=\"8\"/>\
         <text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
        x + 12.0,
        y + if both { 18.0 } else { 27.0 },
        escape(&says(step)),
    );
    if !mark.is_empty() {
        let _ =
            write!(svg, "<text class=\"{class_of_mark}\" x=\"{:.0}\" y=\"{:.0}\">{mark}</text>", x + 12.0, y + 37.0);
    }
    if !told.is_empty() {
        let _ = write!(
            svg,
            "<text class=\"told\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>",
            x + BOX - 12.0,
            y + 37.0,
            escape(&told)
        );
    }
}

/// A line down the lane for as long as a statement waits.
fn wait(svg: &mut String, x: f64, from: f64, to: f64) {
    if to > from {
        let _ =
            write!(svg, "<line class=\"wait\" x1=\"{x:.0}\" x2=\"{x:.0}\" y1=\"{:.0}\" y2=\"{to:.0}\"/>", from + 44.0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{interleave::step::Row, verdict::audit::Audit};

    /// Somebody else may have written the file.
    #[test]
    fn a_hostile_order_of_events_stays_text() {
        let hostile = "<script>window.hacked = 1</script>\"'&";
        let waits = Step::waits(0, hostile.into(), hostile, &[1], Row::default());
        let waits = Step { waits_for: vec![hostile.into()], told: Some(hostile.into()), ..waits };
        let done =
            Step { event: Event::Done, error: Some(hostile.into()), writes: Some(hostile.into()), ..waits.clone() };
        let told = (0..300).map(|n| (format!("{hostile}{n}"), hostile.to_owned())).collect::<BTreeMap<_, _>>();
        let order = vec![hostile.to_owned()];
        let played = Played { order, steps: vec![waits, done], told, audit: Audit::default(), cut_off: false };
        let svg = svg(hostile, &played);
        assert!(!svg.contains("<script>") && svg.matches("<svg").count() == 1, "{svg}");
    }
}
