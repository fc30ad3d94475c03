//! The live screen of a run, drawn from given numbers.
//!
//! Read `numbers` first: what one picture shows. This file decides what is left out if the terminal is small.

use std::{cmp::Reverse, ops::RangeInclusive};

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect, Size},
    style::{Color, Style, Stylize},
    text::{Line, Span},
    widgets::{Gauge, Paragraph, Sparkline, Wrap},
};

mod numbers;
#[cfg(test)]
mod tests;

pub use self::numbers::{Left, Numbers, Phase};
use super::text::thousands;

/// The smallest terminal that the screen is drawn on.
const SMALLEST: Size = Size { width: 40, height: 20 };
/// From this width on, outcomes and latency stand side by side.
const WIDE: u16 = 60;
/// The most lines for outcomes, side by side with the latency and above it. Further outcomes are added up.
const OUTCOMES: (usize, usize) = (6, 4);
/// The lines of the sparkline. With fewer lines there is none.
const SPARKLINE: RangeInclusive<u16> = 2..=6;

/// Whether a terminal of this size has room for the screen.
pub fn fits(size: Size) -> bool {
    size.width >= SMALLEST.width && size.height >= SMALLEST.height
}

/// Draws one picture.
pub fn draw(frame: &mut Frame, numbers: &Numbers) {
    let all = frame.area();
    if !fits(all.as_size()) {
        let text = "The terminal is too small for the live screen: it needs 40 × 20. The run goes on; q ends it.";
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), all);
        return;
    }
    let is_wide = all.width >= WIDE;
    let (outcomes, latency) = (outcomes(numbers, is_wide), latency(numbers, is_wide));
    let measured = match is_wide {
        true => outcomes.len().max(latency.len()),
        false => outcomes.len() + latency.len(),
    };
    let load = if numbers.load.chars().count() > all.width.into() { 2 } else { 1 };
    // From top to bottom, gaps included. The sparkline takes what is left, and is the first to be left out.
    let mut heights = [1, load, 1, 0, 1, measured as u16, 1, 2, 1, 2];
    let left = all.height.saturating_sub(heights.iter().sum());
    heights[3] = if left < *SPARKLINE.start() { 0 } else { left.min(*SPARKLINE.end()) };
    let [title, load, rate, bars, _, middle, _, stock, _, end] =
        Layout::vertical(heights.map(Constraint::Length)).areas(all);
    frame.render_widget(Line::from(numbers.title.as_str()).bold(), title);
    frame.render_widget(Paragraph::new(numbers.load.as_str()).wrap(Wrap { trim: true }), load);
    frame.render_widget(Line::from(self::rate(numbers)), rate);
    draw_sparkline(frame, numbers, bars);
    let areas = match is_wide {
        true => Layout::horizontal([Constraint::Fill(1); 2]).areas::<2>(middle),
        false => Layout::vertical([outcomes.len(), latency.len()].map(|n| Constraint::Length(n as u16))).areas(middle),
    };
    for (lines, area) in [outcomes, latency].into_iter().zip(areas) {
        frame.render_widget(Paragraph::new(lines), area);
    }
    draw_stock(frame, numbers, stock);
    let keys = Line::from(numbers.phase.keys()).dim();
    frame.render_widget(Paragraph::new(vec![Line::from(numbers.phase.says()), keys]), end);
}

fn rate(numbers: &Numbers) -> Vec<Span<'static>> {
    let mut rate = vec!["answers/s ".bold(), thousands(numbers.rate.round() as i64).into()];
    if let Some(offered) = numbers.offered {
        rate.push(format!(", {} offered", thousands(offered.round() as i64)).into());
    }
    rate
}

/// The last bars that fit. The highest of them, or the offered rate if it is higher, takes four fifths of the height, so that changes at
/// the top can be seen.
fn draw_sparkline(frame: &mut Frame, numbers: &Numbers, area: Rect) {
    let bars = &numbers.rates[numbers.rates.len().saturating_sub(area.width.into())..];
    let highest = bars.iter().copied().max().unwrap_or_default().max(numbers.offered.unwrap_or_default() as u64);
    let sparkline =
        Sparkline::default().data(bars).max((highest + highest / 4).max(1)).style(Style::new().fg(Color::Cyan));
    frame.render_widget(sparkline, area);
}

/// A line for each outcome: `bought`, then those with the most buyers, and `unknown` last. What does not fit is added up.
fn outcomes(numbers: &Numbers, is_wide: bool) -> Vec<Line<'static>> {
    let (unknown, mut told): (Vec<_>, Vec<_>) = numbers.told.iter().copied().partition(|(kind, _)| *kind == "unknown");
    let most = if is_wide { OUTCOMES.0 } else { OUTCOMES.1 } - unknown.len();
    told.sort_by_key(|(kind, count)| (*kind != "bought", Reverse(*count)));
    if told.len() > most {
        let others = told.split_off(most - 1);
        told.push(("other outcomes", others.iter().map(|(_, count)| count).sum()));
    }
    told.extend(unknown);
    let line = |(kind, count): (&str, u64)| {
        let line = Line::from(format!("{kind:<18}{:>10}", thousands(count as i64)));
        match kind {
            "bought" => line.green(),
            "unknown" => line.red(),
            _ => line,
        }
    };
    let mut lines = vec![Line::from("outcomes").bold()];
    lines.extend(told.into_iter().map(line));
    lines.resize(lines.len().max(4), Line::default());
    lines
}

/// Percentiles: a line for each, or two for all of them.
fn latency(numbers: &Numbers, is_wide: bool) -> Vec<Line<'static>> {
    let mut lines = vec![Line::from(vec!["latency".bold(), format!(" ms {}", numbers.since).into()])];
    let times = numbers.latency.map(|latency| {
        [("p50", latency.p50), ("p90", latency.p90), ("p99", latency.p99), ("max", latency.max)]
            .map(|(name, ms)| format!("{name} {:>9}", format!("{ms:.1}")))
    });
    match times {
        None => lines.push("no answers yet".into()),
        Some(times) if is_wide => lines.extend(times.map(Line::from)),
        Some([p50, p90, p99, max]) => {
            lines.extend([format!("{p50}   {p90}"), format!("{p99}   {max}")].map(Line::from));
        }
    }
    lines.resize(lines.len().max(if is_wide { 5 } else { 3 }), Line::default());
    lines
}

/// How many buyers were told yes, against the units that there are. More of them than units are red, and are counted in words.
fn draw_stock(frame: &mut Frame, numbers: &Numbers, area: Rect) {
    let (yes, units) = (numbers.yes, numbers.units.max(0) as u64);
    let too_many = yes.saturating_sub(units);
    let mut said =
        vec!["stock ".bold(), format!("{} of {} sold", thousands(yes as i64), thousands(units as i64)).into()];
    if too_many > 0 {
        said.push(format!(", {} too many", thousands(too_many as i64)).red().bold());
    }
    let [text, bar] = Layout::vertical([Constraint::Length(1); 2]).areas(area);
    frame.render_widget(Line::from(said), text);
    let colour = if too_many > 0 { Color::Red } else { Color::Green };
    let share = if units > 0 { yes as f64 / units as f64 } else { f64::from(u8::from(yes > 0)) };
    let gauge = Gauge::default().gauge_style(Style::new().fg(colour)).ratio(share.min(1.0)).use_unicode(true);
    frame.render_widget(gauge.label(format!("{:.0} %", share * 100.0)), bar);
}
