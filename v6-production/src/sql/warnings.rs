//! PostgreSQL's warnings.
//!
//! A COMMIT waits for the synchronous standby. If this wait is cancelled (`pg_cancel_backend`), PostgreSQL answers with success and a
//! warning: the transaction is committed, but perhaps on one disk only. sqlx reports warnings to the log and nowhere else, so this
//! module listens there. sqlx does so while the work is polled, on the same thread.

use std::{cell::Cell, future::poll_fn, pin::pin};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, Filter},
    registry::LookupSpan,
};

/// The target of PostgreSQL's notices and warnings in the log.
const NOTICES: &str = "sqlx::postgres::notice";

thread_local! {
    /// Whether PostgreSQL has warned the work that this thread polls now.
    static WARNED: Cell<bool> = const { Cell::new(false) };
}

struct Listener;

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        WARNED.set(true);
    }
}

/// The part of the log that [`heard`] needs. It does not depend on the log's own filter.
pub(crate) fn listener<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S>
where
    Targets: Filter<S>,
{
    Listener.with_filter(Targets::new().with_target(NOTICES, Level::WARN))
}

/// Does `work`, and returns with its result whether PostgreSQL has warned meanwhile.
pub(super) async fn heard<T>(work: impl Future<Output = T>) -> (T, bool) {
    let (mut work, mut warned) = (pin!(work), false);
    let done = poll_fn(|context| {
        let outer = WARNED.replace(warned);
        let polled = work.as_mut().poll(context);
        warned = WARNED.replace(outer);
        polled
    });
    let done = done.await;
    (done, warned)
}

/// Forgets the warnings that this work has heard until now.
pub(super) fn forget() {
    WARNED.set(false);
}

#[cfg(test)]
mod tests {
    use futures_util::future::join;
    use tokio::task::yield_now;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    async fn warn(times: usize) {
        for _ in 0..times {
            yield_now().await;
            tracing::warn!(target: NOTICES, "canceling wait for synchronous replication due to user request");
        }
        yield_now().await;
    }

    #[tokio::test]
    async fn a_warning_belongs_to_the_work_that_was_warned() {
        let log = tracing_subscriber::registry().with(listener());
        let _log = tracing::subscriber::set_default(log);
        let (one, other) = join(heard(warn(1)), heard(warn(0))).await;
        assert_eq!((one.1, other.1), (true, false));
        let (inner, outer) = heard(async { heard(warn(1)).await.1 }).await;
        assert_eq!((inner, outer), (true, false), "the inner work has answered for it");
        let forgets = async {
            warn(2).await;
            forget();
        };
        assert!(!heard(forgets).await.1);
        let notices = async {
            tracing::info!(target: NOTICES, "relation exists already, skipping");
            tracing::warn!("of another part");
        };
        assert!(!heard(notices).await.1);
    }
}
