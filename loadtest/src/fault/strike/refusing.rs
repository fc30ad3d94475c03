//! Servers that answer but refuse writes.

use std::time::Duration;

use lapin::options::BasicPublishOptions;
use sqlx::{AssertSqlSafe, Executor};
use tokio::{
    task::block_in_place,
    time::{sleep, timeout},
};

use super::target::Target;

/// How long RabbitMQ may take to report that it blocks publishers.
const TO_SAY_SO: Duration = Duration::from_millis(500);
/// How long RabbitMQ may take to accept our connection.
const TO_CONNECT: Duration = Duration::from_secs(5);

impl Target<'_> {
    /// Makes new sessions of the sale's database read-only or writable, and ends all older sessions.
    pub(super) async fn read_only(&mut self, read_only: bool) -> anyhow::Result<()> {
        let (name, on) = (self.database.path().trim_start_matches('/'), if read_only { "on" } else { "off" });
        let mut session = self.session().await?;
        // This session may itself be read-only.
        let set = format!("begin read write; alter database {name} set default_transaction_read_only = {on}; commit");
        session.execute(AssertSqlSafe(set)).await?;
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and pid <> pg_backend_pid()";
        let ended = session.fetch_all(end).await?.len();
        if read_only {
            self.seen = format!("{ended} sessions were ended");
        }
        Ok(())
    }

    /// Whether a new session cannot write.
    pub(super) async fn is_read_only(&self) -> anyhow::Result<bool> {
        let query = sqlx::query_scalar("select current_setting('transaction_read_only')");
        let setting: String = query.fetch_one(&mut self.session().await?).await?;
        Ok(setting == "on")
    }

    /// Makes Redis a replica of a server that does not exist.
    pub(super) async fn demote(&mut self) -> anyhow::Result<()> {
        Ok(redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).exec_async(&mut self.redis).await?)
    }

    pub(super) async fn promote(&mut self) -> anyhow::Result<()> {
        Ok(redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut self.redis).await?)
    }

    pub(super) async fn is_replica(&self) -> anyhow::Result<bool> {
        Ok(self.replication("role").await? == "slave")
    }

    /// Makes RabbitMQ block publishers or unblock them.
    pub(super) fn block(&mut self, block: bool) -> anyhow::Result<()> {
        block_in_place(|| self.services.block_rabbitmq(block))
    }

    /// Whether RabbitMQ tells a new publisher that it is blocked. No report in time means not yet, so the caller asks again.
    pub(super) async fn is_blocked(&self) -> anyhow::Result<bool> {
        let publishing = async {
            let connection = self.stores.queues().await?;
            let channel = connection.create_channel().await?;
            let (options, properties) = (BasicPublishOptions::default(), Default::default());
            channel.basic_publish("".into(), "".into(), options, b"", properties).await?;
            sleep(TO_SAY_SO).await;
            anyhow::Ok(connection.status().blocked()) // the connection is not closed, because RabbitMQ would not read that either
        };
        timeout(TO_CONNECT, publishing).await.unwrap_or(Ok(false))
    }
}
