/// Questions that are asked of SQL together.
mod lookups;

use axum::{Json, extract::State};
use redis::AsyncCommands;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;

pub(crate) use self::lookups::Lookups;
use crate::{
    App,
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
    /// By when it is to be paid, in milliseconds since 1970; nothing while it is queued.
    pub(crate) pay_by: Option<i64>,
    /// Whether a payment has taken it: it waits for the card to be charged.
    pub(crate) paying: bool,
}

impl Standing {
    /// Whether it stays like this.
    pub(crate) fn is_final(&self) -> bool {
        !["queued", "confirmed"].contains(&self.status.as_str())
    }

    /// For its buyer.
    pub(crate) fn show(&self, order_id: OrderId) -> Value {
        let mut body = json!({ "order_id": order_id, "sale_id": order_id.sale_id(), "status": self.status });
        if let Some(reason) = &self.reason {
            body["reason"] = reason.as_str().into();
        }
        if self.status == "confirmed" && self.paying {
            body["payment"] = "in-progress".into();
        } else if self.status == "confirmed" {
            let ask = json!([{ "name": "card", "prompt": "Card number (nothing is charged: the provider is a fake)" }]);
            let href = format!("/orders/{}/payment", order_id.0);
            body["pay"] = json!({ "method": "POST", "href": href, "ask": ask, "by": self.pay_by });
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
    Ok(Json(find(&app, order_id, buyer).await?.show(order_id)))
}

/// Where this buyer's order stands: SQL knows, or it is a reservation on its way there.
pub(crate) async fn find(app: &App, order_id: OrderId, buyer: Buyer) -> Result<Standing, Error> {
    if let Some(standing) = app.lookups.ask(order_id, buyer).await? {
        return Ok(standing);
    }
    let sale_id = order_id.sale_id();
    let away = |_| Error::Unavailable("Redis is away");
    let held = app.redis.keys(sale_id).held;
    let held: Option<Vec<u8>> =
        app.redis.shared.clone().hget(held, &buyer.id.to_be_bytes()).await.map_err(|error| away(error.into()))?;
    if held.is_some_and(|held| held.starts_with(&order_id.0.to_be_bytes())) {
        return Ok(Standing { status: "queued".into(), reason: None, pay_by: None, paying: false });
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
