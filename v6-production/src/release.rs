//! The path of an order, 5 of 5: reserve → relay → worker → notify → **release**.
//! In: orders whose time to pay is over, and orders that failed. Out: their units are for sale again.
//! When it breaks: SQL remembers which units are still to be released, and Redis releases each reservation only once.

use std::{
    collections::BTreeMap,
    sync::LazyLock,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use redis::Script;
use sqlx::PgPool;
use tokio::{sync::Mutex, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    catalogue::SHOWN_MS,
    notify::notices::Notices,
    order_id::{OrderId, list},
    redis_store::{KEPT_MS, RedisStore},
    sql::{in_time, session::write_always},
    supervise,
};

/// How often the orders are checked. A buyer can pay up to a second late, and the unit is for sale again a second later.
const EVERY: Duration = Duration::from_millis(500);
/// The most orders in one transaction.
const BATCH: i64 = 500;
/// How long a sale that could not release its units is left out.
const REST: Duration = Duration::from_secs(3);

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("release.lua")));

/// Expires orders and releases units, until `stop`. Any number of instances may run this: each takes different rows.
pub(crate) async fn run(sql: PgPool, redis: RedisStore, path_ttl: Duration, stop: CancellationToken) {
    let notices = &Notices(redis.clone());
    let (sql, redis, stop) = (&sql, &redis, &stop);
    // The sales that are left out, and until when. Otherwise the orders of one such sale could fill every batch.
    let resting = &Mutex::new(BTreeMap::<i64, Instant>::new());
    supervise::keep("release", stop, || async move {
        let expired = in_time(expire(sql)).await?;
        if !expired.is_empty() {
            tracing::info!(orders = list(&expired), "expired");
        }
        metrics::counter!("orders_expired_total").increment(expired.len() as u64);
        notices.orders(&expired).await;
        let mut resting = resting.lock().await;
        resting.retain(|_, until| Instant::now() < *until);
        let given_back = in_time(to_give_back(sql, &resting)).await?;
        if given_back.is_empty() && expired.is_empty() {
            let _ = stop.run_until_cancelled(sleep(EVERY)).await;
            return Ok(());
        }
        give_back(sql, redis, path_ttl, given_back, &mut resting).await
    })
    .await;
}

/// Expires unpaid orders. Of this update and the claim of a payment, only the first one finds the order unclaimed and `confirmed`.
async fn expire(sql: &PgPool) -> sqlx::Result<Vec<OrderId>> {
    let mut tx = sql.begin().await?;
    // `materialized`: with statistics from before the sale, the planner would ask for the due orders again for each unpaid order.
    let update = "with due as materialized (
                      select id from orders where status = 'confirmed' and paid_with is null and pay_by <= now_ms()
                      order by pay_by limit $1 for update skip locked)
                  update orders set status = 'expired' from due where orders.id = due.id returning orders.id";
    let expired: Vec<OrderId> = sqlx::query_scalar(update).bind(BATCH).fetch_all(&mut *tx).await?;
    let mut per_sale: BTreeMap<i64, i64> = BTreeMap::new();
    for order_id in &expired {
        *per_sale.entry(order_id.sale_id()).or_default() += 1;
    }
    for (sale_id, units) in per_sale {
        let update = "update sales set sold = sold - $2 where id = $1";
        sqlx::query(update).bind(sale_id).bind(units).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(expired)
}

/// An order that has ended, whose reservation may still be in Redis.
#[derive(sqlx::FromRow)]
struct Over {
    id: OrderId,
    buyer_id: i64,
    /// Whether a unit is released. False for an order that SQL refused as sold out, because Redis had counted one unit too many.
    unit: bool,
}

/// Orders whose units are to be released. Redis sells these units again, so that the orders have ended must be on the standby, too.
async fn to_give_back(sql: &PgPool, resting: &BTreeMap<i64, Instant>) -> sqlx::Result<Vec<Over>> {
    let mut tx = sql.begin().await?;
    let query = "select id, buyer_id, reason is distinct from 'sold-out' as unit from orders
                 where status in ('expired', 'failed') and not given_back and sale_id <> all($3)
                     and exists (select from sales where sales.id = sale_id and closes_at > now_ms() - $2)
                 order by id limit $1";
    let resting: Vec<i64> = resting.keys().copied().collect();
    let over: Vec<Over> = sqlx::query_as(query).bind(BATCH).bind(SHOWN_MS).bind(resting).fetch_all(&mut *tx).await?;
    if !over.is_empty() {
        write_always(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(over)
}

/// Releases the units of all these orders. Sales that are closed, or whose Redis does not answer, are added to `resting`. All sales
/// are asked at the same time, so several that do not answer cost one time-out.
async fn give_back(
    sql: &PgPool,
    redis: &RedisStore,
    path_ttl: Duration,
    orders: Vec<Over>,
    resting: &mut BTreeMap<i64, Instant>,
) -> anyhow::Result<()> {
    let mut per_sale: BTreeMap<i64, Vec<Over>> = BTreeMap::new();
    for order in orders {
        per_sale.entry(order.id.sale_id()).or_default().push(order);
    }
    let each = per_sale.iter().map(|(sale_id, orders)| give_back_of(sql, redis, path_ttl, *sale_id, orders));
    let mut failed = None;
    for (sale_id, is_released) in per_sale.keys().zip(join_all(each).await) {
        if !matches!(is_released, Ok(true)) {
            resting.insert(*sale_id, Instant::now() + REST);
        }
        failed = failed.or(is_released.err());
    }
    failed.map_or(Ok(()), Err)
}

/// Releases units of one sale in Redis, and then notes it in SQL. After a crash in between, the release is repeated and changes
/// nothing. Returns false if the sale is closed.
async fn give_back_of(
    sql: &PgPool,
    redis: &RedisStore,
    path_ttl: Duration,
    sale_id: i64,
    orders: &[Over],
) -> anyhow::Result<bool> {
    let keys = redis.keys(sale_id);
    let mut call = SCRIPT.key(keys.sale);
    call.key(keys.held).key(keys.spent).key(keys.ended);
    call.arg(redis.channel("stock")).arg(sale_id).arg(path_ttl.as_millis() as u64).arg(KEPT_MS);
    for order in orders {
        call.arg(&order.buyer_id.to_be_bytes()).arg(&order.id.0.to_be_bytes()).arg(i64::from(order.unit));
    }
    let units: i64 = call.invoke_async(&mut redis.of(sale_id)).await?;
    let Ok(units) = u64::try_from(units) else { return Ok(false) };
    metrics::counter!("units_released_total").increment(units);
    let ids: Vec<OrderId> = orders.iter().map(|order| order.id).collect();
    let update = sqlx::query("update orders set given_back = true where id = any($1)");
    in_time(update.bind(&ids).execute(sql)).await?;
    tracing::info!(orders = list(&ids), units, "given back");
    Ok(true)
}
