//! Chapter 2: `select … for update` first. The row stays locked for three more round trips and the commit.

use sqlx::{Connection, PgConnection};

use super::{
    Statements,
    database::{order, write},
};
use crate::ways::way::{Answer, Gap};

pub(super) struct RowLock;

impl Statements for RowLock {
    async fn take(db: &mut PgConnection, gap: &Gap, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let mut tx = db.begin().await?;
        let (stock, sold) = read_locked(&mut tx, item).await?;
        if sold >= stock {
            tx.rollback().await?;
            return Ok(Answer::SoldOut);
        }
        gap.pass().await;
        write(&mut tx, item, sold + 1).await?;
        order(&mut tx, item, buyer).await?;
        tx.commit().await?;
        Ok(Answer::Taken)
    }
}

/// The stock of an item and how many units are sold. Other buyers of the item wait from here to the commit.
pub(super) async fn read_locked(tx: &mut PgConnection, item: i64) -> sqlx::Result<(i64, i64)> {
    sqlx::query_as("select stock, sold from items where id = $1 for update").bind(item).fetch_one(tx).await
}
