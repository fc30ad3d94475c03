//! Where an order stands: by its row in SQL, or by its reservation in Redis.

use redis::{AsyncCommands, RedisResult};
use sqlx::PgPool;

use crate::{
    order_id::{MOST_EPOCHS, OrderId},
    redis_store::RedisStore,
    shop::Buyer,
    sql::in_time,
};

/// Why an order failed whose reservation was lost with Redis's memory.
pub(crate) const RESERVATION_LOST: &str = "reservation-lost";
/// Why an order failed whose number is another buyer's order's: Redis had gone back to older data, and gave it twice.
pub(crate) const NUMBER_TAKEN: &str = "number-taken";

/// Where an order stands.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Standing {
    /// `queued`, `confirmed`, `paid`, `expired`, `failed`.
    pub(crate) status: String,
    /// Why it failed.
    pub(crate) reason: Option<String>,
    /// By when it is to be paid, in milliseconds since 1970 by PostgreSQL's clock; nothing while it is queued.
    pub(crate) pay_by: Option<i64>,
    /// Whether a payment has taken it: it waits for the card to be charged.
    pub(crate) paying: bool,
}

impl Standing {
    /// That of a reservation on its way.
    pub(super) fn queued() -> Standing {
        Standing { status: "queued".into(), reason: None, pay_by: None, paying: false }
    }

    /// Whether it stays like this.
    pub(crate) fn is_final(&self) -> bool {
        !["queued", "confirmed"].contains(&self.status.as_str())
    }
}

/// The order of a buyer's reservation; `None` if Redis holds none of this sale.
pub(crate) async fn held(redis: &RedisStore, sale_id: i64, buyer: Buyer) -> RedisResult<Option<OrderId>> {
    let held = redis.keys(sale_id).held;
    let held: Option<Vec<u8>> = redis.shared.clone().hget(held, &buyer.id.to_be_bytes()).await?;
    Ok(held.as_deref().and_then(number))
}

/// The orders of a buyer's reservations of these sales.
pub(super) async fn held_of(redis: &RedisStore, sales: &[i64], buyer: Buyer) -> RedisResult<Vec<OrderId>> {
    if sales.is_empty() {
        return Ok(Vec::new()); // an empty pipeline is an error
    }
    let mut read = redis::pipe();
    for &sale_id in sales {
        read.hget(redis.keys(sale_id).held, &buyer.id.to_be_bytes());
    }
    let held: Vec<Option<Vec<u8>>> = read.query_async(&mut redis.shared.clone()).await?;
    Ok(held.iter().flatten().filter_map(|held| number(held)).collect())
}

/// A reservation begins with its order's number.
fn number(held: &[u8]) -> Option<OrderId> {
    Some(OrderId(i64::from_be_bytes(*held.first_chunk()?)))
}

/// An order as SQL has it, and whose it is. Two buyers may have been given the same number.
#[derive(sqlx::FromRow)]
pub(crate) struct Recorded {
    pub(crate) id: OrderId,
    /// `None` if the reservation was lost: then nobody knows whose it was.
    buyer_id: Option<i64>,
    #[sqlx(flatten)]
    pub(crate) standing: Standing,
}

impl Recorded {
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

/// What SQL says of many orders, whoever's they are. Of an epoch that is over, it knows all orders there will ever be: another
/// one was reserved in a Redis that has lost it.
pub(crate) async fn recorded(sql: &PgPool, orders: &[OrderId]) -> sqlx::Result<Vec<Recorded>> {
    let query =
        "select id, buyer_id, status, reason, pay_by, paid_with is not null as paying from orders where id = any($1)
                 union all
                 select order_id, buyer_id, 'failed', $4, null, false from order_collisions where order_id = any($1)
                 union all
                 select one, null, 'failed', $2, null, false
                 from unnest($1) as one join sales on sales.id = one >> 33
                 where (one >> 25 & $3) between 1 and sales.epoch - 1
                     and not exists (select from orders where orders.id = one)";
    let query = sqlx::query_as(query).bind(orders).bind(RESERVATION_LOST).bind(MOST_EPOCHS).bind(NUMBER_TAKEN);
    in_time(query.fetch_all(sql)).await
}
