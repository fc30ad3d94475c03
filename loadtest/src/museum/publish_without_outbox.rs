//! The unit is taken in the database, and then a message for the worker is published. The process dies in between: the unit is gone, and no
//! message makes an order of it. A list in memory stands in for the queue, and survives the crash as RabbitMQ does.

use futures_util::future::LocalBoxFuture;

use super::{
    exhibit::{Exhibit, Finding, Fix, Form, Play, Source},
    play::{Kit, Seen},
    small_sale::{SmallSale, order, sold_out, take},
};
use crate::verdict::history::Answer;

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "publish-without-outbox",
    wrong: "it takes the unit, and then publishes the message: two steps without an outbox",
    code: "loadtest/src/museum/publish_without_outbox.rs",
    seen: &[
        Source::Thread("jvalue/ods", 285, "the row is updated, and RabbitMQ cannot be reached"),
        Source::Thread("KanishJebaMathewM/Truxify", 11215, "the order and its event are two calls"),
    ],
    attack: "the shop dies between the two steps of the fourth buyer",
    finding: Finding::Undersold,
    fix: Fix {
        file: "v6-production/src/reserve.lua",
        what: "outbox",
        how: "write the message with the unit, in one step (transactional outbox); a relay publishes it later",
    },
    servers: &[],
    play: Play::Own(play),
};

/// The buyer during whose purchase the shop dies.
const STRUCK: i64 = 4;

/// Takes a unit and publishes the message. Returns false if no unit is left.
async fn buy(sale: &SmallSale<'_>, queue: &mut Vec<i64>, form: Form, buyer_id: i64) -> anyhow::Result<bool> {
    let mut tx = sale.shop.pool.begin().await?;
    let taken = take(&mut tx).await?;
    if taken && form == Form::Fixed {
        sqlx::query("insert into outbox (buyer_id) values ($1)").bind(buyer_id).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    // Here the shop dies.
    if taken && form == Form::Wrong && buyer_id != STRUCK {
        queue.push(buyer_id);
    }
    Ok(taken)
}

/// Publishes what is in the outbox, also what a shop has left that died.
async fn relay(sale: &SmallSale<'_>, queue: &mut Vec<i64>) -> sqlx::Result<()> {
    let waiting = sqlx::query_scalar("select buyer_id from outbox order by buyer_id");
    let waiting: Vec<i64> = waiting.fetch_all(&sale.shop.pool).await?;
    queue.extend(waiting);
    sqlx::query("delete from outbox").execute(&sale.shop.pool).await.map(drop)
}

fn play<'a>(kit: &'a Kit<'a>, form: Form) -> LocalBoxFuture<'a, anyhow::Result<Seen>> {
    Box::pin(async move {
        let mut sale = SmallSale::open(kit.lab, 10).await?;
        let outbox = "create table outbox (buyer_id bigint primary key)";
        sale.shop.database.make(&sale.shop.pool, &[outbox]).await?;
        let mut queue = Vec::new();
        for buyer in 1..=11 {
            let taken = buy(&sale, &mut queue, form, buyer).await?;
            if !taken {
                sale.told(buyer, sold_out());
            }
        }
        relay(&sale, &mut queue).await?;
        for buyer in queue {
            let mut db = sale.shop.pool.acquire().await?;
            order(&mut db, buyer, "confirmed").await?;
        }
        for buyer in 1..=10 {
            match buyer {
                STRUCK => sale.told(buyer, Answer::Unknown), // the connection broke
                _ => sale.polls(buyer).await?,
            }
        }
        sale.audit().await
    })
}
