//! What each fault does, how it is checked, and how it is repaired.
//!
//! This file lists the steps of every fault: `prepare` before the sale opens, `arm` before the strike, `strike`, `is_in_place`,
//! `mend`, and `bring_back` after the first confirmed order. The compiler asks for all six, and most faults need only three. The
//! work itself is in one module per kind: servers and instances that are `killed`, hosts that are `lost` or frozen, `silent`
//! connections, servers that are `refusing` writes, deleted `data`, a `replica` that leads for a moment, a torn `outbox`, and a
//! wrong `clock`. `target` is what all of them act on.

mod clock;
mod data;
mod killed;
mod lost;
mod outbox;
mod payment;
mod refusing;
mod replica;
mod silent;
mod target;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(super) use self::target::Target;
use self::target::{LOOK_EVERY, TO_BE_IN_PLACE};
use super::Fault::{
    self, ClockSkewed, InstanceKilled, InstanceStopped, LeaderLost, LeaderStopped, OutboxTorn, PaymentKilled,
    PostgresKilled, PostgresRabbitKilled, PostgresReadonly, PostgresSilent, ProviderLate, ProviderSilent,
    RabbitMqBlocked, RabbitMqKilled, RabbitMqSilent, RedisCut, RedisDemoted, RedisEmptied, RedisFailback, RedisFlushed,
    RedisKilled, RedisRabbitKilled, RedisSilent, WorkerLost, WorkerStopped,
};
use crate::lab::servers::{Server, Services};

/// How long a server refuses writes, and how long RabbitMQ stays down after Redis is back.
const A_WHILE: Duration = Duration::from_secs(5);

impl Fault {
    /// Prepares what the fault needs before the sale opens.
    pub(super) async fn prepare(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        match self {
            RabbitMqKilled | RedisRabbitKilled | PostgresRabbitKilled => target.wait_for_queues().await?,
            // The cut must remove data of this sale, not of earlier sales on this Redis.
            RedisCut => target.rewrite_log().await?,
            RedisFailback => target.attach_replica().await?,
            RedisKilled | RedisFlushed | RedisEmptied | PostgresKilled | InstanceKilled | InstanceStopped
            | LeaderLost | WorkerLost | LeaderStopped | WorkerStopped | PostgresSilent | PostgresReadonly
            | RedisSilent | RedisDemoted | RabbitMqSilent | RabbitMqBlocked | OutboxTorn | ClockSkewed
            | PaymentKilled | ProviderSilent | ProviderLate => {}
        }
        Ok(())
    }

    /// Waits for the right moment to strike, and lets in the next buyers, whose requests meet the fault.
    pub(super) async fn arm(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        target.remember().await?;
        match self {
            LeaderLost | LeaderStopped => target.choose_leader().await?,
            WorkerLost | WorkerStopped => {
                target.choose_another().await?;
                target.catch_commit().await?;
            }
            OutboxTorn => target.hold_reads().await,
            RedisFailback => target.outrun_replica().await?,
            RedisKilled | RedisFlushed | RedisEmptied | RedisCut | RabbitMqKilled | PostgresKilled | InstanceKilled
            | InstanceStopped | PostgresSilent | PostgresReadonly | RedisSilent | RedisDemoted | RabbitMqSilent
            | RabbitMqBlocked | ClockSkewed | RedisRabbitKilled | PostgresRabbitKilled | PaymentKilled
            | ProviderSilent | ProviderLate => {}
        }
        target.let_next_in();
        Ok(())
    }

    /// Injects the fault.
    pub(super) async fn strike(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        match self {
            RedisKilled => target.kill(&[Server::Redis]),
            RedisEmptied => target.kill_and_damage(Services::empty_redis),
            RedisCut => target.kill_and_damage(Services::cut_redis),
            RabbitMqKilled => target.kill(&[Server::RabbitMq]),
            PostgresKilled => target.kill(&[Server::Postgres]),
            RedisRabbitKilled => target.kill(&[Server::RabbitMq, Server::Redis]),
            PostgresRabbitKilled => target.kill(&[Server::RabbitMq, Server::Postgres]),
            RedisFlushed => target.flush().await,
            InstanceKilled => target.shops[0].kill().await,
            InstanceStopped => {
                target.shops[0].ask_to_stop();
                Ok(())
            }
            LeaderLost => {
                target.lose().await?;
                target.flush().await
            }
            WorkerLost => target.lose().await,
            LeaderStopped => {
                target.freeze()?;
                target.flush().await
            }
            WorkerStopped => target.freeze(),
            PostgresSilent => target.silence(Server::Postgres),
            RedisSilent => target.silence(Server::Redis),
            RabbitMqSilent => target.silence(Server::RabbitMq),
            PostgresReadonly => target.read_only(true).await,
            RedisDemoted => target.demote().await,
            RabbitMqBlocked => target.block(true),
            RedisFailback => target.fail_back().await,
            OutboxTorn => target.tear().await,
            ClockSkewed => target.skew().await,
            PaymentKilled => target.kill_payment().await,
            ProviderSilent => target.silence_provider().await,
            ProviderLate => target.call_late().await,
        }
    }

