//! The outbox of payments. The next step at the provider is written down before it is done, and is repeated until the provider has
//! answered. So after a crash between any two lines, the payment ends as it would have ended without the crash.

use std::time::Duration;

use anyhow::bail;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::provider::{Provider, Standing, Step};
use crate::{
    notify::notices::Notices,
    order_id::OrderId,
    sql::{in_time, session::write_always},
    supervise,
};

/// How long a payment belongs to the request that began it, or to the instance that claimed it. Longer than two calls to the
/// provider and the writes after them.
pub(super) const TAKEN: Duration = Duration::from_secs(10);
/// How often the outbox is read.
const EVERY: Duration = Duration::from_millis(500);
/// The longest pause between two tries of a payment.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The most payments that are handled at the same time.
const BATCH: i64 = 50;
/// The reason of an order that failed because the authorised amount could not be captured.
pub(crate) const PAYMENT_FAILED: &str = "payment-failed";
/// The reason of an order that its buyer cancelled.
pub(crate) const CANCELED: &str = "canceled";
/// The reason of an order that was refunded.
pub(crate) const REFUNDED: &str = "refunded";

/// The next step of a payment at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(super) enum Owes {
    /// It is not known yet whether the card is authorised.
    Authorise,
    /// The order is claimed, and waits for the amount to be captured.
    Capture,
    /// The card is authorised, or may be, and the amount is not needed.
    Void,
    /// The amount was captured, and has to be returned.
    Refund,
}

/// The result of a payment, which is stored with its idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// The card was charged, and the order is paid.
    Paid,
    /// The card was declined. Nothing was charged.
    Declined,
    /// The order had ended, or ended while the card was authorised. Nothing was charged.
    Expired,
    /// Another payment was first. Nothing was charged for this one.
    NotFirst,
    /// The card was authorised, but could not be charged. The order has failed.
    Failed,
    /// The payment never reached the provider. Nothing was charged.
    Abandoned,
}

/// A row of `payments`, without the columns that the steps do not need.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Payment {
    pub(super) buyer_id: i64,
    pub(super) idempotency_key: String,
    pub(super) order_id: OrderId,
    pub(super) reference: String,
    pub(super) owes: Option<Owes>,
    pub(super) request: String,
    tries: i64,
    /// The result as JSON; `None` until it is known.
    answer: Option<String>,
}

impl Payment {
    /// The result; `None` until it is known.
    pub(super) fn answer(&self) -> Option<Answer> {
        serde_json::from_str(self.answer.as_deref()?).ok()
    }
}

/// Does the next steps of due payments, until `stop`. Any number of instances may run this: each claims different payments.
pub(crate) async fn run(sql: PgPool, provider: Provider, notices: Notices, stop: CancellationToken) {
    let (sql, provider, notices, stop) = (&sql, &provider, &notices, &stop);
    supervise::keep("payments", stop, || async move {
        let due = in_time(take(sql)).await?;
        if due.is_empty() {
            let _ = stop.run_until_cancelled(sleep(EVERY)).await;
        }
        join_all(due.iter().map(|payment| async move {
            if let Err(error) = settle(sql, provider, notices, payment.clone()).await {
                tracing::warn!(order = payment.order_id.0, "payment: {error:#}; trying again");
                put_off(sql, payment).await;
            }
        }))
        .await;
        Ok(())
    })
    .await;
}

async fn take(sql: &PgPool) -> sqlx::Result<Vec<Payment>> {
    let update = "update payments set next_at = now_ms() + $1, tries = tries + 1
                  where (buyer_id, idempotency_key) in (
                      select buyer_id, idempotency_key from payments
                      where owes is not null and (next_at <= now_ms() or next_at > now_ms() + 2 * $1) -- the clock was set back
                      order by next_at limit $2 for update skip locked)
                  returning *";
    let update = sqlx::query_as(update).bind(TAKEN.as_millis() as i64).bind(BATCH);
    update.fetch_all(sql).await
}

/// Lets it rest for a while. If that fails, it rests for as long as it is taken.
pub(super) async fn put_off(sql: &PgPool, payment: &Payment) {
    let pause = LONGEST_PAUSE.min(EVERY * 2_u32.saturating_pow(payment.tries.clamp(0, 16) as u32));
    let update = "update payments set next_at = now_ms() + $3 where buyer_id = $1 and idempotency_key = $2";
    let update = sqlx::query(update).bind(payment.buyer_id).bind(&payment.idempotency_key);
    if let Err(error) = in_time(update.bind(pause.as_millis() as i64).execute(sql)).await {
        tracing::debug!("payment: {error}");
    }
}

