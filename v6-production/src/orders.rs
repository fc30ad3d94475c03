/// Batched lookups in SQL.
pub(crate) mod lookups;
/// Where an order stands, in SQL and in Redis.
pub(crate) mod record;

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use self::record::Standing;
use crate::{
    app::App,
    clock::Clock,
    error::Error,
    links::{self, OrderPath},
    order_id::OrderId,
    shop::{self, Buyer, Path},
};

/// An order as its buyer sees it, with the links that can be followed now.
pub(crate) fn body(order_id: OrderId, standing: &Standing, clock: &Clock) -> Value {
    let mut body = json!({ "order_id": order_id, "sale_id": order_id.sale_id(), "status": standing.status });
    if let Some(reason) = &standing.reason {
        body["reason"] = reason.as_str().into();
    }
    if standing.status == "confirmed" && standing.paying {
        body["payment"] = "in-progress".into();
    } else if standing.status == "confirmed" {
        let prompt = "Card number (nothing is charged: the provider is a fake)";
        body["pay"] = links::ask(&links::order(links::PAYMENT, order_id), "card", prompt);
        body["pay"]["by"] = standing.pay_by.map(|by| clock.of_sql(by)).into();
        body["cancel"] = links::post(&links::order(links::CANCEL, order_id));
    }
    body
}

/// `GET /orders/{order_id}`: one order of this buyer.
///
/// # Errors
/// 404 `not-found`: there is no such order, or it is another buyer's; 503 `overloaded`.
pub(crate) async fn show(
    app: State<App>,
    Path(OrderPath { order_id }): Path<OrderPath>,
    buyer: Buyer,
) -> Result<Json<Value>, Error> {
    Ok(Json(body(order_id, &find(&app, order_id, buyer).await?, &app.clock)))
}

/// Where an order of this buyer stands: by its row in SQL, or `queued` if Redis holds its reservation.
///
/// # Errors
/// 404 `not-found`: there is no such order, or it is another buyer's; 503 `overloaded`.
pub(crate) async fn find(app: &App, order_id: OrderId, buyer: Buyer) -> Result<Standing, Error> {
    if let Some(standing) = app.lookups.ask(order_id, buyer).await? {
        return Ok(standing);
    }
    let sale_id = order_id.sale_id();
    let away = |_| Error::Unavailable("Redis is away");
    if record::held(&app.redis, sale_id, buyer).await.map_err(|error| away(error.into()))? == Some(order_id) {
        return Ok(Standing::queued());
    }
    // A Redis without this sale, or one that has just restarted, may have lost this order. SQL says so after the rebuild.
    let is_sale = app.catalogue.all().contains_key(&sale_id);
    if is_sale && app.redis.epoch(sale_id).await.map_err(away)? == 0 {
        return Err(Error::Unavailable("the sale is being made ready"));
    }
    // The order may have failed, and its reservation may have been released, since the first lookup.
    app.lookups.ask(order_id, buyer).await?.ok_or(Error::Shop(shop::Error::NotFound))
}

/// `GET /orders`: the orders of this buyer, newest first: rows in SQL, and reservations that are not in SQL yet.
///
/// # Errors
/// 401 `unauthenticated`, 503 `overloaded`.
pub(crate) async fn list(app: State<App>, buyer: Buyer) -> Result<Json<Value>, Error> {
    let in_sql = record::of_buyer(&app.sql, buyer).await?;
    let sales: Vec<i64> = app.catalogue.all().keys().copied().collect();
    // While Redis is away, only the queued orders are missing from the list.
    let mut held = record::held_of(&app.redis, &sales, buyer).await.unwrap_or_default();
    // A buyer may have more rows in SQL than are listed.
    held.retain(|id| in_sql.iter().all(|order| order.id != *id));
    let unlisted = if held.is_empty() { Vec::new() } else { record::recorded(&app.sql, &held).await? };
    let mut orders: BTreeMap<OrderId, Standing> = held.into_iter().map(|id| (id, Standing::queued())).collect();
    let recorded = in_sql.into_iter().chain(unlisted).filter(|order| order.is_of(buyer.id));
    orders.extend(recorded.map(|order| (order.id, order.standing)));
    let orders: Vec<Value> = orders.iter().rev().map(|(id, standing)| body(*id, standing, &app.clock)).collect();
    Ok(Json(json!({ "orders": orders })))
}
