use std::fmt::Write;

use anstream::println;
use anstyle::{AnsiColor, Style};

use super::figures::{Faults, Rounds};
use crate::text::thousands;

const HEADS: [&str; 9] =
    ["fault", "rounds", "sold of stock", "oversold", "lost", "leaked", "late rejects", "unknown", "recovered ms"];

/// Prints the heads of the columns.
pub fn head() {
    let bold = Style::new().bold();
    println!("{bold}{}{bold:#}", line(&HEADS.map(str::to_owned)));
}

/// Prints a fault: green if every round is clean, else red, and below it what is wrong.
pub fn row(rounds: &Rounds) {
    let style = AnsiColor::on_default(if rounds.are_clean() { AnsiColor::Green } else { AnsiColor::Red });
    println!("{style}{}{style:#}", line(&cells(rounds)));
    let dim = Style::new().dimmed();
    for (n, round) in rounds.rounds.iter().enumerate().filter(|(_, round)| !round.is_clean()) {
        let told: Vec<_> = round.outcomes.iter().map(|(kind, n)| format!("{} {kind}", thousands(*n as i64))).collect();
        let audit = &round.audit;
        println!(
            "{dim}  round {}: told {}; `sold` says {}, {} not conserved, {} unfinished, {} double-bought, {} phantom orders{dim:#}",
            n + 1,
            told.join(", "),
            thousands(audit.sold),
            thousands(audit.not_conserved),
            thousands(audit.unfinished),
            thousands(audit.double_bought),
            thousands(audit.phantom_orders),
        );
    }
}

/// What the columns mean.
pub fn legend() {
    println!(
        "leaked: units that SQL, Redis and the queues do not agree about. recovered: from the strike until a buyer is served \
         again, median / worst."
    );
}

/// The same table for a README.
pub fn markdown(faults: &Faults) -> String {
    let mut table = format!("| {} |\n|---|{}\n", HEADS.join(" | "), "--:|".repeat(HEADS.len() - 1));
    for rounds in &faults.faults {
        let bold = |cell: String| if rounds.are_clean() { cell } else { format!("**{cell}**") };
        let _ = writeln!(table, "| {} |", cells(rounds).map(bold).join(" | "));
    }
    table
}

fn line(cells: &[String; HEADS.len()]) -> String {
    let [fault, rounds, sold, oversold, lost, leaked, late, unknown, recovered] = cells;
    format!(
        "{fault:<18} {rounds:>6} {sold:>22} {oversold:>8} {lost:>6} {leaked:>6} {late:>12} {unknown:>8} {recovered:>16}"
    )
}

fn cells(rounds: &Rounds) -> [String; HEADS.len()] {
    let sold = || rounds.rounds.iter().map(|round| round.audit.orders);
    let (least, most) = (sold().min().unwrap_or_default(), sold().max().unwrap_or_default());
    let sold = if least == most { thousands(most) } else { format!("{}..{}", thousands(least), thousands(most)) };
    let stock = rounds.rounds.first().map_or(0, |round| round.stock);
    let ms = |ms: Option<f64>| ms.map_or("never".into(), |ms| thousands(ms.round() as i64));
    [
        rounds.fault.clone(),
        rounds.rounds.len().to_string(),
        format!("{sold} of {}", thousands(stock)),
        thousands(rounds.sum(|audit| audit.oversold)),
        thousands(rounds.sum(|audit| audit.lost_promises)),
        thousands(rounds.sum(|audit| audit.not_conserved + audit.unfinished)),
        thousands(rounds.sum(|audit| audit.late_rejects)),
        thousands(rounds.sum(|audit| audit.unknown)),
        rounds.recovered_ms().map(ms).join(" / "),
    ]
}
