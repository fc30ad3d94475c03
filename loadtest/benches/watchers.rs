//! How long do waiting buyers take to learn of their order? Five thousand buyers each have a WebSocket through nginx, and the
//! worker starts when all of them wait. Measures from the commit in SQL to the message.
//!
//! ```text
//! cargo bench -p loadtest --bench watchers -- --json FILE
//! ```

mod json;

use std::{collections::HashMap, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use loadtest::{
    buyer::{
        click::{click, open_sale},
        client::{Connection, home},
        sessions,
    },
    lab::{Backend, Lab, open_files, servers::nginx, shop_process::ShopProcess},
    record::benches::{Waits, Watchers},
    verdict::{history::Answer, latency::Latency},
    version::Version::V6,
};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use v1_naive::shop::sales::{Sale, now_ms};

const BUYERS: i64 = 5000;
const ROUNDS: usize = 5;
const INSTANCES: usize = 2;
const SALE: i64 = 1001;
/// Buyers who log in and connect at the same time.
const AT_ONCE: i64 = 50;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    open_files::allow(2 * BUYERS as usize)?;
    let program = Path::new(env!("CARGO_BIN_EXE_loadtest"));
    let lab = Lab::open(program.into(), &Backend::Postgres).await?;
    let mut rounds = Vec::new();
    for n in 1..=ROUNDS {
        let latency = round(&lab).await?;
        println!("round {n}: of {BUYERS}, p50 {} ms, p99 {} ms, last {} ms", latency.p50, latency.p99, latency.max);
        rounds.push(latency);
    }
    lab.close().await;
    ensure!(rounds.iter().all(|latency| latency.max < 2000.0), "a buyer waited for more than 2 s");
    let watchers = rounds.into_iter().map(|commit_to_message_ms| Waits { commit_to_message_ms }).collect();
    json::write("watchers", Watchers { seed: None, waiting: BUYERS as usize, instances: INSTANCES, watchers })
}

async fn round(lab: &Lab) -> anyhow::Result<Latency> {
    let database = lab.fresh_database().await?;
    let stores = lab.fresh_stores(&database).await?;
    stores.put_up(&database.url, &[Sale::open(SALE, BUYERS)]).await?;
    let args = |role: &str| {
        let mut args = vec!["--database-url".to_owned(), database.url.to_string(), "--role".into(), role.into()];
        args.extend(["--trusted-proxies".into(), "127.0.0.1".into()]);
        args.extend(stores.shop_args());
        args.extend(V6.wide_limits().into_iter().map(str::to_owned));
        args
    };
    let start = async |role: &str, n: usize| {
        let log = lab.folder.path().join(format!("{role}-{n}.log"));
        ShopProcess::start(&lab.loadtest, V6, &args(role), log).await
    };
    let mut shops = Vec::new();
    for n in 1..=INSTANCES {
        shops.push(start("api", n).await?);
    }
    let instances: Vec<_> = shops.iter().map(|shop| shop.address).collect();
    let nginx = nginx::in_front_of(&lab.loadtest, &instances, lab.folder.path().join("nginx.log")).await?;

    let (ready, mut waiting) = mpsc::channel(64);
    let mut watching = JoinSet::new();
    for first in 1..=AT_ONCE {
        let (door, ready) = (nginx.address, ready.clone());
        watching.spawn(async move {
            let mut tab = Connection::open(door).await?;
            let (link, mut sockets) = (open_sale(&mut tab, SALE).await?, JoinSet::new());
            for buyer in (first..=BUYERS).step_by(AT_ONCE as usize) {
                let (Answer::Queued { order_id }, _) = click(&mut tab, &link, buyer).await else {
                    bail!("buyer {buyer} is not in the queue")
                };
                let ready = ready.clone();
                sockets.spawn(async move { watch(door, buyer, order_id, ready).await });
            }
            drop(ready);
            sockets.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()
        });
    }
    drop(ready);
    for _ in 0..BUYERS {
        if waiting.recv().await.is_none() {
            watching.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
            bail!("a buyer has stopped waiting");
        }
    }
    let worker = start("worker", 1).await?;
    let mut heard = HashMap::new();
    for told in watching.join_all().await {
        heard.extend(told?);
    }
    let pool = database.connect().await?;
    let rows: Vec<(i64, i64)> = sqlx::query_as("select id, confirmed_at from orders").fetch_all(&pool).await?;
    ensure!(rows.len() as i64 == BUYERS && heard.len() as i64 == BUYERS, "{} orders, {} told", rows.len(), heard.len());
    let took = rows.iter().map(|(id, at)| Duration::from_millis((heard[id] - at).max(0) as u64));
    let latency = Latency::of_samples(took).context("no buyer was told")?;
    pool.close().await;
    worker.stop().await;
    nginx.stop().await;
    for shop in shops {
        shop.stop().await;
    }
    stores.remove().await?;
    lab.remove(database).await?;
    Ok(latency)
}

/// Waits until the order is confirmed. Returns its id, and when the message arrived.
async fn watch(door: SocketAddr, buyer: i64, order_id: i64, ready: mpsc::Sender<()>) -> anyhow::Result<(i64, i64)> {
    let mut request = format!("ws://{door}/orders/{order_id}/watch").into_client_request()?;
    request.headers_mut().insert("cookie", sessions::of(buyer).context("no session")?);
    request.headers_mut().insert("x-forwarded-for", home(buyer).to_string().parse()?);
    let (mut socket, _) = connect_async(request).await?;
    loop {
        let message = timeout(PATIENCE, socket.next()).await.context("no message")?;
        let Some(Message::Text(text)) = message.transpose()? else { bail!("the WebSocket ended") };
        match serde_json::from_str::<Value>(&text)?["status"].as_str() {
            Some("queued") => ready.send(()).await?,
            Some("confirmed") => return Ok((order_id, now_ms())),
            other => bail!("order {order_id}: {other:?}"),
        }
    }
}
