//! ZooKeeper's lock recipe around chapter 1's statements. A client creates an ephemeral sequential znode. It has the lock if its number is
//! the lowest; otherwise it watches the znode before its own. If a holder dies, its session ends and ZooKeeper deletes its znode.

use sqlx::PgConnection;
use zookeeper_client::{Acls, Client, LockPrefix};

use super::store::{Store, path};
use crate::ways::{
    postgres::database::{Database, order, read, write},
    way::{Answer, Gap, Kit, Sold, Way},
};

pub(super) struct Lock {
    zookeeper: Store,
    database: Database,
    gap: Gap,
}

impl Way for Lock {
    type Client = (Client, PgConnection);

    async fn open(kit: &Kit) -> anyhow::Result<Lock> {
        Ok(Lock { zookeeper: Store::open(kit)?, database: Database::of(kit)?, gap: kit.gap.clone() })
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.zookeeper.set_up().await?;
        self.database.set_up("").await
    }

    async fn connect(&self) -> anyhow::Result<(Client, PgConnection)> {
        Ok((self.zookeeper.connect().await?, self.database.connect().await?))
    }

    async fn take(&self, (client, db): &mut (Client, PgConnection), item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let parent = path(item);
        let lock = client.lock(LockPrefix::new_curator(&parent, "lock-")?, b"", Acls::anyone_all()).await?;
        let (stock, sold) = read(db, item).await?;
        if sold >= stock {
            return Ok(Answer::SoldOut);
        }
        self.gap.pass().await;
        write(db, item, sold + 1).await?;
        order(db, item, buyer).await?;
        drop(lock); // deletes its znode, also on each return above
        Ok(Answer::Taken)
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        self.database.sold().await
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        Ok(self.zookeeper.calls().await? + self.database.calls().await?)
    }
}
