//! PostgreSQL is the record: how it is reached, how long anything of it may be held, and whose fault an error is.

/// Connections.
mod pool;
/// The tables.
mod schema;

use std::{io, time::Duration};

use tokio::time::timeout;

pub(crate) use self::pool::connect;

/// How long we wait for an answer: longer than a statement may take. A connection that is silent says nothing at all.
const PATIENCE: Duration = Duration::from_secs(6);

/// Waits for a statement or a transaction, but not for ever.
pub(crate) async fn in_time<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(no_answer()))
}

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer from PostgreSQL"))
}

/// Whether the data of a statement are at fault: a value that does not fit its type (SQLSTATE class 22), or that breaks a
/// constraint (class 23). Every other error may be gone the next time: the server is away, full, or read-only, or two were in
/// each other's way.
pub(crate) fn is_fault_of_data(error: &sqlx::Error) -> bool {
    is_of_class(error, &["22", "23"])
}

/// Whether the database is away, or does not do now what it usually does: no fault of the data, nor of the statement (class 42).
pub(crate) fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => !is_of_class(error, &["22", "23", "42"]),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

fn is_of_class(error: &sqlx::Error, classes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(|cause| cause.code());
    code.is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
}
