//! The path of an order, 4 of 5: reserve → relay → worker → **notify** → release.
//! In: what became of orders, from whoever committed it. Out: a message on the WebSocket of each buyer who waits.
//! When it breaks: a push is a hint. What was not pushed is found in SQL a second later; and who has no WebSocket asks.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Mutex, time::Duration};

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use redis::AsyncCommands;
use sqlx::PgPool;
use tokio::{
    sync::watch,
    time::{Instant, interval_at, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    App,
    error::Error,
    order_id::OrderId,
    orders::{self, OrderPath, Standing},
    redis_store::RedisStore,
    shop::{Buyer, Path},
    supervise,
};

/// How often SQL is asked about all orders that somebody waits for here.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Orders that are waited for in one process, and WebSockets for each: who is beyond them polls.
const MOST: usize = 20_000;
const MOST_EACH: usize = 8;
/// How long one stays open at most.
const LASTS: Duration = Duration::from_secs(3600);
/// Bytes of a message, or of a frame, that a buyer may send: there is nothing to say.
const LONGEST: usize = 1024;
/// How often we ask whether somebody is still there; who says nothing for so long is not, and the place is another's.
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENT: Duration = Duration::from_secs(45);
/// How long a buyer may take to read a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells all instances what became of orders.
#[derive(Clone)]
pub(crate) struct Notices(pub(crate) RedisStore);

impl Notices {
    /// Best effort: whoever misses it looks into SQL.
    pub(crate) async fn orders(&self, orders: &[OrderId]) {
        if orders.is_empty() {
            return;
        }
        let Ok(ids) = serde_json::to_string(orders) else { return };
        let told: redis::RedisResult<i64> = self.0.shared.clone().publish(self.0.channel("orders"), ids).await;
        if let Err(error) = told {
            tracing::debug!("notify: {error}");
        }
    }
}

/// How long it is known that a mark has come back.
const MARKED: Duration = Duration::from_secs(60);

impl Notices {
    /// Whoever has put these marks into the queue waits for them.
    pub(crate) async fn marks(&self, marks: &[String]) {
        for name in marks {
            let told: redis::RedisResult<()> =
                self.0.shared.clone().set_ex(self.0.mark(name), 1, MARKED.as_secs()).await;
            if let Err(error) = told {
                tracing::debug!("mark {name}: {error}"); // it comes again
            }
        }
    }
}

/// The orders that somebody waits for in this process, by number and buyer: what is told to one is not for another.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<BTreeMap<(OrderId, i64), News>>);

/// Where an order stands, if that was told already.
type News = watch::Sender<Option<Standing>>;

impl Watchers {
    /// From now on, hears of this buyer's order; `None` if there are too many already, here or at this one.
    fn subscribe(&self, order_id: OrderId, buyer: Buyer) -> Option<watch::Receiver<Option<Standing>>> {
        let key = (order_id, buyer.id);
        let mut orders = self.0.lock().ok()?;
        if orders.len() >= MOST {
            orders.retain(|_, standing| standing.receiver_count() > 0);
        }
        if orders.len() >= MOST && !orders.contains_key(&key) {
            return None;
        }
        let order = orders.entry(key).or_insert_with(|| watch::Sender::new(None));
        (order.receiver_count() < MOST_EACH).then(|| order.subscribe())
    }

    /// Those of `orders` that somebody still waits for; of all, if none are named.
    fn awaited(&self, named: Option<&[OrderId]>) -> Vec<OrderId> {
        let Ok(mut orders) = self.0.lock() else { return Vec::new() };
        orders.retain(|_, standing| standing.receiver_count() > 0);
        match named {
            Some(named) => named.iter().copied().filter(|&id| orders.range(of(id)).next().is_some()).collect(),
            None => orders.keys().map(|(id, _)| *id).collect(),
        }
    }

    /// Passes on what SQL says of these.
    async fn look(&self, sql: &PgPool, awaited: Vec<OrderId>) -> anyhow::Result<()> {
        if awaited.is_empty() {
            return Ok(());
        }
        let found = orders::recorded(sql, &awaited).await?;
        if let Ok(orders) = self.0.lock() {
            for order in found {
                for (_, sender) in orders.range(of(order.id)).filter(|((_, buyer_id), _)| order.is_of(*buyer_id)) {
                    let standing = Some(order.standing.clone());
                    sender.send_if_modified(|known| std::mem::replace(known, standing.clone()) != standing);
                }
            }
        }
        Ok(())
    }

    /// Passes on what is told.
    pub(crate) async fn listen(&self, redis: &RedisStore, sql: &PgPool, stop: &CancellationToken) {
        let channel = &redis.channel("orders");
        let listen = || async move {
            let mut listener = redis.listen(channel).await?;
            while let Some(message) = stop.run_until_cancelled(listener.next()).await {
                let ids: Vec<OrderId> = serde_json::from_slice(message?.get_payload_bytes())?;
                self.look(sql, self.awaited(Some(&ids))).await?;
            }
            Ok(())
        };
        supervise::keep("news of orders", stop, listen).await;
    }

    /// Finds out what was told while nobody listened.
    pub(crate) async fn look_up(&self, sql: &PgPool, stop: &CancellationToken) {
        let look = || async move {
            let _ = stop.run_until_cancelled(sleep(LOOK_EVERY)).await;
            self.look(sql, self.awaited(None)).await
        };
        supervise::keep("awaited orders", stop, look).await;
    }
}

/// The keys of one number, whoever waits.
fn of(order_id: OrderId) -> RangeInclusive<(OrderId, i64)> {
    (order_id, i64::MIN)..=(order_id, i64::MAX)
}

/// `WS /orders/{order_id}/watch`: one JSON message now, one whenever the order's status changes, and a close when it
/// cannot change any more.
///
/// # Errors
/// 404 `not-found`: not this buyer's; 503 `overloaded`: too many wait here, poll instead.
pub(crate) async fn watch(
    app: State<App>,
    Path(OrderPath { order_id }): Path<OrderPath>,
    buyer: Buyer,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Error> {
    let upgrade = upgrade.map_err(|rejection| Error::invalid(rejection.body_text()))?;
    // First it is theirs: places are few, and not for strangers.
    orders::find(&app, order_id, buyer).await?;
    // Then subscribed, and then looked: nothing falls between.
    let news =
        app.watchers.subscribe(order_id, buyer).ok_or(Error::Unavailable("too many wait here: poll the order"))?;
    let standing = orders::find(&app, order_id, buyer).await?;
    let under_way = app.tasks.token();
    let follow = move |socket| async move {
        let _under_way = under_way;
        // Keeps the app, and with it who tells us: else there would be silence in the moment in which it stops, and no goodbye.
        let _ = timeout(LASTS, follow(socket, order_id, standing, news, &app)).await;
    };
    Ok(upgrade.max_message_size(LONGEST).max_frame_size(LONGEST).on_upgrade(follow))
}

async fn follow(
    mut socket: WebSocket,
    order_id: OrderId,
    mut standing: Standing,
    mut news: watch::Receiver<Option<Standing>>,
    app: &App,
) -> Option<()> {
    let (mut pings, mut heard) = (interval_at(Instant::now() + PING_EVERY, PING_EVERY), Instant::now());
    loop {
        let text = standing.show(order_id, &app.clock).to_string();
        timeout(PATIENCE, socket.send(Message::Text(text.into()))).await.ok()?.ok()?;
        if standing.is_final() {
            break;
        }
        standing = loop {
            tokio::select! {
                changed = news.changed() => {
                    changed.ok()?;
                    let new = news.borrow_and_update().clone();
                    match new {
                        Some(new) if new != standing => break new,
                        _ => {}
                    }
                }
                // A buyer has nothing to say, and may go.
                said = socket.recv() => match said? {
                    Ok(_) => heard = Instant::now(),
                    Err(error) => {
                        if error.to_string().starts_with("Space limit exceeded") {
                            let large = CloseFrame { code: close_code::SIZE, reason: "too large".into() };
                            let _ = timeout(PATIENCE, socket.send(Message::Close(Some(large)))).await;
                        }
                        return None;
                    }
                },
                _ = pings.tick() => {
                    if heard.elapsed() > SILENT {
                        return None;
                    }
                    timeout(PATIENCE, socket.send(Message::Ping(Default::default()))).await.ok()?.ok()?;
                }
                () = app.stop.cancelled() => {
                    let away = CloseFrame { code: close_code::AWAY, reason: "this instance stops".into() };
                    let _ = timeout(PATIENCE, socket.send(Message::Close(Some(away)))).await;
                    return None;
                }
            }
        };
    }
    let _ = timeout(PATIENCE, socket.send(Message::Close(None))).await;
    None
}
