//! The samples of the benchmark.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    file::{Figures, File, Kind},
    usage::Consumer,
};
use crate::{render::text::thousands, verdict::latency::Latency, version::Version};

/// A file of samples.
pub type Bench = File<Samples>;

/// The samples of all rounds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Samples {
    /// The seed of the first round.
    pub seed: u64,
    /// Whether the rounds were few and short.
    pub quick: bool,
    /// The samples, in the order in which they were taken.
    pub bench: Vec<Sample>,
}

impl Figures for Samples {
    const KIND: Kind = Kind::Bench;
}

/// What a sample measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A hyper server without axum.
    BareHyper,
    /// An axum handler that does nothing, driven by this program's load generator.
    NoOp,
    /// The same handler, driven by `wrk`.
    Wrk,
    /// Chapter 6 refuses purchases of a sold-out sale.
    Refuse,
    /// Chapter 6 refuses purchase URLs of a sold-out sale.
    Path,
    /// Chapter 6 reserves a unit for each buyer.
    Sell,
    /// Orders in the database. Chapter 6's are those of [`Subject::Sell`].
    Orders(Version),
    /// Chapter 6 sells at half of the rate that it confirmed in the same round, in an open loop.
    Paced,
    /// Chapter 6 sells while many reservations are held.
    Held,
    /// Chapter 6 sells while there are this many of something.
    Among(usize, Many),
    /// Orders in the database, with this durability.
    Durable(Version, Durability),
    /// nginx answers from its cache.
    EdgeCache,
    /// `reserve.lua`, one attempt per call.
    ReserveSingly,
    /// `reserve.lua`, 32 attempts per call.
    ReserveInBatches,
}

/// What there may be many of while chapter 6 sells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Many {
    /// Units of the sale that are held.
    Held,
    /// Connections of buyers, each with one request at a time.
    Connections,
    /// Sales at a time.
    Sales,
    /// Orders of an earlier sale.
    OldOrders,
}

/// When the servers write an order to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Redis once a second, PostgreSQL before each commit is answered.
    AsInTheShop,
    /// Redis before each answer.
    RedisAlways,
    /// Redis when the operating system does.
    RedisNever,
    /// PostgreSQL a fraction of a second after a commit.
    CommitWithoutWaiting,
    /// PostgreSQL when the operating system does.
    PostgresNever,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The round, from 1.
    pub round: u32,
    /// What was measured.
    pub subject: Subject,
    /// Connections; for `reserve.lua`, calls under way.
    pub connections: usize,
    /// Answers per second of the kind that the subject names. For orders: rows for which a unit was taken.
    pub per_second: f64,
    /// The latency of these answers; `None` if it was not measured.
    pub latency_ms: Option<Latency>,
    /// From the reservation to the row; `None` without reservations.
    pub to_confirmed_ms: Option<Latency>,
    /// What one answer or order cost; `None` if it was not measured.
    pub cost: Option<Cost>,
    /// Bytes of Redis that one reservation took, before the load; `None` if it was not measured.
    pub reservation_bytes: Option<f64>,
    /// Bytes of the shop's memory that one open connection took; `None` if it was not measured.
    pub connection_bytes: Option<f64>,
    /// Why this is no sample of its subject, for example a sale that sold nothing; `None` if it is one.
    pub wrong: Option<String>,
}

/// What one answer or order cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Processor time by consumer, in microseconds. Other programs are left out.
    pub processor_us: BTreeMap<Consumer, f64>,
    /// SQL statements; `None` without PostgreSQL.
    pub statements: Option<f64>,
    /// Commands that Redis executed, those in scripts included; `None` without Redis.
    pub redis_commands: Option<f64>,
    /// Bytes to and from Redis; `None` without Redis.
    pub redis_bytes: Option<f64>,
    /// RabbitMQ messages; `None` without RabbitMQ.
    pub messages: Option<f64>,
}

impl Samples {
    /// The valid samples of this subject, in the order of the rounds.
    pub fn of(&self, subject: Subject, connections: usize) -> impl Iterator<Item = &Sample> {
        let is_one = move |one: &&Sample| one.subject == subject && one.connections == connections;
        self.bench.iter().filter(is_one).filter(|one| one.wrong.is_none())
    }