    /// Waits until the fault is in place; false if it is not in time. A strike may have no effect.
    pub(super) async fn comes_into_place(self, target: &mut Target<'_>) -> anyhow::Result<bool> {
        let deadline = Instant::now() + TO_BE_IN_PLACE;
        while !self.is_in_place(target).await? {
            if Instant::now() > deadline {
                return Ok(false);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(true)
    }

    /// Whether the fault is in place, as seen from the shop.
    async fn is_in_place(self, target: &mut Target<'_>) -> anyhow::Result<bool> {
        Ok(match self {
            RedisKilled => target.is_away(Server::Redis).await?,
            RedisEmptied => target.is_away(Server::Redis).await? && target.bytes()? == 0,
            RedisCut => target.is_away(Server::Redis).await? && target.is_shorter()?,
            RabbitMqKilled => target.is_away(Server::RabbitMq).await?,
            PostgresKilled => target.is_away(Server::Postgres).await?,
            RedisRabbitKilled => target.is_away(Server::Redis).await? && target.is_away(Server::RabbitMq).await?,
            PostgresRabbitKilled => target.is_away(Server::Postgres).await? && target.is_away(Server::RabbitMq).await?,
            RedisFlushed => target.is_another_epoch().await?,
            InstanceKilled | InstanceStopped => target.has_stopped().await?,
            LeaderLost => target.left_sessions(false).await? && target.is_another_epoch().await?,
            WorkerLost => target.left_sessions(true).await?,
            LeaderStopped => target.says_nothing().await && target.is_another_epoch().await?,
            WorkerStopped => target.says_nothing().await && target.left_sessions(true).await?,
            PostgresSilent => target.is_silent(Server::Postgres),
            RedisSilent => target.is_silent(Server::Redis),
            RabbitMqSilent => target.is_silent(Server::RabbitMq),
            PostgresReadonly => target.is_read_only().await?,
            RedisDemoted => target.is_replica().await?,
            RabbitMqBlocked => target.is_blocked().await?,
            RedisFailback => target.has_older_data().await?,
            OutboxTorn => target.is_torn().await?,
            ClockSkewed => target.is_skewed().await,
            PaymentKilled => target.provider_is_silent().await? && target.has_stopped().await?,
            ProviderSilent => target.provider_is_silent().await?,
            ProviderLate => target.a_bank_thinks().await?,
        })
    }

    /// Restarts what was struck, or lets it work again; returns when that is done. Does nothing if the shop has to recover by
    /// itself.
    pub(super) async fn mend(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        match self {
            RedisKilled | RedisEmptied | RedisCut => target.start(Server::Redis),
            RabbitMqKilled => target.start(Server::RabbitMq),
            PostgresKilled => target.start(Server::Postgres),
            RedisRabbitKilled => {
                target.start(Server::Redis)?;
                sleep(A_WHILE).await;
                target.start(Server::RabbitMq)
            }
            PostgresRabbitKilled => {
                target.start(Server::Postgres)?;
                target.start(Server::RabbitMq)
            }
            InstanceKilled | InstanceStopped => target.shops[0].start_again().await,
            PaymentKilled => {
                target.mend_provider().await?;
                target.shops[0].start_again().await
            }
            ProviderSilent | ProviderLate => {
                sleep(A_WHILE).await;
                target.mend_provider().await
            }
            PostgresReadonly => {
                sleep(A_WHILE).await;
                target.read_only(false).await
            }
            RedisDemoted => {
                sleep(A_WHILE).await;
                target.promote().await
            }
            RabbitMqBlocked => {
                sleep(A_WHILE).await;
                target.block(false)
            }
            OutboxTorn => {
                target.let_reads_pass();
                Ok(())
            }
            RedisFlushed | LeaderLost | WorkerLost | LeaderStopped | WorkerStopped | PostgresSilent | RedisSilent
            | RabbitMqSilent | RedisFailback | ClockSkewed => Ok(()),
        }
    }

    /// Starts or wakes the instance that was lost or frozen; returns when it is up. `None` if there was none.
    pub(super) async fn bring_back(self, target: &mut Target<'_>) -> anyhow::Result<Option<()>> {
        match self {
            LeaderLost | WorkerLost => target.start_lost().await.map(Some),
            LeaderStopped | WorkerStopped => target.thaw().map(Some),
            RedisKilled | RedisFlushed | RedisEmptied | RedisCut | RabbitMqKilled | PostgresKilled | InstanceKilled
            | InstanceStopped | PostgresSilent | PostgresReadonly | RedisSilent | RedisDemoted | RedisFailback
            | RabbitMqSilent | RabbitMqBlocked | OutboxTorn | ClockSkewed | RedisRabbitKilled
            | PostgresRabbitKilled | PaymentKilled | ProviderSilent | ProviderLate => Ok(None),
        }
    }
}
