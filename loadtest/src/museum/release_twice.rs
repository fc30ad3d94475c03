//! Two instances look for unpaid orders at the same time. Both find the same one, both end it, and both give its unit back. The sale then
//! sells a unit that it does not have.

use futures_util::future::LocalBoxFuture;

use super::{
    exhibit::{Exhibit, Finding, Fix, Form, Play, Source},
    play::{Kit, Seen},
    small_sale::{SALE, SmallSale, give_back},
};

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "release-twice",
    wrong: "two jobs end the same unpaid order, and each gives its unit back",
    code: "loadtest/src/museum/release_twice.rs",
    seen: &[
        Source::Thread("woocommerce/woocommerce", 22489, "a canceled order is restocked twice"),
        Source::Thread("mollie/magento2", 500, "the reservation of an expired payment is canceled twice"),
    ],
    attack: "two jobs find the same unpaid order; then two more buyers come",
    finding: Finding::Oversold,
    fix: Fix {
        file: "v6-production/src/release.rs",
        what: "where status = 'confirmed' and paid_with is null",
        how: "compare-and-swap on the status: only who changes it gives the unit back",
    },
    servers: &[],
    play: Play::Own(play),
};

/// The unpaid orders, as a job finds them.
async fn unpaid(sale: &SmallSale<'_>) -> sqlx::Result<Vec<i64>> {
    let due = "select id from orders where sale_id = $1 and status = 'confirmed' order by id limit 1";
    sqlx::query_scalar(due).bind(SALE).fetch_all(&sale.shop.pool).await
}

/// Ends the order, and gives its unit back.
async fn expire(sale: &SmallSale<'_>, form: Form, order_id: i64) -> sqlx::Result<()> {
    let end = match form {
        Form::Wrong => "update orders set status = 'expired' where id = $1",
        Form::Fixed => "update orders set status = 'expired' where id = $1 and status = 'confirmed'",
    };
    let mut tx = sale.shop.pool.begin().await?;
    if sqlx::query(end).bind(order_id).execute(&mut *tx).await?.rows_affected() == 1 {
        give_back(&mut tx).await?;
    }
    tx.commit().await
}

fn play<'a>(kit: &'a Kit<'a>, form: Form) -> LocalBoxFuture<'a, anyhow::Result<Seen>> {
    Box::pin(async move {
        let mut sale = SmallSale::open(kit.lab, 10).await?;
        for buyer in 1..=10 {
            sale.sell(buyer).await?;
        }
        let (one_job, other_job) = (unpaid(&sale).await?, unpaid(&sale).await?);
        for order_id in one_job.into_iter().chain(other_job) {
            expire(&sale, form, order_id).await?;
        }
        for buyer in 11..=12 {
            sale.sell(buyer).await?;
        }
        sale.audit().await
    })
}
