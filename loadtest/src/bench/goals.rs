//! The goals of chapter 6's speed, and the figures that they are about. Ratios hold on other machines, too; times do not.

use std::fmt;

use super::CONNECTIONS;
use crate::{
    compare::Spread,
    record::bench::{Many, Sample, Samples, Subject},
    render::text::significant,
    version::Version,
};

/// The no-op must reach this share of a bare hyper server's rate. A slow no-op would flatter the shop.
const LEAST_NO_OP: f64 = 0.9;

/// A figure of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// A subject's rate as a ratio to another one's, in the same round.
    Ratio(Subject, Subject),
    /// The p99 of selling while 200,000 units are held, in milliseconds.
    HeldP99,
    /// The median from the reservation to the row at half of the rate, in milliseconds.
    ToConfirmed,
    /// Processor time of an order in all servers and the generator, in microseconds.
    Processor,
    /// The cost of an order with 1,000,000 held, as a ratio to the cost with 10,000. Only `--growth` measures it.
    Growth,
    /// Bytes of Redis for a reservation.
    ReservationBytes,
}

/// A row of the table: a figure with its goal.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// The figure.
    pub figure: Figure,
    /// The connections with which it is measured.
    pub connections: usize,
    /// What has to be reached, and what should be; `None` if the figure is only shown.
    pub bar_and_aim: Option<(f64, f64)>,
}

const CONFIRMED: Subject = Subject::Orders(Version::V6);
const V2: Subject = Subject::Orders(Version::V2);

/// All goals. A bar has to be reached, an aim should be.
#[rustfmt::skip]
pub const GOALS: [Goal; 18] = [
    goal(Figure::Ratio(Subject::Refuse, Subject::NoOp), 64, 0.88, 0.95),
    goal(Figure::Ratio(Subject::Refuse, Subject::NoOp), 256, 0.88, 0.95),
    goal(Figure::Ratio(Subject::Path, Subject::NoOp), 64, 0.80, 0.90),
    goal(Figure::Ratio(Subject::Path, Subject::NoOp), 256, 0.80, 0.90),
    goal(Figure::Ratio(Subject::Sell, Subject::NoOp), 64, 0.22, 0.35),
    goal(Figure::Ratio(Subject::Sell, Subject::NoOp), 256, 0.26, 0.35),
    goal(Figure::Ratio(CONFIRMED, V2), 64, 13.0, 20.0),
    goal(Figure::Ratio(CONFIRMED, V2), 256, 16.0, 20.0),
    goal(Figure::HeldP99, 64, 20.0, 10.0),
    goal(Figure::ToConfirmed, 256, 25.0, 15.0),
    goal(Figure::Processor, 64, 80.0, 55.0),
    goal(Figure::Processor, 256, 80.0, 55.0),
    goal(Figure::Growth, 64, 1.15, 1.05),
    goal(Figure::ReservationBytes, 64, 80.0, 64.0),
    shown(Figure::Ratio(Subject::EdgeCache, Subject::Refuse), 256),
    shown(Figure::Ratio(Subject::ReserveInBatches, Subject::ReserveSingly), 16),
    shown(Figure::Ratio(Subject::NoOp, Subject::Wrk), 64),
    shown(Figure::Ratio(Subject::NoOp, Subject::Wrk), 256),
];

const fn goal(figure: Figure, connections: usize, bar: f64, aim: f64) -> Goal {
    Goal { figure, connections, bar_and_aim: Some((bar, aim)) }
}

const fn shown(figure: Figure, connections: usize) -> Goal {
    Goal { figure, connections, bar_and_aim: None }
}

/// Whether a goal is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The aim, and so the bar.
    Aim,
    /// The bar.
    Bar,
    /// Not the bar.
    No,
    /// It was not measured, the run is invalid, or there is no goal.
    Unknown,
}

