//! The table of faults.

use super::{
    table::{Cell, Mark, Row, Shows, Table, count, left, right, unwanted},
    text::thousands,
};
use crate::record::faults::{Round, Rounds, Verdict};

const COLUMNS: [Shows<Rounds>; 14] = [
    (left("fault", 28), |rounds| rounds.fault.into()),
    (left("verdict", 7), |rounds| Cell::from(rounds.verdict()).marked(mark(rounds.verdict()))),
    (right("rounds", 6), played),
    (right("struck at", 9), struck_at),
    (right("sold of stock", 18), sold_of_stock),
    (right("oversold", 8), |rounds| unwanted(rounds.sum(|audit| audit.oversold))),
    (right("lost", 4), |rounds| unwanted(rounds.sum(|audit| audit.lost_promises))),
    (right("leaked", 6), |rounds| unwanted(rounds.sum(|audit| audit.not_conserved + audit.unfinished))),
    (right("undersold", 9), |rounds| unwanted(rounds.sum(|audit| audit.undersold))),
    (right("money", 5), money),
    (right("late rejects", 12), |rounds| count(rounds.sum(|audit| audit.late_rejects))),
    (right("unknown", 7), |rounds| count(rounds.sum(|audit| audit.unknown))),
    (right("recovered ms", 15), |rounds| times(rounds, rounds.times(|strike| strike.confirmed_ms))),
    (right("once up ms", 15), |rounds| times(rounds, rounds.times(|strike| strike.confirmed_after_mended_ms))),
];

/// A row for each fault in the color of its verdict. In the terminal, the rounds that broke a promise are listed below it.
pub fn table<'a>(faults: impl IntoIterator<Item = &'a Rounds>) -> Table {
    let row = |rounds: &Rounds| {
        let broken = rounds.rounds.iter().filter(|round| round.verdict == Verdict::Broken);
        let notes = broken.map(|round| format!("seed {}: {}", round.seed, says(round))).collect();
        Row { mark: mark(rounds.verdict()), notes, ..Row::of(&COLUMNS, rounds) }
    };
    Table::new(COLUMNS.map(|(column, _)| column), faults.into_iter().map(row))
}

fn mark(verdict: Verdict) -> Mark {
    match verdict {
        Verdict::Clean => Mark::Good,
        Verdict::Broken => Mark::Bad,
        Verdict::Invalid => Mark::Invalid,
    }
}

/// What was wrong with a round, in words.
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
    if let Some(worse @ 1..) = round.worse_answers {
        says.push(format!("{} answers worse than 503 with Retry-After", thousands(worse as i64)));
    }
    if round.money.as_ref().is_some_and(|money| money.paid == 0) {
        says.push("no order was paid".into());
    }
    if round.is_struck() && strike.confirmed_ms.is_none() {
        says.push("no order confirmed within a minute".into());
    }
    let told: Vec<_> = round.outcomes.iter().map(|(kind, n)| format!("{} {kind}", thousands(*n as i64))).collect();
    format!("{}; told {}; `sold` says {}", says.join(", "), told.join(", "), thousands(audit.sold))
}

/// The meaning of the columns.
pub const LEGEND: &str = "\
rounds: valid ones, + invalid ones, which were repeated. struck at: the most units that were sold when the fault was in place; \
a round is invalid unless half of the stock was left.
leaked: units on which SQL, Redis and the queues disagree. undersold: units left although buyers wanted one. money: orders, cards \
and payment answers that disagree; in rounds with payments, a quarter of the buyers cancels and a quarter lets the order expire, so \
units come back. late rejects: told `queued`, then `failed`; allowed only where Redis loses data: redis-flushed, -emptied, -cut and \
-failback, leader-lost and -stopped. unknown: buyers whose instance died, or was silent, before it answered; they may have an \
order or not.
recovered: time from the strike until the first order is confirmed whose buyer asked when the fault was in place, median / worst. \
once up: the same, but from the repair.";

fn played(rounds: &Rounds) -> Cell {
    let struck = rounds.struck().count();
    match rounds.rounds.len() - struck {
        0 => struck.into(),
        invalid => format!("{struck} +{invalid}").into(),
    }
}

fn struck_at(rounds: &Rounds) -> Cell {
    let in_place = rounds.rounds.iter().filter(|round| round.strike.in_place_ms.is_some());
    range(in_place.map(|round| round.strike.sold as i64)).into()
}

fn sold_of_stock(rounds: &Rounds) -> Cell {
    let stock = rounds.rounds.first().map_or(0, |round| round.stock);
    format!("{} of {}", range(rounds.rounds.iter().map(|round| round.audit.orders)), thousands(stock)).into()
}

/// The number of money faults; `-` if the fault has no payments.
fn money(rounds: &Rounds) -> Cell {
    let money: Vec<_> = rounds.rounds.iter().filter_map(|round| round.money.as_ref()).collect();
    match money.as_slice() {
        [] => "-".into(),
        paid => unwanted(paid.iter().flat_map(|money| money.faults()).map(|(n, _)| n).sum()),
    }
}

/// The median and the worst time; `-` without a valid round.
fn times(rounds: &Rounds, times: [Option<f64>; 2]) -> Cell {
    let ms = |ms: Option<f64>| ms.map_or("never".into(), |ms| thousands(ms.round() as i64));
    if rounds.struck().count() == 0 { "-".into() } else { times.map(ms).join(" / ").into() }
}

/// The smallest and the largest number: `3`, `3..5`, or `-` if there are none.
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
    use crate::{fault::Fault, record::faults::Strike, verdict::audit::Audit};

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
            worse_answers: None,
            outcomes: BTreeMap::new(),
        };
        let rounds = Rounds { fault: Fault::RedisCut.into(), rounds: vec![round; 4] };
        let table = table([&rounds]).markdown();
        let row = table.lines().nth(2).unwrap().replace('*', "");
        assert_eq!(row, "| redis-cut | invalid | 0 +4 | - | 1,000 of 1,000 | 0 | 0 | 0 | 0 | - | 0 | 0 | - | - |");
    }
}
