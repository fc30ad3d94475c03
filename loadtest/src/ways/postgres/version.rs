//! Chapter 3: compare-and-swap on a version column. Of all buyers who read the same version, one gets a unit; the others ask again.

use sqlx::{Connection, PgConnection};

use super::{Statements, database::order};
use crate::ways::way::{Answer, Gap};

pub(super) struct Version;

impl Statements for Version {
    async fn take(db: &mut PgConnection, gap: &Gap, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let (stock, sold, version): (i64, i64, i64) =
            sqlx::query_as("select stock, sold, version from items where id = $1")
                .bind(item)
                .fetch_one(&mut *db)
                .await?;
        if sold >= stock {
            return Ok(Answer::SoldOut);
        }
        gap.pass().await;
        let mut tx = db.begin().await?;
        let swapped = sqlx::query("update items set sold = $3, version = version + 1 where id = $1 and version = $2")
            .bind(item)
            .bind(version)
            .bind(sold + 1)
            .execute(&mut *tx)
            .await?;
        if swapped.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Answer::Again);
        }
        order(&mut tx, item, buyer).await?;
        tx.commit().await?;
        Ok(Answer::Taken)
    }
}
