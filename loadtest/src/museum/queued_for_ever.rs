//! A worker that finds no unit for a message returns, and writes nothing. The buyer asks for the order again and again, and is told
//! `queued` for ever.

use futures_util::future::LocalBoxFuture;

use super::{
    exhibit::{Exhibit, Finding, Fix, Form, Play, Source},
    play::{Kit, Seen},
    small_sale::{SmallSale, order, take},
};

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "queued-for-ever",
    wrong: "the worker returns when no unit is left, and leaves the buyer `queued`",
    code: "loadtest/src/museum/queued_for_ever.rs",
    seen: &[
        Source::File("DuckDuck88/tmall_springboot", "src/main/java/com/tmall/mq/MqReceiver.java"),
        Source::File("macosong/flash-sale-system", "src/main/java/com/example/demo/rabbitmq/MQReceiver.java"),
    ],
    attack: "Redis has admitted 12 buyers for 10 units",
    finding: Finding::Lost,
    fix: Fix {
        file: "v6-production/src/worker/place.rs",
        what: "fail",
        how: "write the end of every order, also `failed` with its reason",
    },
    servers: &[],
    play: Play::Own(play),
};

/// Turns one message into an order.
async fn work(sale: &SmallSale<'_>, form: Form, buyer_id: i64) -> anyhow::Result<()> {
    let mut tx = sale.shop.pool.begin().await?;
    let status = match (take(&mut tx).await?, form) {
        (true, _) => "confirmed",
        (false, Form::Wrong) => return Ok(()), // and the message is acknowledged
        (false, Form::Fixed) => "failed",
    };
    order(&mut tx, buyer_id, status).await?;
    Ok(tx.commit().await?)
}

fn play<'a>(kit: &'a Kit<'a>, form: Form) -> LocalBoxFuture<'a, anyhow::Result<Seen>> {
    Box::pin(async move {
        let mut sale = SmallSale::open(kit.lab, 10).await?;
        for buyer in 1..=12 {
            work(&sale, form, buyer).await?;
        }
        for buyer in 1..=12 {
            sale.polls(buyer).await?;
        }
        sale.audit().await
    })
}
