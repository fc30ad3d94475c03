/// Questions that are asked of SQL together.
mod lookups;

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use redis::{AsyncCommands, RedisResult};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;

pub(crate) use self::lookups::Lookups;
use crate::{
    App,
    clock::Clock,
    error::Error,
    order_id::{MOST_EPOCHS, OrderId},
    shop::{self, Buyer, Path},
    sql::in_time,
};

/// Why an order failed whose reservation was lost with Redis's memory.
pub(crate) const RESERVATION_LOST: &str = "reservation-lost";
/// Why an order failed whose number is another buyer's order's: Redis had gone back to older data, and gave it twice.
pub(crate) const NUMBER_TAKEN: &str = "number-taken";

/// The order that an address names.
#[derive(Deserialize)]
pub(crate) struct OrderPath {
    pub(crate) order_id: OrderId,
}

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
    fn queued() -> Standing {
        Standing { status: "queued".into(), reason: None, pay_by: None, paying: false }
    }

    /// Whether it stays like this.
    pub(crate) fn is_final(&self) -> bool {
        !["queued", "confirmed"].contains(&self.status.as_str())
    }

    /// For its buyer.
    pub(crate) fn show(&self, order_id: OrderId, clock: &Clock) -> Value {
        let mut body = json!({ "order_id": order_id, "sale_id": order_id.sale_id(), "status": self.status });
        if let Some(reason) = &self.reason {
            body["reason"] = reason.as_str().into();
        }
        if self.status == "confirmed" && self.paying {
            body["payment"] = "in-progress".into();
        } else if self.status == "confirmed" {
            let ask = json!([{ "name": "card", "prompt": "Card number (nothing is charged: the provider is a fake)" }]);
            let href = format!("/orders/{}/payment", order_id.0);
            body["pay"] =
                json!({ "method": "POST", "href": href, "ask": ask, "by": self.pay_by.map(|by| clock.of_sql(by)) });
            body["cancel"] = json!({ "method": "POST", "href": format!("/orders/{}/cancel", order_id.0) });
        }
        body
    }
}

/// `GET /orders/{order_id}`.
///
/// # Errors
/// 404 `not-found`: no such order, or not this buyer's; 503 `overloaded`.
pub(crate) async fn show(
    app: State<App>,
    Path(OrderPath { order_id }): Path<OrderPath>,
    buyer: Buyer,
) -> Result<Json<Value>, Error> {
    Ok(Json(find(&app, order_id, buyer).await?.show(order_id, &app.clock)))
}

/// Where this buyer's order stands: SQL knows, or it is a reservation on its way there.
pub(crate) async fn find(app: &App, order_id: OrderId, buyer: Buyer) -> Result<Standing, Error> {
    if let Some(standing) = app.lookups.ask(order_id, buyer).await? {
        return Ok(standing);
    }
    let sale_id = order_id.sale_id();
    let away = |_| Error::Unavailable("Redis is away");
    if held(app, sale_id, buyer).await.map_err(|error| away(error.into()))? == Some(order_id) {
        return Ok(Standing::queued());
    }
    // One that knows nothing of the sale, or has just been started again, may have lost this order: SQL will say so when Redis
    // has been rebuilt.
    let is_sale = app.catalogue.all().contains_key(&sale_id);
    if is_sale && app.redis.epochs(&[sale_id]).await.map_err(away)? == [0] {
        return Err(Error::Unavailable("the sale is being made ready"));
    }
    // Between our two looks it may have failed, and been taken back.
    app.lookups.ask(order_id, buyer).await?.ok_or(Error::Shop(shop::Error::NotFound))
}

/// The order of a buyer's reservation; `None` if Redis holds none of this sale.
pub(crate) async fn held(app: &App, sale_id: i64, buyer: Buyer) -> RedisResult<Option<OrderId>> {
    let held = app.redis.keys(sale_id).held;
    let held: Option<Vec<u8>> = app.redis.shared.clone().hget(held, &buyer.id.to_be_bytes()).await?;
    Ok(held.as_deref().and_then(number))
}

/// A reservation begins with its order's number.
fn number(held: &[u8]) -> Option<OrderId> {
    Some(OrderId(i64::from_be_bytes(*held.first_chunk()?)))
}

/// Orders of a buyer that are listed.
const LISTED: i64 = 100;

/// `GET /orders`: the buyer's own, newest first: those in SQL, and reservations on their way there.
///
/// # Errors
/// 503 `overloaded`.
pub(crate) async fn list(app: State<App>, buyer: Buyer) -> Result<Json<Value>, Error> {
    let query = "select id, buyer_id, status, reason, pay_by, paid_with is not null as paying from orders
                 where buyer_id = $1 order by id desc limit $2";
    let query = sqlx::query_as(query).bind(buyer.id).bind(LISTED);
    let in_sql: Vec<Recorded> = in_time(query.fetch_all(&app.sql)).await?;
    let sales = app.catalogue.all();
    let mut ask = redis::pipe();
    for sale_id in sales.keys() {
        ask.hget(app.redis.keys(*sale_id).held, &buyer.id.to_be_bytes());
    }
    // A Redis that is away hides what is on its way, and nothing else.
    let held: Vec<Option<Vec<u8>>> = match sales.is_empty() {
        true => Vec::new(),
        false => ask.query_async(&mut app.redis.shared.clone()).await.unwrap_or_default(),
    };
    let mut orders: BTreeMap<OrderId, Standing> =
        held.iter().flatten().filter_map(|held| Some((number(held)?, Standing::queued()))).collect();
    orders.extend(in_sql.into_iter().map(|order| (order.id, order.standing)));
    let orders: Vec<Value> = orders.iter().rev().map(|(id, standing)| standing.show(*id, &app.clock)).collect();
    Ok(Json(json!({ "orders": orders })))
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
