//! The ways on PostgreSQL. Each file has the statements of one way; `database` has the tables, which are the same for all.

mod advisory_lock;
mod batch;
mod conditional;
pub(super) mod database;
mod queue;
mod read_compare_write;
mod row_lock;
mod row_lock_last;
mod sequence;
mod single_writer;
mod skip_locked;
mod version;

use std::marker::PhantomData;

use sqlx::PgConnection;

use super::way::{Answer, Entry, Gap, Kit, Sold, Way};
use crate::lab::servers::Server::Postgres;
use database::Database;

/// The ways on PostgreSQL.
pub const WAYS: &[Entry] = &[
    Entry::new::<Sql<read_compare_write::ReadCompareWrite>>(
        "postgres-read-compare-write",
        &[Postgres],
        "never: it oversells",
    ),
    Entry::new::<Sql<row_lock::RowLock>>(
        "postgres-row-lock",
        &[Postgres],
        "the decision needs several statements and few buyers want the same item",
    )
    .with_a_holder(),
    Entry::new::<Sql<row_lock_last::RowLockLast>>(
        "postgres-row-lock-last",
        &[Postgres],
        "as the row lock; the other statements do not depend on the locked row",
    )
    .with_a_holder(),
    Entry::new::<Sql<version::Version>>(
        "postgres-version",
        &[Postgres],
        "the decision is made outside the database and conflicts are rare",
    ),
    Entry::new::<Sql<conditional::Conditional>>(
        "postgres-conditional",
        &[Postgres],
        "the decision fits into a where clause: the default choice",
    )
    .with_a_holder(),
    Entry::new::<Sql<skip_locked::SkipLocked>>(
        "postgres-skip-locked",
        &[Postgres],
        "units are distinct, such as seats, or many buyers want one item",
    )
    .with_a_holder(),
    Entry::new::<Sql<sequence::Sequence>>(
        "postgres-sequence",
        &[Postgres],
        "speed counts more than the last units: a crash or a rollback loses some",
    ),
    Entry::new::<Sql<advisory_lock::AdvisoryLock>>(
        "postgres-advisory-lock",
        &[Postgres],
        "what must be locked is no row of its own",
    )
    .with_a_holder(),
    Entry::new::<single_writer::SingleWriter>(
        "postgres-single-writer",
        &[Postgres],
        "many buyers want one item, and each may wait for a batch",
    ),
];

/// The statements of a way.
trait Statements: Send + Sync + 'static {
    /// Creates what the way needs besides items and orders, empties it, and fills it from `items`. It runs after each set-up.
    const SET_UP: &'static str = "";

    /// Takes one unit of the item for the buyer.
    fn take(
        db: &mut PgConnection,
        gap: &Gap,
        item: i64,
        buyer: i64,
    ) -> impl Future<Output = anyhow::Result<Answer>> + Send;
}

/// A way whose clients have one connection to PostgreSQL each and nothing else.
struct Sql<S> {
    database: Database,
    gap: Gap,
    statements: PhantomData<S>,
}

impl<S: Statements> Way for Sql<S> {
    type Client = PgConnection;

    async fn open(kit: &Kit) -> anyhow::Result<Sql<S>> {
        Ok(Sql { database: Database::of(kit)?, gap: kit.gap.clone(), statements: PhantomData })
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.database.set_up(S::SET_UP).await
    }

    async fn connect(&self) -> anyhow::Result<PgConnection> {
        self.database.connect().await
    }

    async fn take(&self, db: &mut PgConnection, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        S::take(db, &self.gap, item, buyer).await
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        self.database.sold().await
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        self.database.calls().await
    }
}
