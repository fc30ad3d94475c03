//! The tables of the benchmark: rates, costs, and the goals.

use super::{
    table::{Cell, Mark, Row, Table, left, right},
    text::{significant, thousands},
};
use crate::{
    bench::goals::{GOALS, Goal, Reached, invalid},
    compare::Spread,
    record::{
        Consumer,
        bench::{Cost, Sample, Samples, Subject},
    },
    verdict::latency::Latency,
};

/// The consumers of processor time, each with a column.
const CONSUMERS: [Consumer; 5] =
    [Consumer::Shop, Consumer::Redis, Consumer::Postgres, Consumer::RabbitMq, Consumer::Generator];

/// One sample, as a line of progress.
pub fn line(sample: &Sample) -> String {
    let Sample { round, subject, connections, per_second, latency_ms, wrong, .. } = sample;
    let latency = latency_ms.map_or(String::new(), |latency| format!(", p99 {} ms", significant(latency.p99)));
    let wrong = wrong.as_ref().map_or(String::new(), |why| format!("; wrong: {why}"));
    let rate = thousands(per_second.round() as i64);
    format!("{round}  {subject:26} {connections:>4} connections {rate:>9}/s{latency}{wrong}")
}

/// Why samples, or the whole run, do not count.
pub fn notes(samples: &Samples) -> Vec<String> {
    let wrong = samples.bench.iter().filter_map(|one| Some((one, one.wrong.as_ref()?)));
    let wrong = wrong.map(|(one, why)| format!("wrong: {} on {} connections: {why}", one.subject, one.connections));
    wrong.chain(invalid(samples).map(|why| format!("invalid: {why}. Run it again."))).collect()
}

/// Rates, costs, growth if it was measured, and the goals, each with the median and the range of all rounds.
pub fn tables(samples: &Samples) -> Vec<Table> {
    let (among, others): (Vec<_>, Vec<_>) =
        samples.subjects().into_iter().partition(|(subject, _)| matches!(subject, Subject::Among(..)));
    let growth = (!among.is_empty()).then(|| growth(samples, &among));
    [rates(samples, &others), costs(samples, &others)].into_iter().chain(growth).chain([goals(samples)]).collect()
}

fn rates(samples: &Samples, subjects: &[(Subject, usize)]) -> Table {
    let columns = [
        left("rate", 26),
        right("connections", 11),
        right("per second", 28),
        right("÷ no-op", 28),
        right("p50 ms", 10),
        right("p99 ms", 10),
        right("p99.9 ms", 10),
    ];
    let rows = subjects.iter().map(|&(subject, connections)| {
        let all: Vec<&Sample> = samples.of(subject, connections).collect();
        let rates: Vec<f64> = all.iter().map(|one| one.per_second.round()).collect();
        let ratios = samples.to_no_op(subject, connections);
        let latency = |of: fn(&Latency) -> f64| {
            let values: Vec<f64> = all.iter().filter_map(|one| one.latency_ms.as_ref()).map(of).collect();
            Spread::of(&values).map_or("–".into(), |spread| significant(spread.median))
        };
        let cells = [
            subject.to_string(),
            connections.to_string(),
            spread(&rates),
            spread(&ratios),
            latency(|one| one.p50),
            latency(|one| one.p99),
            latency(|one| one.p999),
        ];
        let mark = if all.is_empty() { Mark::Bad } else { Mark::None };
        Row { mark, ..Row::new(cells.map(Cell::from)) }
    });
    Table::new(columns, rows)
}

fn costs(samples: &Samples, subjects: &[(Subject, usize)]) -> Table {
    let columns = [
        left("cost of an answer or order", 26),
        right("connections", 11),
        right("shop µs", 8),
        right("Redis µs", 8),
        right("PostgreSQL µs", 13),
        right("RabbitMQ µs", 11),
        right("generator µs", 12),
        right("all µs", 8),
        right("Redis commands", 14),
        right("Redis bytes", 11),
        right("statements", 10),
        right("messages", 10),
    ];
    let rows = subjects.iter().filter_map(|&(subject, connections)| {
        let all: Vec<&Cost> = samples.of(subject, connections).filter_map(|one| one.cost.as_ref()).collect();
        let median = |of: &dyn Fn(&Cost) -> Option<f64>| {
            let values: Vec<f64> = all.iter().filter_map(|cost| of(cost)).collect();
            Spread::of(&values).map_or("–".to_owned(), |spread| significant(spread.median))
        };
        let us = CONSUMERS.map(|who| median(&|cost| cost.processor_us.get(&who).copied()));
        let [total, commands, bytes, statements, messages] = [
            median(&|cost| Some(cost.total_us())),
            median(&|cost| cost.redis_commands),
            median(&|cost| cost.redis_bytes),
            median(&|cost| cost.statements),
            median(&|cost| cost.messages),
        ];
        let cells = [subject.to_string(), connections.to_string()].into_iter().chain(us);
        let cells = cells.chain([total, commands, bytes, statements, messages]);
        (!all.is_empty()).then(|| Row::new(cells.map(Cell::from)))
    });
    Table::new(columns, rows)
}

