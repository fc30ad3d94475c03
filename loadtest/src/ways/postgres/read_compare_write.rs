//! Chapter 1: read the counter, compare, write it back. All who read the same `sold` write back the same number.

use sqlx::PgConnection;

use super::{
    Statements,
    database::{order, read, write},
};
use crate::ways::way::{Answer, Gap};

pub(super) struct ReadCompareWrite;

impl Statements for ReadCompareWrite {
    async fn take(db: &mut PgConnection, gap: &Gap, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let (stock, sold) = read(db, item).await?;
        if sold >= stock {
            return Ok(Answer::SoldOut);
        }
        gap.pass().await;
        write(db, item, sold + 1).await?;
        order(db, item, buyer).await?;
        Ok(Answer::Taken)
    }
}
