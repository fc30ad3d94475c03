use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction, error::DatabaseError};

use crate::{
    order_id::{OrderId, list},
    orders::record::RESERVATION_LOST,
    sql::{in_time, session::write_always},
    transport::Reservation,
};

/// Turns reservations into orders, in one transaction. SQL checks again: if no unit is left, or the buyer has one, the order is
/// `failed`. Reservations that are orders already change nothing.
///
/// # Errors
/// PostgreSQL fails or does not answer in time. Repeat it then: what was committed changes nothing.
pub(crate) async fn place(sql: &PgPool, reservations: &[Reservation], pay_within: Duration) -> sqlx::Result<Placed> {
    let placed = in_time(async {
        let mut tx = sql.begin().await?;
        let placed = match place_in(&mut tx, reservations, pay_within, OnConflict::Fail).await {
            Err(error) if is_duplicate(&error) => {
                tx.rollback().await?;
                tx = sql.begin().await?;
                place_in(&mut tx, reservations, pay_within, OnConflict::DoNothing).await?
            }
            placed => placed?,
        };
        if placed.new_orders().next().is_none() {
            // They are orders already, perhaps on this disk only. The caller removes them from queue or outbox, so the COMMIT has to
            // wait for the standby also now.
            write_always(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(placed)
    })
    .await?;
    placed.report();
    Ok(placed)
}

/// The result for each reservation, except those that were orders before.
#[derive(Default)]
pub(crate) struct Placed {
    /// Confirmed orders, and the milliseconds since their reservation, from Redis's clock to PostgreSQL's.
    confirmed: Vec<(OrderId, i64)>,
    failed: Vec<OrderId>,
    /// Reservations whose id belongs to another buyer's order: Redis has given it twice.
    pub(crate) collided: Vec<Reservation>,
}

impl Placed {
    /// The new orders.
    pub(crate) fn new_orders(&self) -> impl Iterator<Item = OrderId> {
        self.confirmed.iter().map(|(order_id, _)| *order_id).chain(self.failed.iter().copied())
    }

    /// The orders whose buyers must be notified.
    pub(crate) fn orders(&self) -> Vec<OrderId> {
        self.new_orders().chain(self.collided.iter().map(|one| one.order_id)).collect()
    }

    /// Logs and counts the result. To be called after the commit, when it is true.
    fn report(&self) {
        let confirmed: Vec<OrderId> = self.confirmed.iter().map(|(order_id, _)| *order_id).collect();
        for (orders, what) in [(&confirmed, "confirmed"), (&self.failed, "failed")] {
            if !orders.is_empty() {
                tracing::info!(orders = list(orders), "{what}");
            }
        }
        let seconds = metrics::histogram!("reserved_to_confirmed_seconds");
        for (_, took) in &self.confirmed {
            seconds.record(*took as f64 / 1000.0);
        }
        metrics::histogram!("batch_orders").record((confirmed.len() + self.failed.len()) as f64);
        metrics::counter!("orders_confirmed_total").increment(confirmed.len() as u64);
        metrics::counter!("orders_failed_total").increment(self.failed.len() as u64);
        for one in &self.collided {
            tracing::error!("another buyer has this number, Redis has older data than it had: {one:?}");
        }
        metrics::counter!("order_collisions_total").increment(self.collided.len() as u64);
    }
}

/// What the insert does with a reservation that is an order already. Nearly all are new, and for `on conflict do nothing` PostgreSQL
/// looks for each of them in every unique index first. So a batch is tried without, and a second time with it if that fails.
#[derive(Debug, Clone, Copy)]
enum OnConflict {
    Fail,
    DoNothing,
}

fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(DatabaseError::is_unique_violation)
}

async fn place_in(
    tx: &mut Transaction<'_, Postgres>,
    reservations: &[Reservation],
    pay_within: Duration,
    on_conflict: OnConflict,
) -> sqlx::Result<Placed> {
    // All workers take locks in the same order, so they do not deadlock. Newer epochs are first: of one buyer's reservations, only
    // the newest one is still valid.
    let mut reservations = reservations.to_vec();
    reservations.sort_unstable_by_key(|one| (Reverse(one.order_id.epoch()), one.order_id, one.buyer_id));
    reservations.dedup_by_key(|one| (one.order_id, one.buyer_id));
    let columns = columns(&reservations);
    let on_conflict = match on_conflict {
        OnConflict::Fail => "",
        OnConflict::DoNothing => "on conflict do nothing",
    };
    // The answer is one row with two lists: a row for each order would cost a message for each.
    let insert = format!(
        "with placed as (
             insert into orders (id, sale_id, buyer_id, path, request, reserved_at, status, confirmed_at, pay_by)
             select one.*, 'confirmed', now, now + $7
             from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) as one,
                 now_ms() as now
             {on_conflict} returning id, confirmed_at - reserved_at as took
         )
         select coalesce(array_agg(id), '{{}}'), coalesce(array_agg(took), '{{}}') from placed"
    );
    let mut query = sqlx::query_as(AssertSqlSafe(insert));
    for column in &columns {
        query = query.bind(column);
    }
    let pay_within = pay_within.as_millis() as i64;
    let (ids, took): (Vec<OrderId>, Vec<i64>) = query.bind(pay_within).fetch_one(&mut **tx).await?;
    let mut confirmed: Vec<(OrderId, i64)> = ids.into_iter().zip(took).collect();
    let all_new = confirmed.len() == reservations.len();

    // Redis has counted the units, and SQL counts them again.
    let mut per_epoch: BTreeMap<(i64, i64), Vec<OrderId>> = BTreeMap::new();
    for &(order_id, _) in &confirmed {
        per_epoch.entry((order_id.sale_id(), order_id.epoch())).or_default().push(order_id);
    }
    let mut failed = Vec::new();
    for ((sale_id, epoch), orders) in per_epoch {
        let refused = count(tx, sale_id, epoch, orders).await?;
        confirmed.retain(|(order_id, _)| !refused.contains(order_id));
        failed.extend(refused);
    }

    // What was not inserted is an order already, because the message came twice, or its buyer has a unit.
    let mut collided = Vec::new();
    if !all_new {
        failed.extend(fail(tx, &reservations, "limit-reached").await?);
        collided = collisions(tx, &reservations).await?;
    }
    Ok(Placed { confirmed, failed, collided })
}

