use maud::html;

use super::{Picture, apart, at, line, text};
use crate::{
    record::capacity::{Capacities, Capacity, Trial},
    render::text::thousands,
};

const LEFT: f64 = 80.0;
const RIGHT: f64 = 620.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 374.0;
const WIDTH: f64 = 820.0;
/// The number of line styles in the style sheet.
const STYLES: usize = 6;

/// The offered rate against the orders per second that hold: a curve for each version. Both axes are logarithmic and have the same
/// scale. A filled point is a rate that was served.
pub fn picture(file: &Capacities) -> Picture {
    let first = |one: &&Capacity| !one.trials.is_empty();
    let mut curves: Vec<&Capacity> = Vec::new();
    for one in file.capacities.iter().filter(first) {
        if !curves.iter().any(|known| known.title() == one.title()) {
            curves.push(one); // The picture has the first round; the table has the range.
        }
    }
    let rates = curves.iter().flat_map(|one| &one.trials).flat_map(|trial| [trial.offered, trial.useful.max(1.0)]);
    let (least, most) = rates.fold((f64::INFINITY, 10.0_f64), |(least, most), rate| (least.min(rate), most.max(rate)));
    let (low, high) = (least.min(most / 10.0).log10().floor(), most.log10().ceil());
    let share = |rate: f64| (rate.max(1.0).log10() - low) / (high - low);
    let x = |rate: f64| LEFT + share(rate) * (RIGHT - LEFT);
    let y = |rate: f64| BOTTOM - share(rate) * (BOTTOM - TOP);
    let labels = apart(curves.iter().map(|one| in_order(one).last().map_or(BOTTOM, |trial| y(trial.useful))));
    let body = html! {
        (line("axis", LEFT, BOTTOM, RIGHT, BOTTOM))
        (line("axis", LEFT, TOP, LEFT, BOTTOM))
        @for exponent in low as i32..=high as i32 {
            @let rate = 10_f64.powi(exponent);
            (line("axis", LEFT, y(rate), RIGHT, y(rate)))
            (text("soft end", LEFT - 8.0, y(rate) + 4.0, thousands(rate as i64)))
            (text("soft middle", x(rate), BOTTOM + 18.0, thousands(rate as i64)))
        }
        (line("wait", x(10_f64.powf(low)), y(10_f64.powf(low)), x(10_f64.powf(high)), y(10_f64.powf(high))))
        (text("soft middle", (LEFT + RIGHT) / 2.0, BOTTOM + 38.0, "buyers offered per second; dashed: an order for each"))
        (text("soft", 8.0, 16.0, "useful orders per second"))
        @for (n, one) in curves.iter().enumerate() {
            @let class = format!("curve c{}", n % STYLES);
            @let trials = in_order(one);
            path class=(class) d=(curve(&trials, x, y)) {}
            @for trial in &trials {
                @let class = format!("{class}{}", if trial.is_served() { " served" } else { "" });
                circle class=(class) cx=(at(x(trial.offered))) cy=(at(y(trial.useful))) r="4" {}
            }
            (text(&format!("c{}", n % STYLES), RIGHT + 12.0, labels[n] + 4.0, one.title()))
        }
    };
    let label = "Offered rate against orders per second, a curve for each version".into();
    Picture { class: "chart capacity", label, width: WIDTH, height: BOTTOM + 48.0, body }
}

/// The trials from the least rate on; of a rate that was played twice, the last.
fn in_order(one: &Capacity) -> Vec<&Trial> {
    let mut trials: Vec<&Trial> = Vec::new();
    for trial in one.trials.iter().rev() {
        if trials.iter().all(|known| known.offered != trial.offered) {
            trials.push(trial);
        }
    }
    trials.sort_by(|a, b| a.offered.total_cmp(&b.offered));
    trials
}

fn curve(trials: &[&Trial], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let points = trials.iter().enumerate().map(|(n, trial)| {
        format!("{}{} {}", if n == 0 { 'M' } else { 'L' }, at(x(trial.offered)), at(y(trial.useful)))
    });
    points.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(offered: f64, useful: f64, why: &[&str]) -> Trial {
        let why = why.iter().map(|why| (*why).to_owned()).collect();
        Trial { offered, useful, p99_ms: Some(1.0), others: None, why, bottlenecks: Vec::new(), cost: None }
    }

    #[test]
    fn a_rate_that_was_played_twice_is_one_point() {
        let trials = vec![trial(200.0, 100.0, &["p99"]), trial(100.0, 100.0, &[]), trial(200.0, 200.0, &[])];
        let one = Capacity {
            version: crate::version::Version::V2,
            variant: None,
            database: None,
            instances: 1,
            per_second: 200.0,
            was_ended: false,
            gives_way_at: None,
            gave_way: Vec::new(),
            cost: None,
            trials,
        };
        let offered: Vec<_> = in_order(&one).iter().map(|trial| (trial.offered, trial.useful)).collect();
        assert_eq!(offered, [(100.0, 100.0), (200.0, 200.0)]);
    }
}
