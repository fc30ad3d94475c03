//! `where sold < stock`: check and act are one statement. The row is locked for the insert and the commit.

use sqlx::{Connection, MySqlConnection};

use super::{Statements, database::order};
use crate::ways::way::{Answer, Gap};

pub(super) struct Conditional;

impl Statements for Conditional {
    async fn take(db: &mut MySqlConnection, gap: &Gap, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let mut tx = db.begin().await?;
        let sold = "update items set sold = sold + 1 where id = ? and sold < stock";
        if sqlx::query(sold).bind(item).execute(&mut *tx).await?.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Answer::SoldOut);
        }
        gap.pass().await;
        order(&mut tx, item, buyer).await?;
        tx.commit().await?;
        Ok(Answer::Taken)
    }
}
