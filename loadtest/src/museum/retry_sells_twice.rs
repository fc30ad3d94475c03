//! A purchase is retried when its commit gives no answer. The commit may have succeeded, so the retry makes a second order.

use anyhow::{bail, ensure};
use futures_util::future::LocalBoxFuture;

use super::{
    exhibit::{Exhibit, Finding, Fix, Form, Play, Source},
    play::{Kit, Seen},
    small_sale::{SALE, SmallSale, take},
};
use crate::verdict::history::Answer;

/// How often a purchase is tried.
const TRIES: usize = 3;

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "retry-sells-twice",
    wrong: "a retry after a lost answer makes a second order",
    code: "loadtest/src/museum/retry_sells_twice.rs",
    seen: &[
        Source::Thread("LeanerCloud/CUDly", 1774, "an attempt that was committed and failed is bought again"),
        Source::Thread("ProgixDev/incacook-app", 36, "a new idempotency key for each retry"),
    ],
    attack: "the answer to the first commit is lost",
    finding: Finding::Twice,
    fix: Fix {
        file: "v6-production/src/worker/place.rs",
        what: "on conflict do nothing",
        how: "choose the order's id before the first try, and insert it once",
    },
    servers: &[],
    play: Play::Own(play),
};

/// One try. If the answer is `lost`, the transaction has committed, and the caller cannot know.
async fn attempt(sale: &SmallSale<'_>, order_id: i64, buyer_id: i64, lost: bool) -> anyhow::Result<()> {
    let mut tx = sale.shop.pool.begin().await?;
    let insert = "insert into orders (id, sale_id, buyer_id) values ($1, $2, $3) on conflict (id) do nothing";
    let insert = sqlx::query(insert).bind(order_id).bind(SALE).bind(buyer_id);
    if insert.execute(&mut *tx).await?.rows_affected() == 1 {
        ensure!(take(&mut tx).await?, "sold out");
    }
    tx.commit().await?;
    ensure!(!lost, "the connection broke after the commit");
    Ok(())
}

/// Tries until there is an answer.
async fn buy(sale: &SmallSale<'_>, form: Form, buyer_id: i64) -> anyhow::Result<i64> {
    let mut order_id = 1001;
    for n in 0..TRIES {
        match attempt(sale, order_id, buyer_id, n == 0).await {
            Ok(()) => return Ok(order_id),
            // Each try has a new id, so no try recognizes the one before.
            Err(_) if form == Form::Wrong => order_id += 1,
            Err(_) => {}
        }
    }
    bail!("no answer in {TRIES} tries")
}

fn play<'a>(kit: &'a Kit<'a>, form: Form) -> LocalBoxFuture<'a, anyhow::Result<Seen>> {
    Box::pin(async move {
        let mut sale = SmallSale::open(kit.lab, 10).await?;
        let order_id = buy(&sale, form, 7).await?;
        sale.told(7, Answer::Bought { order_id });
        sale.audit().await
    })
}
