//! A lock in the process around a transaction, released before the transaction commits. The next buyer has the lock, and reads what was
//! committed before. In Java this is `synchronized`, or a distributed lock, inside of a method that is `@Transactional`.

use std::{future::ready, time::Duration};

use futures_util::future::{LocalBoxFuture, try_join};
use tokio::{
    sync::{Mutex, Notify},
    time::timeout,
};
use v1_naive::shop::Shop;

use super::{
    exhibit::{Exhibit, Finding, Fix, Form, Play, Source},
    play::{Kit, Seen},
    small_sale::{SALE, SmallSale, order, sold_out},
};
use crate::{lab::servers::Server::Postgres, verdict::history::Answer};

/// How long the first buyer's commit takes, unless the second one has read before. With the fix the second one cannot read, and with
/// the mistake a busy machine may need some time for it.
const fn slow(form: Form) -> Duration {
    match form {
        Form::Wrong => Duration::from_secs(30),
        Form::Fixed => Duration::from_millis(500),
    }
}

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "unlock-before-commit",
    wrong: "the lock is released before the transaction commits",
    code: "loadtest/src/museum/unlock_before_commit.rs",
    seen: &[
        Source::Thread("redisson/redisson", 2183, "unlock in `finally`, commit after it"),
        Source::Thread("spring-projects/spring-framework", 23549, "`synchronized` inside of `@Transactional`"),
        Source::Thread("halegreen/spring-boot-seckill", 2, "it oversells: the transaction is wider than the lock"),
    ],
    attack: "two buyers for one unit, and a commit that takes half a second",
    finding: Finding::Oversold,
    fix: Fix {
        file: "v2-pessimistic/src/purchase.rs",
        what: "for update",
        how: "let the row's own lock do it, which ends with the transaction; or unlock after the commit",
    },
    servers: &[Postgres],
    play: Play::Own(play),
};

/// Sells one unit. `has_read` is called when this buyer has read the row, and `slow` is waited for before the commit.
async fn buy(
    (shop, lock, form): (&Shop, &Mutex<()>, Form),
    buyer_id: i64,
    has_read: impl FnOnce(),
    slow: impl Future<Output = ()>,
) -> anyhow::Result<Answer> {
    let mut guard = Some(lock.lock().await);
    let mut tx = shop.pool.begin().await?;
    let look = sqlx::query_as("select stock, sold from sales where id = $1").bind(SALE);
    let (stock, sold): (i64, i64) = look.fetch_one(&mut *tx).await?;
    has_read();
    if sold >= stock {
        tx.rollback().await?;
        return Ok(sold_out());
    }
    let update = sqlx::query("update sales set sold = $2 where id = $1").bind(SALE).bind(sold + 1);
    update.execute(&mut *tx).await?;
    let order_id = order(&mut tx, buyer_id, "confirmed").await?;
    if form == Form::Wrong {
        guard = None; // the next buyer reads now
    }
    slow.await;
    tx.commit().await?;
    drop(guard);
    Ok(Answer::Bought { order_id })
}

fn play<'a>(kit: &'a Kit<'a>, form: Form) -> LocalBoxFuture<'a, anyhow::Result<Seen>> {
    Box::pin(async move {
        let mut sale = SmallSale::open(kit.lab, 1).await?;
        let (lock, read) = (Mutex::new(()), Notify::new());
        let of = (&sale.shop, &lock, form);
        let until_read = async {
            let _ = timeout(slow(form), read.notified()).await;
        };
        let first = buy(of, 1, || {}, until_read);
        let second = buy(of, 2, || read.notify_one(), ready(()));
        let (first, second) = try_join(first, second).await?;
        sale.told(1, first);
        sale.told(2, second);
        sale.audit().await
    })
}