/// Does all that a payment owes, step by step.
///
/// # Errors
/// The provider or the database does not answer. The payment is where it was, or a step further.
pub(super) async fn settle(
    sql: &PgPool,
    provider: &Provider,
    notices: &Notices,
    mut payment: Payment,
) -> anyhow::Result<Payment> {
    while let Some(owes) = payment.owes {
        let reference = &payment.reference;
        let standing = match owes {
            Owes::Authorise => provider.show(reference).await?,
            Owes::Capture => Some(provider.change(reference, Step::Capture).await?),
            Owes::Void => Some(provider.change(reference, Step::Void).await?),
            Owes::Refund => Some(provider.change(reference, Step::Refund).await?),
        };
        payment = write(sql, notices, &payment, standing).await?;
    }
    Ok(payment)
}

/// Writes down the provider's answer, and the next step. If another process was faster, nothing is written.
pub(super) async fn write(
    sql: &PgPool,
    notices: &Notices,
    payment: &Payment,
    standing: Option<Standing>,
) -> anyhow::Result<Payment> {
    let written = async {
        let mut tx = sql.begin().await?;
        let query = "select * from payments where buyer_id = $1 and idempotency_key = $2 for update";
        let query = sqlx::query_as(query).bind(payment.buyer_id).bind(&payment.idempotency_key);
        let current: Payment = query.fetch_one(&mut *tx).await?;
        if current.owes != payment.owes {
            // The row lock is a write, so what the other process has written is on the standby after this.
            tx.commit().await?;
            return Ok(Some(current));
        }
        let Some((owes, answer)) = next(&mut tx, payment, standing).await? else { return Ok(None) };
        let update = "update payments set owes = $3, answer = coalesce($4, answer), tries = 0, next_at = now_ms() + $5
                      where buyer_id = $1 and idempotency_key = $2 returning *";
        let update = sqlx::query_as(update).bind(payment.buyer_id).bind(&payment.idempotency_key).bind(owes);
        let answer = answer.map(|answer| serde_json::to_string(&answer).unwrap_or_default());
        // No request waits for a void, so the next read of the outbox takes it at once.
        let rests = if owes == Some(Owes::Void) { Duration::ZERO } else { TAKEN };
        let updated: Payment = update.bind(answer).bind(rests.as_millis() as i64).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(Some(updated))
    };
    let Some(updated) = in_time(written).await? else {
        bail!("the provider says {standing:?} to a payment that owes {:?}", payment.owes);
    };
    if let Some(answer) = updated.answer().filter(|_| payment.answer.is_none()) {
        tracing::info!(order = payment.order_id.0, buyer = payment.buyer_id, ?answer, "payment");
        metrics::counter!("payments_total", "answer" => format!("{answer:?}")).increment(1);
        notices.orders(&[payment.order_id]).await;
    }
    Ok(updated)
}

/// The next step, and the result if it is known now. The order changes in the same transaction. `None` if the provider has not
/// decided yet, or its answer does not fit the payment.
async fn next(
    tx: &mut PgConnection,
    payment: &Payment,
    standing: Option<Standing>,
) -> sqlx::Result<Option<(Option<Owes>, Option<Answer>)>> {
    use Standing::{Authorised, Captured, Declined, Pending, Refunded, Refused, Voided};
    Ok(match (payment.owes, standing) {
        (Some(Owes::Authorise), Some(Authorised)) => Some(claim(tx, payment).await?),
        (Some(Owes::Authorise), Some(Declined | Refused)) => {
            Some((None, Some(why_not(tx, payment).await?.unwrap_or(Answer::Declined))))
        }
        (Some(Owes::Authorise), Some(Voided)) => {
            Some((None, Some(why_not(tx, payment).await?.unwrap_or(Answer::Abandoned))))
        }
        // The authorisation may still be on its way. A void that arrives first prevents it.
        (Some(Owes::Authorise), None) => {
            Some((Some(Owes::Void), Some(why_not(tx, payment).await?.unwrap_or(Answer::Abandoned))))
        }
        (Some(Owes::Authorise), Some(Pending)) => {
            let answer = why_not(tx, payment).await?;
            answer.map(|answer| (Some(Owes::Void), Some(answer)))
        }
        (Some(Owes::Capture), Some(Captured)) => {
            let update = "update orders set status = 'paid' where id = $1 and paid_with = $2 and status = 'confirmed'";
            sqlx::query(update).bind(payment.order_id).bind(&payment.idempotency_key).execute(tx).await?;
            Some((None, Some(Answer::Paid)))
        }
        (Some(Owes::Capture), Some(Declined | Refused | Voided)) => {
            let update = "update orders set paid_with = null where id = $1 and paid_with = $2";
            sqlx::query(update).bind(payment.order_id).bind(&payment.idempotency_key).execute(&mut *tx).await?;
            end(tx, payment.order_id, "confirmed", PAYMENT_FAILED).await?;
            Some((None, Some(Answer::Failed)))
        }
        (Some(Owes::Void), Some(Voided | Declined | Refused)) => Some((None, None)),
        (Some(Owes::Void), Some(Captured)) => Some((Some(Owes::Refund), None)),
        (Some(Owes::Refund), Some(Refunded)) => Some((None, None)),
        _ => None,
    })
}

