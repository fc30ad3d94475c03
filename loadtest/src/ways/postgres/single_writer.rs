//! A queue in each process with one writer at its end. The writer takes all who wait, at most 64, and commits once for them. Its row
//! locks keep it right beside the writers of other processes.

use anyhow::Context;
use tokio::sync::{mpsc, oneshot};

use super::{
    database::Database,
    queue::{Wish, write},
};
use crate::ways::way::{Answer, Kit, Sold, Way};

pub(super) struct SingleWriter {
    database: Database,
    queue: mpsc::Sender<Wish>,
}

impl Way for SingleWriter {
    type Client = ();

    async fn open(kit: &Kit) -> anyhow::Result<SingleWriter> {
        let (database, (queue, wishes)) = (Database::of(kit)?, mpsc::channel(1024));
        tokio::spawn(write(database.clone(), wishes));
        Ok(SingleWriter { database, queue })
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.database.set_up("").await
    }

    async fn connect(&self) -> anyhow::Result<()> {
        self.database.connect().await.map(drop) // says at once that PostgreSQL is gone
    }

    async fn take(&self, _: &mut (), item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let (asks, answer) = oneshot::channel();
        self.queue.send((item, buyer, asks)).await.ok().context("the writer has ended")?;
        answer.await.context("PostgreSQL did not answer the writer")
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        self.database.sold().await
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        self.database.calls().await
    }
}
