//! One row for each unit. A buyer takes the first unit that nobody has locked (`for update skip locked`), so buyers do not wait for
//! each other.

use sqlx::{Connection, PgConnection};

use super::{Statements, database::order};
use crate::ways::way::{Answer, Gap};

pub(super) struct SkipLocked;

/// The unit's buyer is a mark only: the order has the buyer, as in all ways.
const TAKE: &str = "update units set buyer = $2 where id =
    (select id from units where item = $1 and buyer is null order by id limit 1 for update skip locked)";

impl Statements for SkipLocked {
    const SET_UP: &str = "
        create table if not exists units (id bigint generated always as identity primary key, item bigint, buyer bigint);
        create index if not exists free_units on units (item, id) where buyer is null;
        truncate units;
        insert into units (item) select id from items, generate_series(1, stock);
        analyze units;
    ";

    async fn take(db: &mut PgConnection, gap: &Gap, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let mut tx = db.begin().await?;
        let taken = sqlx::query(TAKE).bind(item).bind(buyer).execute(&mut *tx).await?;
        if taken.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Answer::SoldOut);
        }
        gap.pass().await;
        order(&mut tx, item, buyer).await?;
        tx.commit().await?;
        Ok(Answer::Taken)
    }
}
