//! `setData` with the version that was read: ZooKeeper refuses it if somebody has written since. Each write is flushed to disk.

use zookeeper_client::{Client, Error};

use super::store::{Store, path};
use crate::ways::way::{Answer, Gap, Kit, Sold, Way};

pub(super) struct SetData {
    store: Store,
    gap: Gap,
}

impl Way for SetData {
    type Client = Client;

    async fn open(kit: &Kit) -> anyhow::Result<SetData> {
        Ok(SetData { store: Store::open(kit)?, gap: kit.gap.clone() })
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.store.set_up().await
    }

    async fn connect(&self) -> anyhow::Result<Client> {
        self.store.connect().await
    }

    async fn take(&self, client: &mut Client, item: i64, _: i64) -> anyhow::Result<Answer> {
        let (sold, version) = read(client, item).await?;
        if sold >= self.store.stock.units {
            return Ok(Answer::SoldOut);
        }
        self.gap.pass().await;
        match client.set_data(&path(item), (sold + 1).to_string().as_bytes(), Some(version)).await {
            Ok(_) => Ok(Answer::Taken),
            Err(Error::BadVersion) => Ok(Answer::Again),
            Err(unknown) => Err(unknown.into()),
        }
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        let (client, mut sold) = (self.store.connect().await?, Sold::default());
        for item in 1..=self.store.stock.items {
            sold.units.insert(item, read(&client, item).await?.0);
        }
        Ok(sold)
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        self.store.calls().await
    }
}

/// How many units of an item are sold, and the version of its znode.
async fn read(client: &Client, item: i64) -> anyhow::Result<(i64, i32)> {
    let (data, stat) = client.get_data(&path(item)).await?;
    Ok((std::str::from_utf8(&data)?.parse()?, stat.version))
}
