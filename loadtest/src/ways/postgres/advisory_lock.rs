//! An advisory lock with the item's number: PostgreSQL's mutex. It locks no row, and it ends with the transaction.

use sqlx::{Connection, PgConnection};

use super::{
    Statements,
    database::{order, read, write},
};
use crate::ways::way::{Answer, Gap};

pub(super) struct AdvisoryLock;

impl Statements for AdvisoryLock {
    async fn take(db: &mut PgConnection, gap: &Gap, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let mut tx = db.begin().await?;
        sqlx::query("select pg_advisory_xact_lock($1)").bind(item).execute(&mut *tx).await?;
        // A new statement has a new snapshot, so it sees what the last holder has committed.
        let (stock, sold) = read(&mut tx, item).await?;
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
