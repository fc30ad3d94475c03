use sqlx::PgPool;

use super::outbox::{Payment, TAKEN};
use crate::{order_id::OrderId, shop::Buyer, sql::in_time};

/// The most payments of one order. A few more are possible if they begin at the same moment. Each is a row, and a client can send
/// any number of keys.
const MOST_PAYMENTS: i64 = 20;

/// A payment that a buyer asks for.
pub(super) struct New<'a> {
    pub(super) buyer: Buyer,
    /// The request's idempotency key.
    pub(super) key: &'a str,
    pub(super) order_id: OrderId,
    /// A keyed hash of what is asked.
    pub(super) request: String,
    /// What the provider will know the payment by, if it is new.
    pub(super) reference: String,
}

/// The price of this buyer's order, in cents; `None` if SQL has no such order.
pub(super) async fn amount(sql: &PgPool, order_id: OrderId, buyer: Buyer) -> sqlx::Result<Option<i64>> {
    let owned =
        "select price_cents from orders join sales on sales.id = sale_id where orders.id = $1 and buyer_id = $2";
    in_time(sqlx::query_scalar(owned).bind(order_id).bind(buyer.id).fetch_optional(sql)).await
}

/// Writes a payment down with `authorise` as its next step, or finds the one with the same key. Also whether it is new; `None` if
/// the order has too many payments. All payments of an order are its buyer's, and the primary key begins with the buyer.
pub(super) async fn begin(sql: &PgPool, new: &New<'_>) -> sqlx::Result<Option<(Payment, bool)>> {
    let taken = TAKEN.as_millis() as i64;
    let insert = "insert into payments (buyer_id, idempotency_key, order_id, request, reference, owes, next_at)
                  select $1, $2, $3, $4, $5, 'authorise', now_ms() + $6
                  where $7 > (select count(*) from payments
                              where buyer_id = $1 and order_id = $3 and idempotency_key <> $2)
                  on conflict (buyer_id, idempotency_key) do nothing returning *";
    let insert = sqlx::query_as(insert).bind(new.buyer.id).bind(new.key).bind(new.order_id);
    let insert = insert.bind(&new.request).bind(&new.reference).bind(taken).bind(MOST_PAYMENTS);
    if let Some(payment) = in_time(insert.fetch_optional(sql)).await? {
        return Ok(Some((payment, true)));
    }
    let again = "update payments set next_at = case when owes = 'authorise' then now_ms() + $3 else next_at end
                 where buyer_id = $1 and idempotency_key = $2 returning *";
    let again = sqlx::query_as(again).bind(new.buyer.id).bind(new.key).bind(taken);
    let payment: Option<Payment> = in_time(again.fetch_optional(sql)).await?;
    Ok(payment.map(|payment| (payment, false)))
}
