use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use sqlx::{PgPool, Postgres, Transaction};

use crate::{
    order_id::{OrderId, list},
    orders::record::RESERVATION_LOST,
    sql::in_time,
    transport::Reservation,
};

/// Turns reservations into orders, in one transaction. Those that SQL refuses, because no unit is left or their buyer has one,
/// whatever Redis said, become orders that `failed`. Those that are orders already change nothing.
///
/// # Errors
/// The database's, and then nothing has changed.
pub(crate) async fn place(sql: &PgPool, reservations: &[Reservation], pay_within: Duration) -> sqlx::Result<Placed> {
    in_time(async {
        let mut tx = sql.begin().await?;
        let placed = place_in(&mut tx, reservations, pay_within).await?;
        tx.commit().await?;
        placed.report();
        Ok(placed)
    })
    .await
}

/// What came of reservations. Those that were orders before are not in it.
#[derive(Default)]
pub(crate) struct Placed {
    /// And how long since the reservation, in milliseconds: from Redis's clock to PostgreSQL's.
    confirmed: Vec<(OrderId, i64)>,
    failed: Vec<OrderId>,
    /// Their number is another buyer's order's: Redis has given it twice.
    pub(crate) collided: Vec<Reservation>,
}

impl Placed {
    /// Orders that were none before.
    pub(crate) fn new_orders(&self) -> impl Iterator<Item = OrderId> {
        self.confirmed.iter().map(|(order_id, _)| *order_id).chain(self.failed.iter().copied())
    }

    /// Numbers for which there is something to be told.
    pub(crate) fn orders(&self) -> Vec<OrderId> {
        self.new_orders().chain(self.collided.iter().map(|one| one.order_id)).collect()
    }

    /// Said when it is true: after the commit.
    fn report(&self) {
        let confirmed: Vec<OrderId> = self.confirmed.iter().map(|(order_id, _)| *order_id).collect();
        for (orders, what) in [(&confirmed, "confirmed"), (&self.failed, "failed")] {
            if !orders.is_empty() {
                tracing::info!(orders = list(orders), "{what}");
            }
        }
        for (_, took) in &self.confirmed {
            metrics::histogram!("reserved_to_confirmed_seconds").record(*took as f64 / 1000.0);
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

async fn place_in(
    tx: &mut Transaction<'_, Postgres>,
    reservations: &[Reservation],
    pay_within: Duration,
) -> sqlx::Result<Placed> {
    // Workers that take locks in one order do not wait for each other in a circle.
    let mut reservations = reservations.to_vec();
    reservations.sort_unstable_by_key(|one| (one.order_id, one.buyer_id));
    reservations.dedup_by_key(|one| (one.order_id, one.buyer_id));
    let columns = columns(&reservations);
    let insert = "insert into orders (id, sale_id, buyer_id, path, request, reserved_at, status, confirmed_at, pay_by)
                  select one.*, 'confirmed', now, now + $7
                  from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) as one,
                      now_ms() as now
                  on conflict do nothing returning id, confirmed_at - reserved_at";
    let mut query = sqlx::query_as(insert);
    for column in &columns {
        query = query.bind(column);
    }
    let pay_within = pay_within.as_millis() as i64;
    let mut confirmed: Vec<(OrderId, i64)> = query.bind(pay_within).fetch_all(&mut **tx).await?;
    let all_new = confirmed.len() == reservations.len();

    // Redis has counted. SQL counts again.
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

    // Not inserted: there already, from a message that came twice, or of a buyer who has a unit.
    let mut collided = Vec::new();
    if !all_new {
        failed.extend(fail(tx, &reservations, "limit-reached").await?);
        collided = collisions(tx, &reservations).await?;
    }
    Ok(Placed { confirmed, failed, collided })
}

/// Those whose number stands in SQL as another buyer's order, noted down as an answer to whoever asks for them.
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

/// Makes failed orders of those of which SQL knows nothing yet, and names them.
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

/// Reservations as the first six columns of `orders`, each an array.
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

/// Counts new orders of one sale and epoch as sold; returns those for which there is no unit, now failed: Redis had more than
/// there is, or had lost its memory and was rebuilt before these got here. An epoch that SQL does not know yet is one that it has
/// forgotten, restored without its last commits: such an order is as good as it was.
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
    // First come, first served. There may be units for all by now: this look came after the one that found too few.
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