    /// The rate of `subject` as a ratio to the rate of `to`, in each round that has both.
    pub fn ratios(&self, subject: (Subject, usize), to: (Subject, usize)) -> Vec<f64> {
        let rate_of = |(subject, connections), round| {
            let rate = self.of(subject, connections).find(|one| one.round == round)?.per_second;
            Some(rate).filter(|rate| *rate > 0.0)
        };
        let samples = self.of(subject.0, subject.1);
        samples.filter_map(|one| Some(one.per_second / rate_of(to, one.round)?)).collect()
    }

    /// The rate as a ratio to the no-op, in each round; empty for an open loop and for a load after the rounds, which have no no-op to
    /// compare with.
    pub fn to_no_op(&self, subject: Subject, connections: usize) -> Vec<f64> {
        match matches!(subject, Subject::Paced | Subject::Held | Subject::Among(..) | Subject::Durable(..)) {
            true => Vec::new(),
            false => self.ratios((subject, connections), (Subject::NoOp, connections)),
        }
    }

    /// The subjects with their numbers of connections, in the order in which they were measured first.
    pub fn subjects(&self) -> Vec<(Subject, usize)> {
        let mut subjects = Vec::new();
        for one in &self.bench {
            if !subjects.contains(&(one.subject, one.connections)) {
                subjects.push((one.subject, one.connections));
            }
        }
        subjects
    }
}

impl Sample {
    /// A rate without further measurements.
    pub fn new(round: u32, subject: Subject, connections: usize, per_second: f64) -> Sample {
        Sample {
            round,
            subject,
            connections,
            per_second,
            latency_ms: None,
            to_confirmed_ms: None,
            cost: None,
            reservation_bytes: None,
            connection_bytes: None,
            wrong: None,
        }
    }
}

impl Cost {
    /// The cost of each of `n` answers or orders that cost this together; `None` if there are none.
    pub fn each(&self, n: u64) -> Option<Cost> {
        let share = |all: f64| all / n as f64;
        let cost = Cost {
            processor_us: self.processor_us.iter().map(|(who, us)| (*who, share(*us))).collect(),
            statements: self.statements.map(share),
            redis_commands: self.redis_commands.map(share),
            redis_bytes: self.redis_bytes.map(share),
            messages: self.messages.map(share),
        };
        (n > 0).then_some(cost)
    }

    /// The processor time of all servers and of the generator, in microseconds.
    pub fn total_us(&self) -> f64 {
        self.processor_us.values().sum()
    }
}

impl fmt::Display for Many {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Many::Held => "units held",
            Many::Connections => "connections",
            Many::Sales => "sales at a time",
            Many::OldOrders => "old orders",
        })
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Durability::AsInTheShop => "as in the shop",
            Durability::RedisAlways => "appendfsync always",
            Durability::RedisNever => "appendfsync no",
            Durability::CommitWithoutWaiting => "synchronous_commit off",
            Durability::PostgresNever => "fsync off",
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Subject::Durable(Version::V2, durability) => return f.pad(&format!("v2, {durability}")),
            Subject::Durable(_, durability) => return f.pad(&format!("v6, {durability}")),
            Subject::Among(n, many) => return f.pad(&format!("sell, {many}: {}", thousands(*n as i64))),
            Subject::BareHyper => "bare hyper",
            Subject::NoOp => "no-op",
            Subject::Wrk => "no-op, by wrk",
            Subject::Refuse => "refuse",
            Subject::Path => "path",
            Subject::Sell => "sell",
            Subject::Orders(Version::V6) => "confirmed",
            Subject::Orders(version) => version.name(),
            Subject::Paced => "sell at half of the rate",
            Subject::Held => "sell, many held",
            Subject::EdgeCache => "nginx's cache",
            Subject::ReserveSingly => "reserve.lua, 1 per call",
            Subject::ReserveInBatches => "reserve.lua, 32 per call",
        })
    }
}
