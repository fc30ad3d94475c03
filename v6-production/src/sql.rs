//! PostgreSQL, the record: time limits, and what its errors mean.

/// Sessions whose client is gone.
pub(crate) mod abandoned;
/// The connection pool.
mod pool;
/// The tables.
mod schema;
/// A session and its COMMIT, where PostgreSQL has a synchronous standby.
pub(crate) mod session;
/// PostgreSQL's warnings.
pub(crate) mod warnings;

use std::{io, time::Duration};

use tokio::time::timeout;

pub(crate) use self::pool::connect;

/// How long a caller waits for an answer: longer than PostgreSQL lets a statement run. A broken connection gives no answer at all.
const PATIENCE: Duration = Duration::from_secs(6);

/// Waits for a statement or a transaction, but at most 6 s.
///
/// # Errors
/// It fails, there is no answer in time, or PostgreSQL warns: the wait of a COMMIT for the standby was cancelled. In the last two
/// cases it may have been executed.
pub(crate) async fn in_time<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    match timeout(PATIENCE, warnings::heard(work)).await {
        Ok((Ok(_), true)) => Err(sqlx::Error::Protocol("PostgreSQL warns, so this may not be on the standby".into())),
        Ok((done, _)) => done,
        Err(_) => Err(no_answer()),
    }
}

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer from PostgreSQL"))
}

/// Whether the data of a statement caused the error: a value does not fit its type (SQLSTATE class 22) or violates a constraint
/// (class 23), or names a row that does not exist. Every other error may be gone at the next try: the server is away, full or
/// read-only, or two transactions collided.
pub(crate) fn is_fault_of_data(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::RowNotFound) || is_of_class(error, &["22", "23"])
}

/// Whether the database cannot do its work now. The cause is neither the data (classes 22 and 23) nor the statement (class 42).
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
