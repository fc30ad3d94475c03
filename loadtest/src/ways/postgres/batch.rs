//! One transaction for a batch of buyers.

use sqlx::{Connection, PgConnection};

use super::queue::Wish;
use crate::ways::way::Answer;

/// Sells to the first of each item until its stock is gone, in one transaction.
pub(super) async fn commit(db: &mut PgConnection, batch: &[Wish]) -> sqlx::Result<Vec<Answer>> {
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