impl Figure {
    /// Its value in each round that has it.
    pub fn values(self, samples: &Samples, connections: usize) -> Vec<f64> {
        let all =
            |subject, value: fn(&Sample) -> Option<f64>| samples.of(subject, connections).filter_map(value).collect();
        match self {
            Figure::Ratio(subject, to) => samples.ratios((subject, connections), (to, connections)),
            Figure::HeldP99 => all(Subject::Held, |one| Some(one.latency_ms?.p99)),
            Figure::ToConfirmed => all(Subject::Paced, |one| Some(one.to_confirmed_ms?.p50)),
            Figure::Processor => all(Subject::Sell, |one| Some(one.cost.as_ref()?.total_us())),
            Figure::Growth => {
                let costs = |held| {
                    let samples = samples.of(Subject::Among(held, Many::Held), connections);
                    samples.filter_map(|one| Some(one.cost.as_ref()?.total_us()))
                };
                costs(1_000_000).zip(costs(10_000)).map(|(many, few)| many / few).collect()
            }
            Figure::ReservationBytes => all(Subject::Held, |one| one.reservation_bytes),
        }
    }

    fn is_better_if_less(self) -> bool {
        !matches!(self, Figure::Ratio(..))
    }
}

impl Goal {
    /// Whether the median of the rounds reaches it.
    pub fn reached(&self, samples: &Samples) -> Reached {
        let value = Spread::of(&self.figure.values(samples, self.connections)).map(|spread| spread.median);
        let (Some(value), Some((bar, aim)), None) = (value, self.bar_and_aim, invalid(samples)) else {
            return Reached::Unknown;
        };
        let reaches = |goal: f64| if self.figure.is_better_if_less() { value <= goal } else { value >= goal };
        match (reaches(aim), reaches(bar)) {
            (true, _) => Reached::Aim,
            (false, true) => Reached::Bar,
            (false, false) => Reached::No,
        }
    }
}

