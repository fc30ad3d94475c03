//! Ends sessions that wait for their client in the middle of a statement. PostgreSQL 15 has no time limit for that.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::in_time;
use crate::supervise;

/// How often each instance looks.
const EVERY: Duration = Duration::from_secs(2);
/// Longer than a statement may take, so nobody waits for its answer any more.
const ABANDONED: &str = "5 seconds";

/// Ends the shop's abandoned sessions, until `stop`.
///
/// A connection can go silent when a part of a request has arrived: the statement, but not the message that ends it (`Sync`). The
/// statement is executed, and the session then waits for the rest with its row locks held. It counts as active, so
/// `idle_in_transaction_session_timeout` does not apply, and `statement_timeout` cancels nothing while it reads. The same holds
/// for a session that cannot send its answer. TCP keepalives end it only if the other host is gone, not if a process is frozen.
pub(crate) async fn end(sql: PgPool, stop: CancellationToken) {
    supervise::keep("abandoned sessions", &stop, || async {
        while !stop.is_cancelled() {
            for (pid, waits, _) in end_once(&sql).await? {
                tracing::warn!("PostgreSQL's session {pid} was ended: {waits} in the middle of a statement");
                metrics::counter!("abandoned_sessions_total").increment(1);
            }
            let _ = stop.run_until_cancelled(sleep(EVERY)).await;
        }
        Ok(())
    })
    .await;
}

/// Ends those that are there now. Returns the process id of each, what it waited for, and whether it was told to end.
///
/// The call stands in the list of columns, because PostgreSQL may evaluate conditions in any order.
async fn end_once(sql: &PgPool) -> sqlx::Result<Vec<(i32, String, bool)>> {
    let query = "select pid, wait_event, pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and usename = current_user and application_name = 'oversold'
                     and state = 'active' and wait_event_type = 'Client' and query_start < now() - $1::interval";
    in_time(sqlx::query_as(query).bind(ABANDONED).fetch_all(sql)).await
}
