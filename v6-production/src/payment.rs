//! Paying for an order. The provider authorises the card, the payment claims the order if it has not ended meanwhile, the provider
//! captures the amount, and only then the order is `paid`. Every request has an idempotency key, so a repeated request pays once.
//! `outbox` finishes what is left unfinished here.

/// Writes a payment down before the provider is called.
mod begin;
/// The steps that are still to be done at the provider.
pub(crate) mod outbox;
/// The payment provider.
pub(crate) mod provider;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use self::{
    begin::New,
    outbox::{Answer, Owes, Payment},
    provider::Failure,
};
use crate::{
    app::App,
    error::Error,
    idempotency,
    links::OrderPath,
    notify::notices::Notices,
    order_id::OrderId,
    orders,
    shop::{Buyer, Path},
};

/// The result of the payment is not known yet.
const UNKNOWN: Error =
    Error::Unknown("the card may have been charged; ask again with the same Idempotency-Key, or look at the order");

/// The body of a payment.
#[derive(Deserialize)]
struct Body {
    card: String,
}

/// `POST /orders/{order_id}/payment` with an `Idempotency-Key`: pays for an order. The same key and body get the same answer.
///
/// # Errors
/// 400 `invalid-request`: no key, no card; 402 `declined`: the card was not charged; 404 `not-found`: not this buyer's order; 409
/// `conflict`: another payment was first, or the order is not confirmed yet; 410 `closed`: the order has ended; 422 `key-reused`: the
/// key was used for another request; 503 `overloaded`: nothing was done; 503 `timed-out`: the result is not known yet.
pub(crate) async fn handler(
    app: State<App>,
    Path(OrderPath { order_id }): Path<OrderPath>,
    buyer: Buyer,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Error> {
    let key =
        idempotency::key(&headers)?.ok_or_else(|| Error::invalid("a payment needs an Idempotency-Key"))?.to_owned();
    let body: Body =
        serde_json::from_slice(&body).map_err(|_| Error::invalid("a payment is a JSON object with a card"))?;
    let card = body.card.replace(' ', "");
    if !(12..=19).contains(&card.len()) || !card.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::invalid("a card number has 12 to 19 digits"));
    }
    let app = app.0;
    // In its own task, so that a client that disconnects does not stop it half-way.
    let paying = app.tasks.clone().spawn(async move { pay(&app, order_id, buyer, key, &card).await });
    match paying.await.unwrap_or(Err(UNKNOWN))? {
        Answer::Paid => Ok(Json(json!({ "order_id": order_id, "status": "paid" })).into_response()),
        Answer::Declined => Err(Error::Declined("the card was declined; nothing was charged")),
        Answer::Failed => Err(Error::Declined("the card could not be charged; the order has ended")),
        Answer::Abandoned => Err(Error::Declined("it did not get to the payment provider; nothing was charged")),
        Answer::Expired => Err(Error::Closed("the order has ended; nothing was charged")),
        Answer::NotFirst => Err(Error::Conflict("another payment was first; nothing was charged for this one")),
    }
}

async fn pay(app: &App, order_id: OrderId, buyer: Buyer, key: String, card: &str) -> Result<Answer, Error> {
    let (mut payment, amount, is_first) = begin(app, order_id, buyer, &key, card).await?;
    if let Some(answer) = payment.answer() {
        return Ok(answer);
    }
    // From here on the result is unknown until the provider reports it.
    let unknown = |error: anyhow::Error| {
        tracing::warn!(order = order_id.0, "payment: {error:#}");
        UNKNOWN
    };
    let notices = &Notices(app.redis.clone());
    if payment.owes == Some(Owes::Authorise) {
        let standing = match app.provider.authorise(&payment.reference, (order_id, amount), card).await {
            Ok(standing) => standing,
            Err(failure @ Failure::NotDone(_)) if is_first => {
                tracing::warn!(order = order_id.0, "payment: {:#}", anyhow::Error::from(failure));
                return Err(Error::Unavailable("the payment provider is away; nothing was charged for this request"));
            }
            Err(failure) => return Err(unknown(failure.into())),
        };
        payment = outbox::write(&app.sql, notices, &payment, Some(standing)).await.map_err(unknown)?;
    }
    if payment.owes == Some(Owes::Capture) {
        let captured = outbox::settle(&app.sql, &app.provider, notices, payment.clone()).await;
        payment = match captured {
            Ok(payment) => payment,
            Err(error) => {
                outbox::put_off(&app.sql, &payment).await; // retry soon, and not only when our claim on it ends
                return Err(unknown(error));
            }
        };
    }
    payment.answer().ok_or(UNKNOWN)
}