/// Why the run says nothing; `None` if it is valid. A slow no-op would flatter the shop. The median is of all rounds on all numbers
/// of connections.
pub fn invalid(samples: &Samples) -> Option<String> {
    let of = |connections| samples.ratios((Subject::NoOp, connections), (Subject::BareHyper, connections));
    if let Some(connections) = CONNECTIONS.into_iter().find(|&connections| of(connections).is_empty()) {
        return Some(format!("the no-op was not compared with bare hyper on {connections} connections"));
    }
    let ratio = Spread::of(&CONNECTIONS.map(of).concat())?.median;
    let reached = significant(ratio);
    (ratio < LEAST_NO_OP).then(|| format!("the no-op reaches {reached} of bare hyper's rate, and needs {LEAST_NO_OP}"))
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let words = match self {
            Figure::Ratio(Subject::NoOp, Subject::Wrk) => "generator ÷ wrk".into(),
            Figure::Ratio(subject, to) => format!("{subject} ÷ {to}"),
            Figure::HeldP99 => "sell p99 with 200,000 held, ms".into(),
            Figure::ToConfirmed => "reserved to confirmed, median at half rate, ms".into(),
            Figure::Processor => "processor per order, µs".into(),
            Figure::Growth => "cost per order, 1,000,000 held ÷ 10,000".into(),
            Figure::ReservationBytes => "Redis bytes per reservation".into(),
        };
        f.pad(&words)
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Reached::Aim => "reached, and the aim",
            Reached::Bar => "reached",
            Reached::No => "not reached",
            Reached::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of one round on 64 and 256 connections: bare hyper, the no-op, and refusals.
    fn samples(no_op: f64, refuse: f64) -> Samples {
        let each = |connections| {
            [(Subject::BareHyper, 100.0), (Subject::NoOp, no_op), (Subject::Refuse, refuse)]
                .map(|(subject, rate)| Sample::new(1, subject, connections, rate))
        };
        Samples { bench: CONNECTIONS.into_iter().flat_map(each).collect(), ..Samples::default() }
    }

    #[test]
    fn a_goal_is_reached_at_its_bar_and_at_its_aim() {
        let refuse = |rate| GOALS[0].reached(&samples(100.0, rate));
        assert_eq!([87.9, 88.0, 94.9, 95.0].map(refuse), [Reached::No, Reached::Bar, Reached::Bar, Reached::Aim]);
        let mut samples = samples(100.0, 90.0);
        let processor = GOALS.iter().find(|goal| goal.figure == Figure::Processor).unwrap();
        assert_eq!(processor.reached(&samples), Reached::Unknown);
        let cost = |us| crate::record::bench::Cost {
            processor_us: [(crate::record::Consumer::Shop, us)].into(),
            ..Default::default()
        };
        for (us, expected) in [(80.1, Reached::No), (80.0, Reached::Bar), (55.0, Reached::Aim)] {
            samples.bench.retain(|one| one.subject != Subject::Sell);
            samples.bench.push(Sample { cost: Some(cost(us)), ..Sample::new(1, Subject::Sell, 64, 10.0) });
            assert_eq!(processor.reached(&samples), expected, "{us}");
        }
    }

    #[test]
    fn growth_is_a_ratio_of_costs_of_the_same_load() {
        let mut samples = samples(100.0, 100.0);
        for (round, held, us) in [(1, 10_000, 50.0), (2, 10_000, 40.0), (1, 1_000_000, 55.0), (2, 1_000_000, 48.0)] {
            let processor_us = [(crate::record::Consumer::Shop, us)].into();
            let cost = Some(crate::record::bench::Cost { processor_us, ..Default::default() });
            samples.bench.push(Sample { cost, ..Sample::new(round, Subject::Among(held, Many::Held), 64, 1.0) });
        }
        assert_eq!(Figure::Growth.values(&samples, 64), [1.1, 1.2]);
        let growth = GOALS.iter().find(|goal| goal.figure == Figure::Growth).unwrap();
        assert_eq!(growth.reached(&samples), Reached::Bar);
    }

    #[test]
    fn a_wrong_sample_reaches_nothing() {
        let mut samples = samples(100.0, 100.0);
        assert_eq!(GOALS[0].reached(&samples), Reached::Aim);
        samples.bench.iter_mut().for_each(|one| one.wrong = (one.subject == Subject::Refuse).then(|| "mixed".into()));
        assert_eq!(GOALS[0].reached(&samples), Reached::Unknown);
    }

    #[test]
    fn a_slow_no_op_makes_the_run_invalid_and_every_goal_unknown() {
        assert_eq!(invalid(&samples(90.0, 90.0)), None);
        let slow = samples(89.9, 89.9);
        assert!(invalid(&slow).unwrap().contains("0.8990 of bare hyper's rate"));
        assert!(GOALS.iter().all(|goal| goal.reached(&slow) == Reached::Unknown));
        let mut half = samples(100.0, 90.0);
        half.bench.retain(|one| one.connections == 64 || one.subject != Subject::BareHyper);
        assert!(invalid(&half).unwrap().contains("was not compared with bare hyper on 256"));
        assert!(invalid(&Samples::default()).is_some());
    }

    /// A stall of one round must not decide: ratios are of the same round, and the median counts.
    #[test]
    fn a_ratio_is_of_two_rates_of_the_same_round() {
        let mut samples = Samples::default();
        for (round, no_op, refuse) in [(1, 100.0, 80.0), (2, 50.0, 45.0), (3, 100.0, 10.0)] {
            samples.bench.push(Sample::new(round, Subject::NoOp, 64, no_op));
            samples.bench.push(Sample::new(round, Subject::Refuse, 64, refuse));
        }
        samples.bench.push(Sample::new(4, Subject::Refuse, 64, 1000.0)); // without a no-op of its round
        let values = GOALS[0].figure.values(&samples, 64);
        assert_eq!((values.clone(), Spread::of(&values).unwrap().median), (vec![0.8, 0.9, 0.1], 0.8));
    }
}
