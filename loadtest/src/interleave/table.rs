//! The table of what was explored.

use std::fmt::Write;

use anstream::println;
use anstyle::{AnsiColor, Style};

use crate::{
    record::interleavings::{Explorations, Explored},
    text::thousands,
};

const HEADS: [&str; 9] =
    ["version", "buyers", "stock", "orders of events", "oversell", "undersell", "conflicts", "waits", "deadlocks"];

/// Prints the heads of the columns.
pub fn head() {
    let bold = Style::new().bold();
    println!("{bold}{}{bold:#}", line(&HEADS.map(str::to_owned)));
}

/// Prints a version: red if an order of events breaks anything, else green; and below it, in words, what the row says.
pub fn row(explored: &Explored) {
    let style = AnsiColor::on_default(if explored.is_broken() { AnsiColor::Red } else { AnsiColor::Green });
    println!("{style}{}{style:#}", line(&cells(explored)));
    let dim = Style::new().dimmed();
    println!("{dim}  {}{dim:#}", explored.says());
    if let Some(order) = &explored.shortest {
        println!("{dim}  the shortest that breaks: {}{dim:#}", order.join(" · "));
    }
}

/// The same table for the book, whose pages are narrow.
pub fn markdown(file: &Explorations) -> String {
    let mut table = String::from(
        "| version | buyers, units | orders | oversell | undersell | conflicts | waits | deadlocks |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for explored in &file.explored {
        let [title, buyers, stock, orders, broken @ ..] = cells(explored);
        let bold = |(n, cell): (usize, String)| if n < 2 && cell != "0" { format!("**{cell}**") } else { cell };
        let broken: Vec<_> = broken.into_iter().enumerate().map(bold).collect();
        let _ = writeln!(table, "| {title} | {buyers}, {stock} | {orders} | {} |", broken.join(" | "));
    }
    table
}

fn line(cells: &[String; HEADS.len()]) -> String {
    let [title, rest @ ..] = cells;
    let [buyers, stock, orders, oversell, undersell, conflicts, waits, deadlocks] = rest;
    format!(
        "{title:<32} {buyers:>6} {stock:>5} {orders:>16} {oversell:>8} {undersell:>9} {conflicts:>9} {waits:>6} {deadlocks:>9}"
    )
}

/// As the columns have them; also for the report.
pub(crate) fn cells(explored: &Explored) -> [String; HEADS.len()] {
    let count = |n: usize| thousands(n as i64);
    [
        explored.title(),
        count(explored.buyers),
        thousands(explored.stock),
        count(explored.orders_of_events),
        count(explored.oversell),
        count(explored.undersell),
        count(explored.conflicts),
        count(explored.blocked),
        count(explored.deadlocks),
    ]
}

/// The heads of the columns.
pub(crate) fn heads() -> [&'static str; HEADS.len()] {
    HEADS
}
