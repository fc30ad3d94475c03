//! The condition is part of the update: `where sold < stock`. The database checks and writes under the row's lock.

use sqlx::{Connection, PgConnection};

use super::{Statements, database::order};
use crate::ways::way::{Answer, Gap};

pub(super) struct Conditional;

impl Statements for Conditional {
    async fn take(db: &mut PgConnection, gap: &Gap, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let mut tx = db.begin().await?;
        let updated = sqlx::query("update items set sold = sold + 1 where id = $1 and sold < stock")
            .bind(item)
            .execute(&mut *tx)
            .await?;
        if updated.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Answer::SoldOut);
        }
        gap.pass().await;
        order(&mut tx, item, buyer).await?;
        tx.commit().await?;
        Ok(Answer::Taken)
    }
}
