use std::{collections::BTreeMap, time::Duration};

use sqlx::{PgPool, Postgres, Transaction};

use crate::{order_id::OrderId, shop::sales::now_ms, sql::in_time, transport::Reservation};

/// Turns reservations into orders, in one transaction; names those that were not orders already. Those that
/// SQL refuses, because no unit is left or their buyer has one, whatever Redis said, become orders that `failed`.
///
/// # Errors
/// The database's, and then nothing has changed.
pub(crate) async fn place(
    sql: &PgPool,
    reservations: &[Reservation],
    pay_within: Duration,
) -> sqlx::Result<Vec<OrderId>> {
    in_time(async {
        let mut tx = sql.begin().await?;
        let placed = place_in(&mut tx, reservations, pay_within).await?;
        tx.commit().await?;
        Ok(placed)
    })
    .await
}

async fn place_in(
    tx: &mut Transaction<'_, Postgres>,
    reservations: &[Reservation],
    pay_within: Duration,
) -> sqlx::Result<Vec<OrderId>> {
    // Workers that take locks in one order do not wait for each other in a circle.
    let mut reservations = reservations.to_vec();
    reservations.sort_unstable_by_key(|one| one.order_id);
    reservations.dedup_by_key(|one| one.order_id);
    let column = |of: fn(&Reservation) -> i64| reservations.iter().map(of).collect::<Vec<_>>();
    let now = now_ms();
    let (ids, sales) = (column(|one| one.order_id.0), column(|one| one.order_id.sale_id()));
    let (buyers, times) = (column(|one| one.buyer_id), column(|one| one.reserved_at));

    let insert = "insert into orders (id, sale_id, buyer_id, status, reserved_at, confirmed_at, pay_by)
                  select id, sale_id, buyer_id, 'confirmed', reserved_at, $5, $6
                  from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                      as one (id, sale_id, buyer_id, reserved_at)
                  on conflict do nothing returning id";
    let pay_by = now + pay_within.as_millis() as i64;
    let insert = sqlx::query_scalar(insert).bind(&ids).bind(&sales).bind(&buyers).bind(&times);
    let mut confirmed: Vec<OrderId> = insert.bind(now).bind(pay_by).fetch_all(&mut **tx).await?;

    let all_new = confirmed.len() == reservations.len();

    // Redis has counted. SQL counts again.
    let mut per_sale: BTreeMap<i64, Vec<OrderId>> = BTreeMap::new();
    for &order_id in &confirmed {
        per_sale.entry(order_id.sale_id()).or_default().push(order_id);
    }
    let mut failed = Vec::new();
    for (sale_id, mut orders) in per_sale {
        let left = "select stock - sold from sales where id = $1 for no key update";
        let update = "update sales set sold = sold + $2 where id = $1 and sold + $2 <= stock";
        let update = sqlx::query(update).bind(sale_id).bind(orders.len() as i64).execute(&mut **tx).await?;
        if update.rows_affected() == 1 {
            continue;
        }
        // Redis had more than there is. First come, first served.
        let left: i64 = sqlx::query_scalar(left).bind(sale_id).fetch_one(&mut **tx).await?;
        orders.sort_unstable();
        let refused = orders.split_off(left as usize);
        let fail = sqlx::query("update orders set status = 'failed', reason = 'sold-out' where id = any($1)");
        fail.bind(&refused).execute(&mut **tx).await?;
        let update = sqlx::query("update sales set sold = sold + $2 where id = $1").bind(sale_id);
        update.bind(orders.len() as i64).execute(&mut **tx).await?;
        confirmed.retain(|order_id| !refused.contains(order_id));
        failed.extend(refused);
    }

    // Not inserted: there already, from a message that came twice, or of a buyer who has a unit.
    if !all_new {
        let insert = "insert into orders (id, sale_id, buyer_id, status, reason, reserved_at, confirmed_at, pay_by)
                      select id, sale_id, buyer_id, 'failed', 'limit-reached', reserved_at, $5, $5
                      from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                          as one (id, sale_id, buyer_id, reserved_at)
                      on conflict (id) do nothing returning id";
        let insert = sqlx::query_scalar(insert).bind(&ids).bind(&sales).bind(&buyers).bind(&times);
        failed.extend::<Vec<OrderId>>(insert.bind(now).fetch_all(&mut **tx).await?);
    }
    metrics::counter!("orders_confirmed_total").increment(confirmed.len() as u64);
    metrics::counter!("orders_failed_total").increment(failed.len() as u64);

    Ok(confirmed.into_iter().chain(failed).collect())
}