/// Claims the order by compare-and-swap: of this payment, another payment, a cancellation and the expiry, one wins. A claimed order
/// waits for the capture and does not expire.
async fn claim(tx: &mut PgConnection, payment: &Payment) -> sqlx::Result<(Option<Owes>, Option<Answer>)> {
    let update = "update orders set paid_with = $3 where id = $1 and buyer_id = $2 and status = 'confirmed'
                  and paid_with is null and pay_by > now_ms()";
    let update = sqlx::query(update).bind(payment.order_id).bind(payment.buyer_id).bind(&payment.idempotency_key);
    if update.execute(&mut *tx).await?.rows_affected() == 1 {
        return Ok((Some(Owes::Capture), None));
    }
    let answer = why_not(tx, payment).await?.unwrap_or(Answer::Expired);
    Ok((Some(Owes::Void), Some(answer)))
}

/// Why this payment cannot claim the order; `None` if it can.
async fn why_not(tx: &mut PgConnection, payment: &Payment) -> sqlx::Result<Option<Answer>> {
    let query = "select status, paid_with is not null, pay_by > now_ms() from orders where id = $1";
    let (status, taken, in_time): (String, bool, bool) =
        sqlx::query_as(query).bind(payment.order_id).fetch_one(tx).await?;
    Ok(match status.as_str() {
        "confirmed" | "paid" if taken => Some(Answer::NotFirst),
        "confirmed" if in_time => None,
        _ => Some(Answer::Expired),
    })
}

/// Ends an order that has this status and is not claimed by a payment, so that its unit is sold again. Returns false if it is not
/// such an order.
async fn end(tx: &mut PgConnection, order_id: OrderId, from: &str, reason: &str) -> sqlx::Result<bool> {
    let update = "update orders set status = 'failed', reason = $3 where id = $1 and status = $2 and paid_with is null";
    let update = sqlx::query(update).bind(order_id).bind(from).bind(reason);
    if update.execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let update = sqlx::query("update sales set sold = sold - 1 where id = $1").bind(order_id.sale_id());
    update.execute(tx).await?;
    Ok(true)
}

/// Cancels a confirmed order that no payment has claimed. Returns false if it is not such an order, for example because it was
/// cancelled before; that is then on the standby, too.
pub(super) async fn cancel(sql: &PgPool, order_id: OrderId) -> sqlx::Result<bool> {
    in_time(async {
        let mut tx = sql.begin().await?;
        let ended = end(&mut tx, order_id, "confirmed", CANCELED).await?;
        if !ended {
            write_always(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(ended)
    })
    .await
}

/// Makes a payment due now, if its authorisation is not known yet.
pub(super) async fn hurry(sql: &PgPool, reference: &str) -> sqlx::Result<()> {
    let update = "update payments set next_at = 0 where reference = $1 and owes = 'authorise'";
    in_time(sqlx::query(update).bind(reference).execute(sql)).await.map(drop)
}

/// Ends a paid order, and has its amount returned and its unit sold again. Returns false if it is not a paid order. Repeated, it
/// changes nothing.
///
/// # Errors
/// PostgreSQL fails.
pub(crate) async fn refund(sql: &PgPool, order_id: OrderId) -> sqlx::Result<bool> {
    let mut tx = sql.begin().await?;
    // The payment first, as everywhere: transactions that take locks in the same order do not deadlock.
    let update = "update payments set owes = 'refund', next_at = 0, tries = 0
                  where owes is null and (buyer_id, idempotency_key) in (
                      select buyer_id, paid_with from orders where id = $1 and status = 'paid')";
    let is_paid = sqlx::query(update).bind(order_id).execute(&mut *tx).await?.rows_affected() > 0;
    if is_paid {
        let update = "update orders set paid_with = null where id = $1 and status = 'paid'";
        sqlx::query(update).bind(order_id).execute(&mut *tx).await?;
        end(&mut tx, order_id, "paid", REFUNDED).await?;
    } else {
        write_always(&mut tx).await?; // the operator is told that it was refunded before
    }
    tx.commit().await?;
    Ok(is_paid)
}