/// Writes the payment down, or finds it if the same request came before. Also returns the amount in cents, and whether this request
/// is the first.
async fn begin(
    app: &App,
    order_id: OrderId,
    buyer: Buyer,
    key: &str,
    card: &str,
) -> Result<(Payment, i64, bool), Error> {
    let Some(amount) = begin::amount(&app.sql, order_id, buyer).await? else {
        // SQL has no such order of this buyer: it is queued, its reservation was lost, or it is not this buyer's.
        let standing = orders::find(app, order_id, buyer).await?;
        let ended = standing.is_final().then_some(Error::Closed("the order has ended; nothing was charged"));
        return Err(ended.unwrap_or(Error::Conflict("the order is not confirmed yet")));
    };
    let asked = request(order_id, card);
    let new = New {
        buyer,
        key,
        order_id,
        request: hex::encode(app.signer.sign("payment", &asked)),
        reference: app.provider.new_reference(),
    };
    let (payment, is_first) = begin::begin(&app.sql, &new).await?.ok_or(Error::TooManyPayments)?;
    let same = hex::decode(&payment.request).is_ok_and(|known| app.signer.verify("payment", &asked, &known));
    if is_first || same { Ok((payment, amount, is_first)) } else { Err(Error::KeyReused) }
}

/// The request as numbers, whose keyed hash is stored. The card number is stored nowhere, not even as a plain hash: most of its
/// digits can be guessed, so an attacker could search for it. A keyed hash needs the shop's secret.
fn request(order_id: OrderId, card: &str) -> [i64; 3] {
    [order_id.0, card.len() as i64, card.parse::<u64>().unwrap_or_default() as i64]
}

/// `POST /payments/{reference}/callback`: an authorisation has changed. The caller is not trusted: the shop asks the provider soon.
pub(crate) async fn callback(
    app: State<App>,
    Path(Reference { reference }): Path<Reference>,
) -> Result<StatusCode, Error> {
    if !reference.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(StatusCode::NO_CONTENT); // not one of our references
    }
    outbox::hurry(&app.sql, &reference).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The authorisation in a callback URL.
#[derive(Deserialize)]
pub(crate) struct Reference {
    reference: String,
}

/// `POST /orders/{order_id}/cancel`: cancels an unpaid order, whose unit is sold again. Repeated, it changes nothing.
///
/// # Errors
/// 404 `not-found`: not this buyer's order; 409 `conflict`: the order is not confirmed yet, is paid, or is being paid; 410
/// `closed`: the order has ended for another reason; 503 `overloaded`: nothing was done; 503 `timed-out`: it may be canceled.
pub(crate) async fn cancel(
    app: State<App>,
    Path(OrderPath { order_id }): Path<OrderPath>,
    buyer: Buyer,
) -> Result<Response, Error> {
    let mut standing = orders::find(&app, order_id, buyer).await?;
    if standing.status == "queued" {
        return Err(Error::Conflict("the order is not confirmed yet"));
    }
    // A cancellation that was read may be on one disk only, and its buyer is told of it. Other ends need no transaction.
    if standing.status == "confirmed" || standing.reason.as_deref() == Some(outbox::CANCELED) {
        let canceling = async {
            if outbox::cancel(&app.sql, order_id).await? {
                tracing::info!(order = order_id.0, buyer = buyer.id, "canceled");
                Notices(app.redis.clone()).orders(&[order_id]).await;
            }
            orders::find(&app, order_id, buyer).await
        };
        standing = canceling.await.map_err(|error| match error {
            Error::Unavailable(_) => Error::Unknown("the order may be canceled; look at it, or cancel it again"),
            other => other,
        })?;
    }
    match standing.reason.as_deref() {
        Some(outbox::CANCELED) => Ok(Json(orders::body(order_id, &standing, &app.clock)).into_response()),
        _ if standing.status == "paid" => Err(Error::Conflict("the order is paid")),
        _ if standing.status == "confirmed" => Err(Error::Conflict("a payment is under way")),
        _ => Err(Error::Closed("the order has ended")),
    }
}
