//! Where an order stands: by its row in SQL, or by its reservation in Redis.

use redis::{AsyncCommands, RedisResult};
use sqlx::PgPool;

use crate::{
    order_id::{MOST_EPOCHS, OrderId},
    redis_store::RedisStore,
    shop::Buyer,
    sql::in_time,
};

/// The reason of an order that failed because Redis lost its reservation.
pub(crate) const RESERVATION_LOST: &str = "reservation-lost";
/// The reason of an order that failed because another buyer's order has its id: Redis had gone back to older data, and gave it
/// twice.
pub(crate) const NUMBER_TAKEN: &str = "number-taken";

/// Where an order stands.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Standing {
    /// `queued`, `confirmed`, `paid`, `expired`, `failed`.
    pub(crate) status: String,
    /// Why the order failed.
    pub(crate) reason: Option<String>,
    /// When the time to pay ends, in milliseconds since 1970 by PostgreSQL's clock; `None` while the order is queued.
    pub(crate) pay_by: Option<i64>,
    /// Whether a payment has claimed the order, and the card is about to be charged.
    pub(crate) paying: bool,
}

impl Standing {
    /// A reservation that is not in SQL yet.
    pub(super) fn queued() -> Standing {
        Standing { status: "queued".into(), reason: None, pay_by: None, paying: false }
    }

    /// Whether a watcher has no further change to wait for.
    pub(crate) fn is_final(&self) -> bool {
        !["queued", "confirmed"].contains(&self.status.as_str())
    }
}

/// The order of this buyer's reservation in a sale; `None` if Redis has no such reservation.
pub(crate) async fn held(redis: &RedisStore, sale_id: i64, buyer: Buyer) -> RedisResult<Option<OrderId>> {
    let held = redis.keys(sale_id).held;
    let held: Option<Vec<u8>> = redis.of(sale_id).hget(held, &buyer.id.to_be_bytes()).await?;
    Ok(held.as_deref().and_then(number))
}

/// The orders of a buyer's reservations of these sales.
pub(super) async fn held_of(redis: &RedisStore, sales: &[i64], buyer: Buyer) -> RedisResult<Vec<OrderId>> {
    let mut orders = Vec::new();
    for (mut shard, sales) in redis.by_shard(sales.iter().copied()) {
        let mut read = redis::pipe();
        for &sale_id in &sales {
            read.hget(redis.keys(sale_id).held, &buyer.id.to_be_bytes());
        }
        let held: Vec<Option<Vec<u8>>> = read.query_async(&mut shard).await?;
        orders.extend(held.iter().flatten().filter_map(|held| number(held)));
    }
    Ok(orders)
}

/// The order of a reservation, which begins with the order's id.
fn number(held: &[u8]) -> Option<OrderId> {
    Some(OrderId(i64::from_be_bytes(*held.first_chunk()?)))
}

/// An order in SQL, and its buyer. Two buyers may have been given the same id.
#[derive(sqlx::FromRow)]
pub(crate) struct Recorded {
    pub(crate) id: OrderId,
    /// `None` if the reservation was lost, because then its buyer is not known.
    buyer_id: Option<i64>,
    #[sqlx(flatten)]
    pub(crate) standing: Standing,
}

impl Recorded {
    /// Whether it is this buyer's order. An order whose buyer is not known counts as everybody's.
    pub(crate) fn is_of(&self, buyer_id: i64) -> bool {
        self.buyer_id.is_none_or(|id| id == buyer_id)
    }
}

/// The newest orders of a buyer, at most 100.
pub(super) async fn of_buyer(sql: &PgPool, buyer: Buyer) -> sqlx::Result<Vec<Recorded>> {
    let query = "select id, buyer_id, status, reason, pay_by, paid_with is not null as paying from orders
                 where buyer_id = $1 order by id desc limit 100";
    in_time(sqlx::query_as(query).bind(buyer.id).fetch_all(sql)).await
}

/// What SQL knows of these orders, for all buyers. An id of a past epoch without a row is reported as failed: no orders are added
/// to a past epoch, so Redis has lost its reservation.
///
/// PostgreSQL keeps the plan of a prepared query, and the first plans are made for an empty table. `offset 0` and the scalar
/// subquery leave it only one: the index, once for each id. Otherwise each lookup reads the whole table by the end of the sale.
pub(crate) async fn recorded(sql: &PgPool, orders: &[OrderId]) -> sqlx::Result<Vec<Recorded>> {
    let query = "select known.* from unnest($1::bigint[]) as one, lateral (
                     select id, buyer_id, status, reason, pay_by, paid_with is not null as paying from orders
                     where id = one offset 0) as known
                 union all
                 select order_id, buyer_id, 'failed', $4, null, false from order_collisions where order_id = any($1)
                 union all
                 select one, null, 'failed', $2, null, false
                 from unnest($1) as one join sales on sales.id = one >> 33
                 where (one >> 25 & $3) between 1 and sales.epoch - 1
                     and (select true from orders where orders.id = one) is null";
    let query = sqlx::query_as(query).bind(orders).bind(RESERVATION_LOST).bind(MOST_EPOCHS).bind(NUMBER_TAKEN);
    in_time(query.fetch_all(sql)).await
}
