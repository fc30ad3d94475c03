//! Paying for an order: the card is authorised, the order goes from `confirmed` to `paid` if it has not expired meanwhile,
//! and only then is the card charged. Every request carries an idempotency key, so that asking twice pays once.

/// Who takes the money: a fake.
mod provider;

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

pub(crate) use self::provider::FakeProvider;
use crate::{
    App,
    error::Error,
    notify::Notices,
    order_id::OrderId,
    orders::{self, OrderPath},
    reserve::idempotency_key,
    shop::{Buyer, Path},
    sql::in_time,
};

/// After so long without an answer, whoever was at it is gone, and the same request may begin again.
const ABANDONED: Duration = Duration::from_secs(30);

/// Payments that one order may see, or a few more if they begin in the same moment. Each is a row, and anybody can think of
/// another key.
const MOST_PAYMENTS: i64 = 20;

/// What a payment says.
#[derive(Deserialize)]
struct Payment {
    card: String,
}

/// What came of it; kept under the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Paid,
    Declined,
    /// The order had expired, or expired while the card was authorised. Nothing was charged.
    Expired,
    /// Another payment was faster. Nothing was charged.
    PaidAlready,
}

/// `POST /orders/{order_id}/payment` with an `Idempotency-Key`: the same key and body get the same answer.
///
/// # Errors
/// 400 `invalid-request`: no key, no card; 402 `declined`; 404 `not-found`: not this buyer's order; 409 `conflict`: this key
/// is in flight, or the order is paid, or not confirmed yet; 410 `closed`: it has expired; 422 `key-reused`: the key came with another request.
pub(crate) async fn handler(
    app: State<App>,
    Path(OrderPath { order_id }): Path<OrderPath>,
    buyer: Buyer,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Error> {
    let key =
        idempotency_key(&headers)?.ok_or_else(|| Error::invalid("a payment needs an Idempotency-Key"))?.to_owned();
    let payment: Payment =
        serde_json::from_slice(&body).map_err(|_| Error::invalid("a payment is a JSON object with a card"))?;
    let digits = payment.card.replace(' ', "");
    if !(12..=19).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::invalid("a card number has 12 to 19 digits"));
    }
    let app = app.0;
    // On its own: a buyer who hangs up between authorisation and order must not leave it half-way.
    let paying = app.tasks.clone().spawn(async move { pay(&app, order_id, buyer, key, payment).await });
    match paying.await.unwrap_or(Err(Error::Unanswered))? {
        Answer::Paid => Ok(Json(json!({ "order_id": order_id, "status": "paid" })).into_response()),
        Answer::Declined => Err(Error::Declined),
        Answer::Expired => Err(Error::Closed("the order has expired; nothing was charged")),
        Answer::PaidAlready => Err(Error::Conflict("the order is paid already; nothing more was charged")),
    }
}

async fn pay(app: &App, order_id: OrderId, buyer: Buyer, key: String, payment: Payment) -> Result<Answer, Error> {
    if let Some(answer) = begin(app, order_id, buyer, &key, &payment).await? {
        return Ok(answer);
    }
    // The provider knows the key, too: a second authorisation under it is the first one.
    let reference = format!("{}:{key}", buyer.id);
    let answer = if app.provider.authorise(&reference, &payment.card).await {
        let answer = in_time(settle(app, order_id, buyer, &key)).await?;
        match answer {
            Answer::Paid => app.provider.capture(&reference).await,
            _ => app.provider.void(&reference).await,
        }
        answer
    } else {
        Answer::Declined
    };
    let update = "update payments set answer = $3 where buyer_id = $1 and idempotency_key = $2";
    let text = serde_json::to_string(&answer).unwrap_or_default();
    in_time(sqlx::query(update).bind(buyer.id).bind(&key).bind(text).execute(&app.sql)).await?;
    if answer == Answer::Paid {
        Notices(app.redis.clone()).orders(&[order_id]).await;
    }
    tracing::info!(order = order_id.0, buyer = buyer.id, ?answer, "payment");
    metrics::counter!("payments_total", "answer" => format!("{answer:?}")).increment(1);
    Ok(answer)
}

/// Takes the key. If it was taken before, by the same request: its answer.
async fn begin(
    app: &App,
    order_id: OrderId,
    buyer: Buyer,
    key: &str,
    payment: &Payment,
) -> Result<Option<Answer>, Error> {
    let owned = "select exists (select from orders where id = $1 and buyer_id = $2)";
    let owned: bool = in_time(sqlx::query_scalar(owned).bind(order_id).bind(buyer.id).fetch_one(&app.sql)).await?;
    if !owned {
        orders::find(app, order_id, buyer).await?; // not found, most likely
        return Err(Error::Conflict("the order is not confirmed yet"));
    }
    // Kept as a hash: a card number has no business in a database.
    let hash = Sha256::new().chain_update(order_id.0.to_be_bytes()).chain_update(&payment.card).finalize();
    let request: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let insert = "insert into payments (buyer_id, idempotency_key, order_id, request, started_at)
                  select $1, $2, $3, $4, now_ms()
                  where $6 > (select count(*) from payments where order_id = $3 and idempotency_key <> $2)
                  on conflict (buyer_id, idempotency_key) do update set started_at = excluded.started_at
                  where payments.answer is null and payments.request = excluded.request
                  and payments.started_at < now_ms() - $5";
    let insert = sqlx::query(insert).bind(buyer.id).bind(key).bind(order_id).bind(&request);
    let insert = insert.bind(ABANDONED.as_millis() as i64).bind(MOST_PAYMENTS);
    if in_time(insert.execute(&app.sql)).await?.rows_affected() == 1 {
        return Ok(None);
    }
    let known = "select request, answer from payments where buyer_id = $1 and idempotency_key = $2";
    let known = sqlx::query_as(known).bind(buyer.id).bind(key).fetch_optional(&app.sql);
    let known: Option<(String, Option<String>)> = in_time(known).await?;
    let Some((first, answer)) = known else { return Err(Error::TooManyPayments) };
    if first != request {
        return Err(Error::KeyReused);
    }
    let answer = answer.and_then(|answer| serde_json::from_str(&answer).ok());
    answer.map(Some).ok_or(Error::Conflict("a payment under this key is in flight"))
}

/// A compare-and-swap on the status: against the expiry and against another payment, one wins.
async fn settle(app: &App, order_id: OrderId, buyer: Buyer, key: &str) -> sqlx::Result<Answer> {
    let update =
        "update orders set status = 'paid', paid_with = $3 where id = $1 and buyer_id = $2 and status = 'confirmed'
                  and pay_by > now_ms()";
    let update = sqlx::query(update).bind(order_id).bind(buyer.id).bind(key).execute(&app.sql).await?;
    if update.rows_affected() == 1 {
        return Ok(Answer::Paid);
    }
    let query = "select status, paid_with is not distinct from $2 from orders where id = $1";
    let (status, by_us): (String, bool) = sqlx::query_as(query).bind(order_id).bind(key).fetch_one(&app.sql).await?;
    Ok(match status.as_str() {
        "paid" if by_us => Answer::Paid, // and whoever did it did not live to say so
        "paid" => Answer::PaidAlready,
        _ => Answer::Expired,
    })
}
