//! One transaction for all buyers of a batch.

use sqlx::{Connection, MySql, MySqlConnection, QueryBuilder};

use super::queue::Wish;
use crate::ways::way::Answer;

/// Sells to the first of each item until its stock is gone. The rows are locked in one order, so two writers never deadlock.
pub(super) async fn commit(db: &mut MySqlConnection, batch: &[Wish]) -> sqlx::Result<Vec<Answer>> {
    let mut items: Vec<i64> = batch.iter().map(|wish| wish.0).collect();
    items.sort_unstable();
    items.dedup();
    let (mut tx, mut answers, mut orders) = (db.begin().await?, vec![Answer::SoldOut; batch.len()], Vec::new());
    for item in items {
        let locked = sqlx::query_scalar("select stock - sold from items where id = ? for update").bind(item);
        let left: i64 = locked.fetch_one(&mut *tx).await?;
        let first = (0..batch.len()).filter(|n| batch[*n].0 == item).take(usize::try_from(left).unwrap_or(0));
        let first: Vec<usize> = first.collect();
        if first.is_empty() {
            continue;
        }
        let sold = sqlx::query("update items set sold = sold + ? where id = ?").bind(first.len() as i64).bind(item);
        sold.execute(&mut *tx).await?;
        first.iter().for_each(|n| answers[*n] = Answer::Taken);
        orders.extend(first.iter().map(|n| (item, batch[*n].1)));
    }
    if !orders.is_empty() {
        QueryBuilder::<MySql>::new("insert into orders (item, buyer) ")
            .push_values(orders, |mut row, (item, buyer)| {
                row.push_bind(item).push_bind(buyer);
            })
            .build()
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(answers)
}
