//! The tables of capacities: one for the rates, one for what an order costs. Several rounds show the median and the range.

use super::{
    table::{Cell, Mark, Row, Shows, Table, left, right},
    text::{percent, thousands},
};
use crate::{
    compare::Spread,
    record::capacity::{Capacity, Cost, Trial},
};

/// The share of the processors that other programs may take.
const MUCH: f64 = 0.25;

/// The rounds of one version.
pub(super) struct Rounds<'a>(pub(super) Vec<&'a Capacity>);

impl Rounds<'_> {
    /// Groups the capacities by version, in the order of the first round.
    pub(super) fn of(capacities: &[Capacity]) -> Vec<Rounds<'_>> {
        let mut all: Vec<Rounds> = Vec::new();
        for one in capacities {
            match all.iter_mut().find(|rounds| rounds.title() == one.title()) {
                Some(rounds) => rounds.0.push(one),
                None => all.push(Rounds(vec![one])),
            }
        }
        all
    }

    pub(super) fn title(&self) -> String {
        self.0[0].title()
    }

    /// Of a figure that not every round has; a dash if none has it.
    fn spread(&self, figure: impl Fn(&Capacity) -> Option<f64>) -> String {
        let values: Vec<f64> = self.0.iter().filter_map(|one| figure(one)).collect();
        Spread::of(&values).map_or("–".into(), |spread| spread.to_string())
    }

    fn cost(&self, figure: impl Fn(&Cost) -> Option<f64>) -> String {
        self.spread(|one| figure(one.cost.as_ref()?))
    }

    /// What gave way in the last round that knows it, the first thing first.
    fn gave_way(&self) -> Vec<String> {
        let known = self.0.iter().rev().find(|one| !one.gave_way.is_empty());
        known.iter().flat_map(|one| &one.gave_way).map(ToString::to_string).collect()
    }
}

/// The greatest rate of each version, and what gives way above it.
pub fn table(capacities: &[Capacity]) -> Table {
    let columns = [
        left("capacity", 30),
        right("buyers/s", 22),
        right("gives way at", 22),
        left("what gives way", 50),
        left("and", 0),
    ];
    let row = |rounds: &Rounds| {
        let is_whole = !rounds.0.iter().any(|one| one.was_ended);
        let served = rounds.spread(|one| Some(one.per_second.round()));
        let served = if is_whole { served } else { format!("{served}, ended early") };
        let failed = rounds.spread(|one| one.gives_way_at.map(f64::round));
        let gave_way = rounds.gave_way();
        let (first, others) = gave_way.split_first().map_or(("–", &[][..]), |(first, others)| (first, others));
        let cells = [rounds.title().into(), served.into(), failed.into(), first.into(), others.join("; ").into()];
        Row { notes: others.to_vec(), ..Row::new(cells) }
    };
    Table::new(columns, Rounds::of(capacities).iter().map(row))
}

/// Says how much of the machine other programs took, if that was much; `None` otherwise.
pub fn disturbance(capacities: &[Capacity]) -> Option<String> {
    let shares = capacities.iter().flat_map(|one| &one.trials).filter_map(|trial| trial.others);
    let most = shares.fold(0.0, f64::max).min(1.0);
    let says =
        || format!("Other programs took up to {} of the processors: these rates are too low.", percent(most, 1.0));
    (most > MUCH).then(says)
}

/// What an order costs at the greatest rate of each version.
pub fn costs(capacities: &[Capacity]) -> Table {
    let columns: [Shows<Rounds>; 7] = [
        (left("cost of an order", 30), |rounds| rounds.title().into()),
        (right("processor µs", 14), |rounds| rounds.cost(|cost| cost.processor_us).into()),
        (right("statements", 12), |rounds| rounds.cost(|cost| cost.statements).into()),
        (right("lock wait ms", 13), |rounds| rounds.cost(|cost| cost.lock_wait_ms).into()),
        (right("retries", 10), |rounds| rounds.cost(|cost| Some(cost.retries)).into()),
        (right("Redis commands", 15), |rounds| rounds.cost(|cost| cost.redis_commands).into()),
        (right("messages", 10), |rounds| rounds.cost(|cost| Some(cost.messages)).into()),
    ];
    let rounds = Rounds::of(capacities);
    Table::new(columns.map(|column| column.0), rounds.iter().map(|rounds| Row::of(&columns, rounds)))
}

/// The heads of the table of trials, or these trials of a version.
pub fn trials<'a>(title: &str, trials: impl IntoIterator<Item = &'a Trial>) -> Table {
    let columns =
        [left("trial", 30), right("offered/s", 12), right("orders/s", 12), right("p99 ms", 12), left("served", 40)];
    let row = |trial: &Trial| {
        let served = match trial.is_served() {
            true => Cell::from("yes").marked(Mark::Good),
            false => Cell::from(format!("no: {}", trial.why.join(", "))).marked(Mark::Bad),
        };
        let rate = |n: f64| Cell::from(thousands(n.round() as i64));
        let p99 = trial.p99_ms.map_or(Cell::from("–"), |p99| Cell::from(format!("{p99:.1}")));
        Row::new([title.into(), rate(trial.offered), rate(trial.useful), p99, served])
    };
    Table::new(columns, trials.into_iter().map(row))
}
