//! A mutex in the process around chapter 1's statements, one for each item. A second process has its own mutexes, and both oversell
//! together.

use sqlx::PgConnection;
use tokio::sync::Mutex;

use crate::ways::{
    postgres::database::{Database, order, read, write},
    way::{Answer, Gap, Kit, Sold, Way},
};

pub(super) struct MutexInProcess {
    database: Database,
    gap: Gap,
    items: Vec<Mutex<()>>,
}

impl Way for MutexInProcess {
    type Client = PgConnection;

    async fn open(kit: &Kit) -> anyhow::Result<MutexInProcess> {
        let items = (0..kit.stock.items).map(|_| Mutex::default()).collect();
        Ok(MutexInProcess { database: Database::of(kit)?, gap: kit.gap.clone(), items })
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.database.set_up("").await
    }

    async fn connect(&self) -> anyhow::Result<PgConnection> {
        self.database.connect().await
    }

    async fn take(&self, db: &mut PgConnection, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let _guard = self.items[item as usize - 1].lock().await;
        let (stock, sold) = read(db, item).await?;
        if sold >= stock {
            return Ok(Answer::SoldOut);
        }
        self.gap.pass().await;
        write(db, item, sold + 1).await?;
        order(db, item, buyer).await?;
        Ok(Answer::Taken)
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        self.database.sold().await
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        self.database.calls().await
    }
}
