//! What a run took of the machine and of the servers.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// Who takes processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consumer {
    /// The load generator.
    Generator,
    /// The shop's instances.
    Shop,
    /// PostgreSQL, if the lab has started it.
    Postgres,
    /// Redis, if the lab has started it.
    Redis,
    /// RabbitMQ, if the lab has started it.
    RabbitMq,
    /// All other programs, and servers that the lab has not started.
    Others,
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Consumer::Generator => "generator",
            Consumer::Shop => "shop",
            Consumer::Postgres => "PostgreSQL",
            Consumer::Redis => "Redis",
            Consumer::RabbitMq => "RabbitMQ",
            Consumer::Others => "other programs",
        })
    }
}

/// What a run took, from its first request to its last answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The processors' seconds that each consumer took.
    pub processor_seconds: BTreeMap<Consumer, f64>,
    /// The processors' seconds that there were: their number times the duration.
    pub of_seconds: f64,
    /// PostgreSQL's sessions in the run's database; `None` without PostgreSQL.
    pub sessions: Option<Sessions>,
    /// Commands that Redis executed, those in scripts included; `None` without Redis.
    pub redis_commands: Option<u64>,
}

/// PostgreSQL's sessions in the run's database, sampled every 50 ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    /// On average, sessions that waited for a lock.
    pub waiting: f64,
    /// On average, sessions that worked or were in a transaction. Those that waited are among them.
    pub busy: f64,
}

impl Usage {
    /// The share of all processors that was in use, from 0 to 1.
    pub fn busy(&self) -> f64 {
        self.processor_seconds.values().sum::<f64>() / self.of_seconds
    }

    /// The share of all processors that a consumer took, from 0 to 1.
    pub fn share(&self, consumer: Consumer) -> f64 {
        self.processor_seconds.get(&consumer).map_or(0.0, |seconds| seconds / self.of_seconds)
    }

    /// The consumer that took the most.
    pub fn greatest(&self) -> Option<Consumer> {
        self.processor_seconds.iter().max_by(|a, b| a.1.total_cmp(b.1)).map(|(consumer, _)| *consumer)
    }
}