/// The reservations whose id belongs to another buyer's order. They are written down, so that their buyers get an answer.
async fn collisions(
    tx: &mut Transaction<'_, Postgres>,
    reservations: &[Reservation],
) -> sqlx::Result<Vec<Reservation>> {
    let ids: Vec<OrderId> = reservations.iter().map(|one| one.order_id).collect();
    let query = sqlx::query_as("select id, buyer_id from orders where id = any($1)").bind(ids);
    let owners: HashMap<OrderId, i64> = query.fetch_all(&mut **tx).await?.into_iter().collect();
    let is_another = |one: &Reservation| owners.get(&one.order_id).is_some_and(|owner| *owner != one.buyer_id);
    let collided: Vec<Reservation> = reservations.iter().copied().filter(is_another).collect();
    if !collided.is_empty() {
        let insert = "insert into order_collisions (order_id, buyer_id)
                      select * from unnest($1::bigint[], $2::bigint[]) on conflict do nothing";
        let [orders, _, buyers, ..] = columns(&collided);
        sqlx::query(insert).bind(orders).bind(buyers).execute(&mut **tx).await?;
    }
    Ok(collided)
}

/// Inserts failed orders for the reservations that have no order yet, and returns them.
async fn fail(
    tx: &mut Transaction<'_, Postgres>,
    reservations: &[Reservation],
    reason: &str,
) -> sqlx::Result<Vec<OrderId>> {
    let insert = "insert into orders
                      (id, sale_id, buyer_id, path, request, reserved_at, status, reason, confirmed_at, pay_by)
                  select one.*, 'failed', $7, now, now
                  from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) as one,
                      now_ms() as now
                  on conflict (id) do nothing returning id";
    let mut query = sqlx::query_scalar(insert);
    let columns = columns(reservations);
    for column in &columns {
        query = query.bind(column);
    }
    query.bind(reason).fetch_all(&mut **tx).await
}

/// Reservations as arrays, one for each of the first six columns of `orders`.
fn columns(reservations: &[Reservation]) -> [Vec<i64>; 6] {
    let column = |of: fn(&Reservation) -> i64| reservations.iter().map(of).collect();
    [
        column(|one| one.order_id.0),
        column(|one| one.order_id.sale_id()),
        column(|one| one.buyer_id),
        column(|one| one.path),
        column(|one| one.request),
        column(|one| one.reserved_at),
    ]
}

/// Counts new orders of one sale and epoch as sold. Returns those without a unit, which are now failed: Redis had more units than
/// there are, or it was rebuilt before these orders arrived. An epoch that is higher than SQL's is accepted: PostgreSQL was
/// restored without its last commits, and the order is still valid.
async fn count(
    tx: &mut Transaction<'_, Postgres>,
    sale_id: i64,
    epoch: i64,
    mut orders: Vec<OrderId>,
) -> sqlx::Result<Vec<OrderId>> {
    let update = "update sales set sold = sold + $2 where id = $1 and epoch <= $3 and sold + $2 <= stock";
    let units = orders.len() as i64;
    let update = sqlx::query(update).bind(sale_id).bind(units).bind(epoch).execute(&mut **tx).await?;
    if update.rows_affected() == 1 {
        return Ok(Vec::new());
    }
    let left = "select stock - sold, epoch <= $2 from sales where id = $1 for no key update";
    let (left, current): (i64, bool) = sqlx::query_as(left).bind(sale_id).bind(epoch).fetch_one(&mut **tx).await?;
    // First come, first served. By now there may be units for all, because this read came after the failed update.
    orders.sort_unstable();
    let units = left.clamp(0, orders.len() as i64) as usize;
    let (refused, reason) = match current {
        true => (orders.split_off(units), "sold-out"),
        false => (std::mem::take(&mut orders), RESERVATION_LOST),
    };
    let fail = sqlx::query("update orders set status = 'failed', reason = $2 where id = any($1)");
    fail.bind(&refused).bind(reason).execute(&mut **tx).await?;
    let update = sqlx::query("update sales set sold = sold + $2 where id = $1").bind(sale_id);
    update.bind(orders.len() as i64).execute(&mut **tx).await?;
    metrics::counter!("late_rejects_total").increment(refused.len() as u64);
    Ok(refused)
}
