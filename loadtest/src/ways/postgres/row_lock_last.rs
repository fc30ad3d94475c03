//! Chapter 2 with the statements in another order: first the order, then the row that everybody wants. The row is locked for one
//! round trip less, and a refused buyer's order is rolled back.

use sqlx::{Connection, PgConnection};

use super::{
    Statements,
    database::{order, write},
    row_lock::read_locked,
};
use crate::ways::way::{Answer, Gap};

pub(super) struct RowLockLast;

impl Statements for RowLockLast {
    async fn take(db: &mut PgConnection, gap: &Gap, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let mut tx = db.begin().await?;
        order(&mut tx, item, buyer).await?;
        let (stock, sold) = read_locked(&mut tx, item).await?;
        if sold >= stock {
            tx.rollback().await?;
            return Ok(Answer::SoldOut);
        }
        gap.pass().await;
        write(&mut tx, item, sold + 1).await?;
        tx.commit().await?;
        Ok(Answer::Taken)
    }
}