/// What an order costs while there are many units held, connections, sales or old orders. The ratio is to the first row of the same
/// kind.
fn growth(samples: &Samples, subjects: &[(Subject, usize)]) -> Table {
    let columns = [
        left("there are", 26),
        right("connections", 11),
        right("per second", 28),
        right("all µs", 28),
        right("÷ first", 8),
        right("p50 ms", 10),
        right("p99 ms", 28),
        right("shop's bytes per connection", 27),
    ];
    let cost_of = |subject, connections| {
        let costs: Vec<f64> =
            samples.of(subject, connections).filter_map(|one| Some(one.cost.as_ref()?.total_us())).collect();
        Spread::of(&costs)
    };
    let first_of = |kind| {
        let first = subjects.iter().find(|(subject, _)| matches!(subject, Subject::Among(_, many) if *many == kind));
        first.and_then(|&(subject, connections)| cost_of(subject, connections))
    };
    let rows = subjects.iter().map(|&(subject, connections)| {
        let Subject::Among(n, many) = subject else { return Row::new([subject.to_string()].map(Cell::from)) };
        let all: Vec<&Sample> = samples.of(subject, connections).collect();
        let values = |of: &dyn Fn(&Sample) -> Option<f64>| all.iter().filter_map(|one| of(one)).collect::<Vec<f64>>();
        let cost = cost_of(subject, connections);
        let ratio = cost.as_ref().zip(first_of(many)).map(|(cost, first)| cost.median / first.median);
        let cells = [
            format!("{many}: {}", thousands(n as i64)),
            connections.to_string(),
            spread(&values(&|one| Some(one.per_second.round()))),
            cost.map_or("–".into(), |cost| cost.to_string()),
            ratio.map_or("–".into(), significant),
            spread(&values(&|one| Some(one.latency_ms?.p50))),
            spread(&values(&|one| Some(one.latency_ms?.p99))),
            Spread::of(&values(&|one| one.connection_bytes))
                .map_or("–".into(), |spread| thousands(spread.median as i64)),
        ];
        let mark = if all.is_empty() { Mark::Bad } else { Mark::None };
        Row { mark, ..Row::new(cells.map(Cell::from)) }
    });
    Table::new(columns, rows)
}

/// The figures with a goal, and whether each is reached.
fn goals(samples: &Samples) -> Table {
    let columns = [
        left("figure", 48),
        right("connections", 11),
        right("measured", 28),
        right("bar", 6),
        right("aim", 6),
        left("goal", 20),
    ];
    let row = |goal: &Goal| {
        let (reached, values) = (goal.reached(samples), goal.figure.values(samples, goal.connections));
        let mark = match reached {
            Reached::Aim | Reached::Bar => Mark::Good,
            Reached::No => Mark::Bad,
            Reached::Unknown if goal.bar_and_aim.is_some() => Mark::Invalid,
            Reached::Unknown => Mark::None,
        };
        let [bar, aim, reached] = match goal.bar_and_aim {
            Some((bar, aim)) => [bar.to_string(), aim.to_string(), reached.to_string()],
            None => ["–", "–", "–"].map(str::to_owned),
        };
        let cells = [goal.figure.to_string(), goal.connections.to_string(), spread(&values), bar, aim].map(Cell::from);
        Row::new(cells.into_iter().chain([Cell::from(reached).marked(mark)]))
    };
    Table::new(columns, GOALS.iter().map(row))
}

fn spread(values: &[f64]) -> String {
    Spread::of(values).map_or("–".into(), |spread| spread.to_string())
}
