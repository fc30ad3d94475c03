//! The ways on MariaDB, whose InnoDB is a fork of MySQL's. Taobao patched MySQL for its hot row: it switched deadlock detection off, let
//! few transactions into the engine, and committed many buyers at once. Here each of the three is a way.

mod batch;
mod conditional;
mod database;
mod queue;
mod row_lock;

use std::marker::PhantomData;

use sqlx::MySqlConnection;
use tokio::sync::Semaphore;

use super::way::{Answer, Entry, Gap, Kit, Sold, Way};
use crate::lab::servers::Server::MariaDb;
use conditional::Conditional;
use database::Database;
use queue::Queue;
use row_lock::RowLock;

/// With or without InnoDB's deadlock detection.
const DETECTED: bool = true;
const UNDETECTED: bool = false;

/// With or without a queue before the engine.
const QUEUED: bool = true;
const FREE: bool = false;

/// The transactions that the queue lets into the engine at a time, of all processes together.
const IN_THE_ENGINE: usize = 16;

/// The ways on MariaDB.
pub const WAYS: &[Entry] = &[
    Entry::new::<Sql<RowLock, DETECTED, FREE>>(
        "mariadb-row-lock",
        &[MariaDb],
        "the decision needs several statements and few buyers want the same item",
    )
    .with_a_holder(),
    variant::<Sql<RowLock, UNDETECTED, FREE>>("mariadb-row-lock-undetected"),
    variant::<Sql<RowLock, DETECTED, QUEUED>>("mariadb-row-lock-queued"),
    variant::<Sql<RowLock, UNDETECTED, QUEUED>>("mariadb-row-lock-queued-undetected"),
    Entry::new::<Sql<Conditional, DETECTED, FREE>>(
        "mariadb-conditional",
        &[MariaDb],
        "the decision fits into a where clause: the default choice",
    )
    .with_a_holder(),
    variant::<Sql<Conditional, UNDETECTED, FREE>>("mariadb-conditional-undetected"),
    variant::<Sql<Conditional, DETECTED, QUEUED>>("mariadb-conditional-queued"),
    variant::<Sql<Conditional, UNDETECTED, QUEUED>>("mariadb-conditional-queued-undetected"),
    Entry::new::<Queue>("mariadb-batch", &[MariaDb], "many buyers want one item, and each may wait for a batch"),
];

/// A way with the statements of another one.
const fn variant<W: Way>(name: &'static str) -> Entry {
    Entry::new::<W>(name, &[MariaDb], "you have measured that it helps").only_measured()
}

/// The statements of a way.
trait Statements: Send + Sync + 'static {
    /// Takes one unit of the item for the buyer.
    fn take(
        db: &mut MySqlConnection,
        gap: &Gap,
        item: i64,
        buyer: i64,
    ) -> impl Future<Output = anyhow::Result<Answer>> + Send;
}

/// A way whose clients have one connection each. The queue is in the process, so waiting buyers hold no transaction.
struct Sql<S, const DETECTION: bool, const QUEUE: bool> {
    database: Database,
    gap: Gap,
    queue: Semaphore,
    statements: PhantomData<S>,
}

impl<S: Statements, const DETECTION: bool, const QUEUE: bool> Way for Sql<S, DETECTION, QUEUE> {
    type Client = MySqlConnection;

    async fn open(kit: &Kit) -> anyhow::Result<Self> {
        let share = IN_THE_ENGINE / usize::try_from(kit.processes)?;
        let queue = Semaphore::new(if QUEUE { share.max(1) } else { Semaphore::MAX_PERMITS });
        Ok(Sql { database: Database::of(kit)?, gap: kit.gap.clone(), queue, statements: PhantomData })
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.database.set_up(DETECTION).await
    }

    async fn connect(&self) -> anyhow::Result<MySqlConnection> {
        self.database.connect().await
    }

    async fn take(&self, db: &mut MySqlConnection, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let _in_the_engine = self.queue.acquire().await?;
        S::take(db, &self.gap, item, buyer).await
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        self.database.sold().await
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        self.database.calls().await
    }
}
