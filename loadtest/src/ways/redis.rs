//! The ways on Redis. Each file has the commands of one way; `store` has the counters, which are the same for all.

mod decr;
mod lock;
mod lock_fenced;
mod lua;
mod store;
mod two_phase;
mod watch;

use std::marker::PhantomData;

use redis::aio::MultiplexedConnection;
use sqlx::PgConnection;

use super::{
    postgres::database::Database,
    way::{Answer, Entry, Gap, Kit, Sold, Way},
};
use crate::lab::servers::Server::{Postgres, Redis};
use store::Store;

/// How long a lock or a reservation lasts without its holder, in milliseconds.
const LEASE_MS: u64 = 2000;

/// The ways on Redis.
pub const WAYS: &[Entry] = &[
    Entry::new::<InRedis<decr::Decr>>(
        "redis-decr",
        &[Redis],
        "units are all that is counted, and Redis may lose a second",
    ),
    Entry::new::<InRedis<watch::Watch>>("redis-watch", &[Redis], "scripts are not allowed and conflicts are rare"),
    Entry::new::<InRedis<lua::Lua>>("redis-lua", &[Redis], "the decision needs several keys: stock, buyer, limits"),
    Entry::new::<WithSql<lock::Lock>>(
        "redis-lock",
        &[Redis, Postgres],
        "never alone: a lease can end before its holder does",
    )
    .with_a_holder(),
    Entry::new::<WithSql<lock_fenced::LockFenced>>(
        "redis-lock-fenced",
        &[Redis, Postgres],
        "what is locked is more than a row, and its store can check a token",
    )
    .with_a_holder(),
    Entry::new::<WithSql<two_phase::TwoPhase>>(
        "redis-two-phase",
        &[Redis, Postgres],
        "most buyers are refused, and SQL has to have the last word",
    )
    .with_a_holder(),
];

/// The commands of a way that decides in Redis alone.
trait Commands: Send + Sync + 'static {
    /// Whether Redis also has the set of each item's buyers.
    const HAS_BUYERS: bool = false;

    /// Takes one unit of the item for the buyer.
    fn take(
        redis: &mut MultiplexedConnection,
        gap: &Gap,
        item: i64,
        buyer: i64,
    ) -> impl Future<Output = anyhow::Result<Answer>> + Send;
}

/// A way whose clients have one connection to Redis each and nothing else.
struct InRedis<C> {
    store: Store,
    gap: Gap,
    commands: PhantomData<C>,
}

impl<C: Commands> Way for InRedis<C> {
    type Client = MultiplexedConnection;

    async fn open(kit: &Kit) -> anyhow::Result<InRedis<C>> {
        Ok(InRedis { store: Store::of(kit)?, gap: kit.gap.clone(), commands: PhantomData })
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.store.set_up().await
    }

    async fn connect(&self) -> anyhow::Result<MultiplexedConnection> {
        self.store.connect().await
    }

    async fn take(&self, redis: &mut MultiplexedConnection, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        C::take(redis, &self.gap, item, buyer).await
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        if C::HAS_BUYERS { self.store.buyers().await } else { self.store.sold().await }
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        self.store.calls().await
    }
}

/// The commands and statements of a way that uses both Redis and PostgreSQL.
trait Steps: Send + Sync + 'static {
    /// Takes one unit of the item for the buyer.
    fn take(
        redis: &mut MultiplexedConnection,
        db: &mut PgConnection,
        gap: &Gap,
        item: i64,
        buyer: i64,
    ) -> impl Future<Output = anyhow::Result<Answer>> + Send;
}

/// A way whose clients have one connection to Redis and one to PostgreSQL each. The orders are in PostgreSQL.
struct WithSql<S> {
    store: Store,
    database: Database,
    gap: Gap,
    steps: PhantomData<S>,
}

impl<S: Steps> Way for WithSql<S> {
    type Client = (MultiplexedConnection, PgConnection);

    async fn open(kit: &Kit) -> anyhow::Result<WithSql<S>> {
        Ok(WithSql { store: Store::of(kit)?, database: Database::of(kit)?, gap: kit.gap.clone(), steps: PhantomData })
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.store.set_up().await?;
        self.database.set_up("").await
    }

    async fn connect(&self) -> anyhow::Result<Self::Client> {
        Ok((self.store.connect().await?, self.database.connect().await?))
    }

    async fn take(&self, (redis, db): &mut Self::Client, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        S::take(redis, db, &self.gap, item, buyer).await
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        self.database.sold().await
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        Ok(self.store.calls().await? + self.database.calls().await?)
    }
}
