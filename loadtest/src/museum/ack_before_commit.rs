//! The worker acknowledges a message and then writes the order. It dies in between: RabbitMQ has forgotten the message, and the order was
//! never committed. Auto-acknowledgement is the same mistake.

use anyhow::Context;
use futures_util::{StreamExt, future::LocalBoxFuture};
use lapin::options::BasicAckOptions;

use super::{
    broker::{Broker, PREFETCH, place},
    exhibit::{Exhibit, Finding, Fix, Form, Play, Source},
    play::{Kit, Seen},
    small_sale::SmallSale,
};
use crate::lab::servers::Server::RabbitMq;

/// Buyers, and units for all of them.
const BUYERS: i64 = 10;

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "ack-before-commit",
    wrong: "the worker acknowledges the message before it commits the order",
    code: "loadtest/src/museum/ack_before_commit.rs",
    seen: &[
        Source::Thread("KBVE/kbve", 8672, "`autoAck`: a crash during handling loses the message"),
        Source::Thread("Particular/NServiceBus.RabbitMQ", 122, "what was acknowledged is lost at shutdown"),
    ],
    attack: "the worker dies with its first message; another one takes over",
    finding: Finding::Lost,
    fix: Fix {
        file: "v6-production/src/worker.rs",
        what: "work",
        how: "commit, then acknowledge; a message that comes again finds its order",
    },
    servers: &[RabbitMq],
    play: Play::Own(play),
};

fn play<'a>(kit: &'a Kit<'a>, form: Form) -> LocalBoxFuture<'a, anyhow::Result<Seen>> {
    Box::pin(async move {
        let mut sale = SmallSale::open(kit.lab, BUYERS).await?;
        let url = kit.url(RabbitMq)?;
        let shop = Broker::connect(url).await?;
        for buyer in 1..=BUYERS {
            shop.publish(buyer).await?;
        }

        let worker = Broker::connect(url).await?;
        let mut messages = worker.consume(1).await?;
        let message = messages.next().await.context("no message")??;
        if form == Form::Wrong {
            message.ack(BasicAckOptions::default()).await?;
        }
        worker.close().await?; // it dies before its commit

        let waiting = shop.left_by_workers().await?;
        let worker = Broker::connect(url).await?;
        let mut messages = worker.consume(PREFETCH).await?;
        for _ in 0..waiting {
            let message = messages.next().await.context("no message")??;
            place(&sale, &message).await?;
            message.ack(BasicAckOptions::default()).await?;
        }
        worker.close().await?;
        shop.close().await?;

        for buyer in 1..=BUYERS {
            sale.polls(buyer).await?;
        }
        sale.audit().await
    })
}
