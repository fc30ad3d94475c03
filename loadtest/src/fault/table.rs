use std::fmt::Write;

use anstream::println;
use anstyle::{AnsiColor, Style};

use crate::{
    record::faults::{Faults, Round, Rounds, Verdict},
    text::thousands,
    verdict::money::Money,
};

const HEADS: [&str; 14] = [
    "fault",
    "verdict",
    "rounds",
    "struck at",
    "sold of stock",
    "oversold",
    "lost",
    "leaked",
    "undersold",
    "money",
    "late rejects",
    "unknown",
    "recovered ms",
    "once up ms",
];

/// Prints the heads of the columns.
pub fn head() {
    let bold = Style::new().bold();
    println!("{bold}{}{bold:#}", line(&HEADS.map(str::to_owned)));
}

/// Prints a fault in the colour of its verdict, and below it the rounds that broke a promise.
pub fn row(rounds: &Rounds) {
    let style = AnsiColor::on_default(match rounds.verdict() {
        Verdict::Clean => AnsiColor::Green,
        Verdict::Broken => AnsiColor::Red,
        Verdict::Invalid => AnsiColor::Yellow,
    });
    println!("{style}{}{style:#}", line(&cells(rounds)));
    let dim = Style::new().dimmed();
    for round in rounds.rounds.iter().filter(|round| round.verdict == Verdict::Broken) {
        println!("{dim}  seed {}: {}{dim:#}", round.seed, says(round));
    }
}

/// What was wrong with a round.
fn says(round: &Round) -> String {
    let (audit, strike) = (&round.audit, &round.strike);
    let wrong = [
        (audit.oversold, "oversold"),
        (audit.undersold, "undersold"),
        (audit.lost_promises, "promises lost"),
        (audit.double_bought, "double-bought"),
        (audit.phantom_orders, "phantom orders"),
        (audit.not_conserved, "not conserved"),
        (audit.unfinished, "unfinished"),
        (audit.late_rejects, "late rejects"),
    ];
    let money = round.money.iter().flat_map(|money| money.faults());
    let mut says: Vec<_> = wrong
        .into_iter()
        .chain(money)
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{} {what}", thousands(n)))
        .collect();
    if round.is_struck() && strike.confirmed_ms.is_none() {
        says.push("no order confirmed within a minute".into());
    }
    let told: Vec<_> = round.outcomes.iter().map(|(kind, n)| format!("{} {kind}", thousands(*n as i64))).collect();
    format!("{}; told {}; `sold` says {}", says.join(", "), told.join(", "), thousands(audit.sold))
}

/// What the columns mean.
pub fn legend() {
    println!(
        "rounds: struck in time, + invalid ones, which were played again. struck at: units sold at most when the fault was in place; \
         a round is invalid unless half of the stock was left.\n\
         leaked: units that SQL, Redis and the queues do not agree about. undersold: units left though buyers wanted one. money: orders, \
         cards and answers of payments that do not agree; where buyers pay, a quarter cancels and a quarter lets its order expire, so units \
         come back. late rejects: told `queued`, then `failed`; only where Redis loses data may there be any: redis-flushed, -emptied, -cut and -failback, \
         leader-lost and -stopped.\n\
         recovered: from the strike until an order is confirmed whose buyer asked after it, median / worst. once up: the same from when \
         what broke was up again."
    );
}

/// The same table for a README.
pub fn markdown(faults: &Faults) -> String {
    let mut table = format!("| {} |\n|---|---|{}\n", HEADS.join(" | "), "--:|".repeat(HEADS.len() - 2));
    for rounds in &faults.faults {
        let bold = |cell: String| match rounds.verdict() {
            Verdict::Clean => cell,
            Verdict::Broken | Verdict::Invalid => format!("**{cell}**"),
        };
        let _ = writeln!(table, "| {} |", cells(rounds).map(bold).join(" | "));
    }
    table
}

fn line(cells: &[String; HEADS.len()]) -> String {
    let [fault, verdict, rounds, struck, sold, oversold, lost, leaked, undersold, money, late, unknown, recovered, up] =
        cells;
    format!(
        "{fault:<28} {verdict:<7} {rounds:>6} {struck:>9} {sold:>18} {oversold:>8} {lost:>4} {leaked:>6} {undersold:>9} {money:>5} \
         {late:>12} {unknown:>7} {recovered:>15} {up:>15}"
    )
}

fn cells(rounds: &Rounds) -> [String; HEADS.len()] {
    let struck = rounds.struck().count();
    let invalid = rounds.rounds.len() - struck;
    let played = if invalid == 0 { struck.to_string() } else { format!("{struck} +{invalid}") };
    let in_place = rounds.rounds.iter().filter(|round| round.strike.in_place_ms.is_some());
    let stock = rounds.rounds.first().map_or(0, |round| round.stock);
    let sold = range(rounds.rounds.iter().map(|round| round.audit.orders));
    let ms = |ms: Option<f64>| ms.map_or("never".into(), |ms| thousands(ms.round() as i64));
    let times = |times: [Option<f64>; 2]| if struck == 0 { "-".into() } else { times.map(ms).join(" / ") };
    [
        rounds.fault.to_string(),
        rounds.verdict().to_string(),
        played,
        range(in_place.map(|round| round.strike.sold as i64)),
        format!("{sold} of {}", thousands(stock)),
        thousands(rounds.sum(|audit| audit.oversold)),
        thousands(rounds.sum(|audit| audit.lost_promises)),
        thousands(rounds.sum(|audit| audit.not_conserved + audit.unfinished)),
        thousands(rounds.sum(|audit| audit.undersold)),
        match rounds.rounds.iter().any(|round| round.money.is_some()) {
            true => {
                let wrong = rounds.rounds.iter().flat_map(|round| &round.money).flat_map(Money::faults);
                thousands(wrong.map(|(n, _)| n).sum())
            }
            false => "-".into(),
        },
        thousands(rounds.sum(|audit| audit.late_rejects)),
        thousands(rounds.sum(|audit| audit.unknown)),
        times(rounds.times(|strike| strike.confirmed_ms)),
        times(rounds.times(|strike| strike.confirmed_after_mended_ms)),
    ]
}

/// `3`, `3..5`, or `-` if there are none.
fn range(numbers: impl Iterator<Item = i64>) -> String {
    let numbers: Vec<_> = numbers.collect();
    match (numbers.iter().min(), numbers.iter().max()) {
        (Some(least), Some(most)) if least == most => thousands(*most),
        (Some(least), Some(most)) => format!("{}..{}", thousands(*least), thousands(*most)),
        _ => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        fault::Fault,
        record::faults::{Grid, Strike},
        verdict::audit::Audit,
    };

    #[test]
    fn an_invalid_fault_is_shown_as_one_and_has_no_times() {
        let round = Round {
            stock: 1000,
            buyers: 4000,
            instances: 2,
            seed: 1,
            verdict: Verdict::Invalid,
            strike: Strike::default(),
            audit: Audit { orders: 1000, ..Audit::default() },
            money: None,
            outcomes: BTreeMap::new(),
        };
        let rounds = Rounds { fault: Fault::RedisCut, rounds: vec![round; 4] };
        let table = markdown(&Faults::new(Grid { seed: 1, faults: vec![rounds] }));
        let row = table.lines().nth(2).unwrap().replace("**", "");
        assert_eq!(row, "| redis-cut | invalid | 0 +4 | - | 1,000 of 1,000 | 0 | 0 | 0 | 0 | - | 0 | 0 | - | - |");
    }
}
