//! Chapter 2: `select … for update` first. InnoDB also lets other buyers of the item wait at the row.

use sqlx::{Connection, MySqlConnection};

use super::{Statements, database::order};
use crate::ways::way::{Answer, Gap};

pub(super) struct RowLock;

impl Statements for RowLock {
    async fn take(db: &mut MySqlConnection, gap: &Gap, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let mut tx = db.begin().await?;
        let locked = sqlx::query_as("select stock, sold from items where id = ? for update").bind(item);
        let (stock, sold): (i64, i64) = locked.fetch_one(&mut *tx).await?;
        if sold >= stock {
            tx.rollback().await?;
            return Ok(Answer::SoldOut);
        }
        gap.pass().await;
        sqlx::query("update items set sold = ? where id = ?").bind(sold + 1).bind(item).execute(&mut *tx).await?;
        order(&mut tx, item, buyer).await?;
        tx.commit().await?;
        Ok(Answer::Taken)
    }
}
