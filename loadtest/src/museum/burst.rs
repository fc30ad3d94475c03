//! A burst: one client sends many requests at the same moment. How many pass the limit?

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use futures_util::future::join_all;
use hyper::StatusCode;
use v1_naive::shop::sales::Sale;

use crate::{
    buyer::{
        click::{open_sale, send},
        client::Connection,
    },
    lab::{Lab, deployment::Deployment},
    scenario::plan::Plan,
};

/// The sale of the burst. It has no stock, so a purchase that passes the limit is refused at once.
const SALE: i64 = 1001;
/// Requests, each on a connection of its own.
const REQUESTS: usize = 60;
/// The client that sends them.
const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// How a burst went.
pub(super) struct Burst {
    /// Requests that the limit let through.
    pub(super) passed: usize,
    /// Requests that were sent.
    pub(super) sent: usize,
    /// From the first request to the last answer.
    pub(super) took: Duration,
}

/// Sends the first step of a purchase many times at once, by one client; `buyer` is who asks in request `n`.
pub(super) async fn burst(lab: &Lab, plan: &Plan, buyer: fn(usize) -> i64) -> anyhow::Result<Burst> {
    let mut deployment = Deployment::build(lab, plan).await?;
    let burst = requests(&deployment, buyer).await;
    deployment.stop_shops().await;
    deployment.remove(lab).await?;
    burst
}

async fn requests(deployment: &Deployment, buyer: fn(usize) -> i64) -> anyhow::Result<Burst> {
    Sale::open(SALE, 0).insert(&deployment.pool).await?;
    let mut connections = Vec::new();
    for shop in deployment.doors().into_iter().cycle().take(REQUESTS) {
        let mut connection = Connection::open(shop).await?;
        connection.from = Some(CLIENT);
        connections.push(connection);
    }
    let link = open_sale(&mut connections[0], SALE).await?;
    let start = Instant::now();
    let sending = connections.iter_mut().enumerate().map(|(n, connection)| send(connection, &link, buyer(n)));
    let mut passed = 0;
    for reply in join_all(sending).await {
        match reply.context("a request of the burst got no answer")?.status {
            StatusCode::TOO_MANY_REQUESTS => {}
            StatusCode::OK | StatusCode::CREATED | StatusCode::CONFLICT => passed += 1,
            other => bail!("a request of the burst was answered {other}"),
        }
    }
    ensure!(passed > 0, "the shop let no request of the burst through");
    Ok(Burst { passed, sent: REQUESTS, took: start.elapsed() })
}
