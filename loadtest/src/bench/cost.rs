//! What an answer or an order costs, from the servers' own counters.

use crate::{
    lab::{
        Lab,
        deployment::{Deployment, addresses},
        observe::{self, RedisStats},
        shop_process::ShopProcess,
        usage::Processors,
    },
    record::{Consumer, bench::Cost},
};

/// The consumers of chapter 6's processor time. An idle server is no cost of chapters 1 to 5.
const CONSUMERS: [Consumer; 5] =
    [Consumer::Generator, Consumer::Shop, Consumer::Postgres, Consumer::Redis, Consumer::RabbitMq];
const WITHOUT_STORES: [Consumer; 3] = [Consumer::Generator, Consumer::Shop, Consumer::Postgres];

/// All counters at one moment.
pub(super) struct Meter {
    processors: Processors,
    servers: Counters,
}

/// The counters of the servers.
#[derive(Default)]
struct Counters {
    statements: Option<i64>,
    redis: Option<RedisStats>,
    published: Option<u64>,
}

impl Counters {
    async fn read(lab: &Lab, deployment: &Deployment) -> Counters {
        let Deployment { database, stores, shops, .. } = deployment;
        let Some(stores) = stores else {
            let statements = observe::statements(lab.admin(), database.name()).await;
            return Counters { statements, ..Counters::default() };
        };
        let published = observe::counters(&addresses(shops)).await.ok();
        Counters {
            statements: observe::statements(lab.admin(), database.name()).await,
            redis: observe::redis(stores).await.ok(),
            published: published.map(|counters| counters.get("published").copied().unwrap_or_default()),
        }
    }
}

impl Meter {
    /// Begins to count for a deployment.
    pub(super) async fn begin(lab: &Lab, deployment: &Deployment) -> Meter {
        let servers = Counters::read(lab, deployment).await;
        Meter { servers, processors: Processors::read(&pids(&deployment.shops)) }
    }

    /// The cost of everything since then; `None` without `/proc`.
    pub(super) async fn end(&self, lab: &Lab, deployment: &Deployment) -> Option<Cost> {
        let consumers = if deployment.stores.is_some() { &CONSUMERS[..] } else { &WITHOUT_STORES };
        let cost = cost(&self.processors, &pids(&deployment.shops), 1, consumers)?;
        let (before, now) = (&self.servers, Counters::read(lab, deployment).await);
        let redis = before.redis.zip(now.redis);
        Some(Cost {
            statements: before.statements.zip(now.statements).map(|(before, now)| (now - before) as f64),
            redis_commands: redis.map(|(before, now)| (now.commands - before.commands) as f64),
            redis_bytes: redis.map(|(before, now)| (now.bytes - before.bytes) as f64),
            messages: before.published.zip(now.published).map(|(before, now)| (now - before) as f64),
            ..cost
        })
    }
}

/// The processor time of these consumers for each of `n` answers since `before`, without other counters; `None` if there are no
/// answers.
pub(super) fn cost(before: &Processors, shops: &[u32], n: u64, consumers: &[Consumer]) -> Option<Cost> {
    let (mut seconds, _) = before.until(&Processors::read(shops))?;
    seconds.retain(|who, _| consumers.contains(who));
    let processor_us = seconds.into_iter().map(|(who, seconds)| (who, seconds * 1e6 / n as f64)).collect();
    (n > 0).then(|| Cost { processor_us, ..Cost::default() })
}

fn pids(shops: &[ShopProcess]) -> Vec<u32> {
    shops.iter().filter_map(ShopProcess::pid).collect()
}
