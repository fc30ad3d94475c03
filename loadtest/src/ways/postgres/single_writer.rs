//! A queue in each process with one writer at its end. The writer takes all who wait, at most 64, and commits once for them. Its row
//! locks keep it right beside the writers of other processes.

use anyhow::Context;
use sqlx::{Connection, PgConnection};
use tokio::sync::{mpsc, oneshot};

use super::database::Database;
use crate::ways::way::{Answer, Kit, Sold, Way};

const BATCH: usize = 64;

pub(super) struct SingleWriter {
    database: Database,
    queue: mpsc::Sender<Wish>,
}

/// An item, a buyer, and where the writer answers.
type Wish = (i64, i64, oneshot::Sender<Answer>);

/// Writes batches until the queue closes. If PostgreSQL fails, the batch's buyers get no answer.
async fn write(database: Database, mut queue: mpsc::Receiver<Wish>) {
    let (mut batch, mut db) = (Vec::new(), None);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        if db.is_none() {
            db = database.connect().await.ok();
        }
        let Some(connection) = &mut db else {
            batch.clear();
            continue;
        };
        match commit(connection, &batch).await {
            Ok(answers) => {
                for ((.., asks), answer) in batch.drain(..).zip(answers) {
                    let _ = asks.send(answer); // a client that has gone
                }
            }
            Err(_) => (batch, db) = (Vec::new(), None),
        }
    }
}

/// Sells to the first of each item until its stock is gone, in one transaction.
async fn commit(db: &mut PgConnection, batch: &[Wish]) -> sqlx::Result<Vec<Answer>> {
    let mut tx = db.begin().await?;
    let wished: Vec<i64> = batch.iter().map(|wish| wish.0).collect();
    let mut left = sqlx::query_as("select id, stock - sold from items where id = any($1) order by id for update")
        .bind(wished)
        .fetch_all(&mut *tx)
        .await?;
    let (mut items, mut buyers) = (Vec::new(), Vec::new());
    let answers = batch.iter().map(|&(item, buyer, _)| {
        let Some((_, units)) = left.iter_mut().find(|(id, units): &&mut (i64, i64)| *id == item && *units > 0) else {
            return Answer::SoldOut;
        };
        *units -= 1;
        items.push(item);
        buyers.push(buyer);
        Answer::Taken
    });
    let answers = answers.collect();
    let sold = "update items set sold = stock - units from unnest($1, $2) as rest (item, units) where id = item";
    let (ids, units): (Vec<i64>, Vec<i64>) = left.into_iter().unzip();
    sqlx::query(sold).bind(ids).bind(units).execute(&mut *tx).await?;
    let orders = "insert into orders (item, buyer) select * from unnest($1, $2)";
    sqlx::query(orders).bind(items).bind(buyers).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(answers)
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
