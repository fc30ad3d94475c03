//! A queue in each process with one writer at its end, which takes all who wait.

use anyhow::Context;
use tokio::sync::{mpsc, oneshot};

use super::{batch::commit, database::Database};
use crate::ways::way::{Answer, Kit, Sold, Way};

/// The buyers that share a transaction.
const BATCH: usize = 50;

pub(super) struct Queue {
    database: Database,
    wishes: mpsc::Sender<Wish>,
}

/// An item, a buyer, and where the writer answers.
pub(super) type Wish = (i64, i64, oneshot::Sender<Answer>);

/// Writes batches until the queue closes. If MariaDB fails, the batch's buyers get no answer.
async fn write(database: Database, mut queue: mpsc::Receiver<Wish>) {
    let (mut batch, mut db) = (Vec::new(), None);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        if db.is_none() {
            db = database.connect().await.ok();
        }
        let answers = match &mut db {
            Some(connection) => commit(connection, &batch).await.ok(),
            None => None,
        };
        let Some(answers) = answers else {
            (batch, db) = (Vec::new(), None);
            continue;
        };
        for ((.., asks), answer) in batch.drain(..).zip(answers) {
            let _ = asks.send(answer); // a client that has gone
        }
    }
}

impl Way for Queue {
    type Client = ();

    async fn open(kit: &Kit) -> anyhow::Result<Queue> {
        let (database, (wishes, wished)) = (Database::of(kit)?, mpsc::channel(1024));
        tokio::spawn(write(database.clone(), wished));
        Ok(Queue { database, wishes })
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.database.set_up(true).await
    }

    async fn connect(&self) -> anyhow::Result<()> {
        self.database.connect().await.map(drop) // says at once that MariaDB is gone
    }

    async fn take(&self, _: &mut (), item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let (asks, answer) = oneshot::channel();
        self.wishes.send((item, buyer, asks)).await.ok().context("the writer has ended")?;
        answer.await.context("MariaDB did not answer the writer")
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        self.database.sold().await
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        self.database.calls().await
    }
}
