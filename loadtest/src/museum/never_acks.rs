//! The worker commits orders and never acknowledges a message. RabbitMQ delivers as many as the prefetch limit allows, and then waits. The
//! other buyers stay `queued`. After a restart all messages are delivered again, and it stops at the same place.

use std::time::Duration;

use anyhow::Context;
use futures_util::{StreamExt, future::LocalBoxFuture};
use lapin::options::BasicAckOptions;
use tokio::time::timeout;

use super::{
    broker::{Broker, PREFETCH, place},
    exhibit::{Exhibit, Finding, Fix, Form, Play, Source},
    play::{Kit, Seen},
    small_sale::SmallSale,
};
use crate::lab::servers::Server::RabbitMq;

/// Buyers, and units for all of them: more than the prefetch limit.
const BUYERS: i64 = 20;
/// No message within this time means that none comes. With the fix all come, however slow the machine is.
const fn silence(form: Form) -> Duration {
    match form {
        Form::Wrong => Duration::from_secs(2),
        Form::Fixed => Duration::from_secs(60),
    }
}

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "never-acks",
    wrong: "the worker never acknowledges a message",
    code: "loadtest/src/museum/never_acks.rs",
    seen: &[
        Source::Thread("corvus-ch/rabbitmq-cli-consumer", 54, "messages are stuck as unacknowledged"),
        Source::Thread("php-amqplib/php-amqplib", 407, "after 20 messages without an acknowledgement none comes"),
    ],
    attack: "more messages than the prefetch limit",
    finding: Finding::Lost,
    fix: Fix {
        file: "v6-production/src/worker.rs",
        what: "work",
        how: "acknowledge after the commit, each message or the batch",
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
        let mut messages = worker.consume(PREFETCH).await?;
        for _ in 0..BUYERS {
            let Ok(message) = timeout(silence(form), messages.next()).await else { break };
            let message = message.context("RabbitMQ hung up")??;
            place(&sale, &message).await?;
            if form == Form::Fixed {
                message.ack(BasicAckOptions::default()).await?;
            }
        }
        worker.close().await?;
        let again = shop.left_by_workers().await?;
        shop.close().await?;

        for buyer in 1..=BUYERS {
            sale.polls(buyer).await?;
        }
        Ok(sale.audit().await?.and(&format!("{again} messages are delivered again after a restart")))
    })
}
