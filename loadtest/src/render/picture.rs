//! The picture of an interleaving in the terminal: a lane for each buyer and one for the row. The SVG has the same texts.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::interleave::{
    play::Played,
    step::{Event, Mark, Row, Step, letter},
};

const LANE: usize = 40;
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// The picture of one interleaving.
pub fn text(title: &str, played: &Played) -> String {
    let buyers = played.told.len();
    let mut picture = format!("{BOLD}{title}{BOLD:#}\n    ");
    for n in 0..buyers {
        let _ = write!(picture, "{BOLD}{:<LANE$}{BOLD:#}", letter(n));
    }
    let _ = writeln!(picture, "{BOLD}the row{BOLD:#}");
    let mut waiting = vec![false; buyers];
    for (n, step) in played.steps.iter().enumerate() {
        let lane = (0..buyers).find(|n| letter(*n) == step.buyer).unwrap_or_default();
        waiting[lane] = step.event == Event::Waits;
        let _ = write!(picture, "{:>3} ", n + 1);
        for (other, waits) in waiting.iter().enumerate() {
            if other == lane {
                picture += &cell(step);
            } else {
                let _ = write!(picture, "{DIM}{:<LANE$}{DIM:#}", if *waits { "┆" } else { "│" });
            }
        }
        let _ = writeln!(picture, "{}", row(&step.row));
        if let Some(told) = &step.told {
            let _ = writeln!(picture, "    {}{DIM}told {told}{DIM:#}", " ".repeat(lane * LANE));
        }
    }
    picture
}

/// A step and its mark, as wide as a lane.
fn cell(step: &Step) -> String {
    let (says, notice) = (says(step), notice(step));
    let (style, notice) = match step.mark {
        Some(_) => (AnsiColor::on_default(AnsiColor::Red), notice.to_uppercase()),
        None => (Style::new(), notice),
    };
    let room = LANE.saturating_sub(says.chars().count() + notice.chars().count() + 1);
    format!("{says} {style}{notice}{style:#}{}", " ".repeat(room))
}

/// A step's mark in words; empty for most steps.
pub(crate) fn notice(step: &Step) -> String {
    match step.mark {
        Some(mark) => mark.word().into(),
        None if step.event == Event::Waits => format!("waits for {}", step.waits_for.join(", ")),
        None => String::new(),
    }
}

/// The text of a step in its lane.
pub(crate) fn says(step: &Step) -> String {
    let Step { shown, .. } = step;
    let dots = if step.event == Event::GoesOn { "… " } else { "" };
    match (step.event, &step.error, step.read, step.statement.as_str()) {
        (Event::Waits, ..) => format!("{shown} …"),
        (_, Some(code), ..) => format!("{dots}{shown}: {code}"),
        (.., Some(sold), _) => match step.read_version {
            Some(version) => format!("{dots}{shown}: sold {sold}, version {version}"),
            None => format!("{dots}{shown}: sold {sold}"),
        },
        (.., "update") if step.rows == Some(0) => format!("{dots}update: no row"),
        (.., "update") => format!("{dots}update: sold = {}", step.writes.as_deref().unwrap_or("?")),
        (.., "insert") => format!("{dots}insert: an order"),
        _ => format!("{dots}{shown}"),
    }
}

/// The committed row in words.
pub(crate) fn row(row: &Row) -> String {
    let version = row.version.map(|version| format!(", version {version}")).unwrap_or_default();
    format!("sold {}{version} · {} order{}", row.sold, row.orders, if row.orders == 1 { "" } else { "s" })
}

impl Mark {
    /// The mark in two words.
    pub fn word(self) -> &'static str {
        match self {
            Mark::StaleRead => "stale read",
            Mark::LostUpdate => "lost update",
            Mark::Conflict => "conflict",
            Mark::Deadlock => "deadlock",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::verdict::audit::Audit;

    #[test]
    fn every_line_is_as_wide_as_its_lanes() {
        let row = Row { sold: 1, version: None, orders: 1 };
        let waits = Step::waits(1, "select for update".into(), "select", &[0], row);
        let look = Step { event: Event::Done, read: Some(0), mark: Some(Mark::StaleRead), ..waits.clone() };
        let order = Step { event: Event::Done, told: Some("bought".into()), buyer: "A".into(), ..waits.clone() };
        let told = BTreeMap::from([("A".into(), "bought".into()), ("B".into(), "sold-out".into())]);
        let steps = vec![look, waits, order];
        let played =
            Played { order: Vec::new(), steps, told, audit: Audit::default(), cut_off: false, footprints: Vec::new() };
        let plain = anstream::adapter::strip_str(&text("v1", &played)).to_string();
        let rows: Vec<_> = plain.lines().filter_map(|line| line.find("sold 1 · 1 order")).collect();
        let width = |line: &str| line.split("sold 1 · 1").next().unwrap().chars().count();
        assert_eq!(rows.len(), 3, "{plain}");
        assert!(
            plain.lines().filter(|line| line.contains("1 order")).all(|line| width(line) == 4 + 2 * LANE),
            "{plain}"
        );
        assert!(plain.contains("select for update: sold 0 STALE READ") && plain.contains("told bought"), "{plain}");
        assert!(plain.contains('┆'), "{plain}");
    }
}
