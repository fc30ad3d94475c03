//! A session, and what its COMMIT promises where PostgreSQL has a synchronous standby: the COMMIT answers when the standby has the
//! transaction on its disk.

use sqlx::PgConnection;
use tokio::time::timeout;

use super::{no_answer, pool::PING};
use crate::set_up::Wrong;

/// The settings of `synchronous_commit` with which a COMMIT waits for the standby's disk.
const WAITS: [&str; 2] = ["on", "remote_apply"];

/// Makes the COMMIT of this transaction wait for the standby, also if the transaction has changed nothing else.
///
/// PostgreSQL lets a COMMIT wait only if its transaction has written to the log (WAL). What a transaction only reads may be on one
/// disk: a COMMIT that was waiting when the server crashed, or when its session was ended, is visible afterwards. Whoever passes
/// such a read on as a promise writes, too. The log is replicated in order, so this write proves all that was read.
///
/// Only one session at a time waits in this way. The others fail after 2 s, instead of each leaving a session in PostgreSQL that
/// ends when the standby is back.
pub(crate) async fn write_always(sql: &mut PgConnection) -> sqlx::Result<()> {
    let write = "select pg_advisory_xact_lock(5318007), pg_logical_emit_message(true, 'oversold', ''::text)";
    sqlx::query(write).execute(sql).await.map(drop)
}

/// The settings of a session that count for the shop.
#[derive(sqlx::FromRow)]
pub(super) struct Session {
    /// False if the server was read-only when the session began.
    takes_writes: bool,
    /// Whether synchronous standbys are named.
    has_standby: bool,
    synchronous_commit: String,
}

impl Session {
    /// Asks for them, for at most 2 s.
    pub(super) async fn of(connection: &mut PgConnection) -> sqlx::Result<Session> {
        let query = sqlx::query_as(
            "select current_setting('transaction_read_only') = 'off' as takes_writes,
                    current_setting('synchronous_standby_names') <> '' as has_standby,
                    current_setting('synchronous_commit') as synchronous_commit",
        );
        timeout(PING, query.fetch_one(connection)).await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// Whether the shop can use it.
    pub(super) fn is_fit(&self) -> bool {
        self.takes_writes && self.ensure_durable().is_ok()
    }

    /// Checks that a COMMIT waits for the standby, if there is one.
    ///
    /// # Errors
    /// It does not: somebody has set `synchronous_commit` for this user, database or server.
    pub(super) fn ensure_durable(&self) -> Result<(), Wrong> {
        match !self.has_standby || WAITS.contains(&self.synchronous_commit.as_str()) {
            true => Ok(()),
            false => Err(Wrong::synchronous_commit(&self.synchronous_commit)),
        }
    }
}
