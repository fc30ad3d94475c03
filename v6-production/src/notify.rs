//! The path of an order, 4 of 5: reserve → relay → worker → **notify** → release.
//! In: the ids of orders whose status has changed. Out: a message on the WebSocket of each buyer who waits for one.
//! When it breaks: a push is a hint. A lost push is found in SQL within a second, and a client without a WebSocket polls.

/// Publishes which orders have changed.
pub(crate) mod notices;
/// The orders that clients of this process wait for.
pub(crate) mod watchers;

use std::time::Duration;

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use tokio::{
    sync::watch,
    time::{Instant, interval_at, timeout},
};

use crate::{
    app::App,
    error::Error,
    links::OrderPath,
    order_id::OrderId,
    orders::{self, record::Standing},
    shop::{Buyer, Path},
};

/// How long a WebSocket stays open at most.
const LASTS: Duration = Duration::from_secs(3600);
/// The longest message or frame that a buyer may send, in bytes. No message is expected.
const LONGEST: usize = 1024;
/// How often a WebSocket is pinged.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A WebSocket is closed if nothing arrives for this long.
const SILENT: Duration = Duration::from_secs(45);
/// How long a buyer may take to read a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// `WS /orders/{order_id}/watch`: sends the order as JSON now and after every change, and closes when the status is final.
///
/// # Errors
/// 404 `not-found`: there is no such order, or it is another buyer's; 503 `overloaded`: too many clients wait, poll instead.
pub(crate) async fn watch(
    app: State<App>,
    Path(OrderPath { order_id }): Path<OrderPath>,
    buyer: Buyer,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Error> {
    let upgrade = upgrade.map_err(|rejection| Error::invalid(rejection.body_text()))?;
    // First check that it is this buyer's order: places are limited.
    orders::find(&app, order_id, buyer).await?;
    // Subscribe first, then look, so that no change falls between.
    let news =
        app.watchers.subscribe(order_id, buyer).ok_or(Error::Unavailable("too many wait here: poll the order"))?;
    let standing = orders::find(&app, order_id, buyer).await?;
    let under_way = app.tasks.token();
    let follow = move |socket| async move {
        let _under_way = under_way;
        // This keeps the app alive, and with it the sender of news. Otherwise the socket would end without a close frame at a stop.
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
        let text = orders::body(order_id, &standing, &app.clock).to_string();
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
                // No message is expected, but the client may close the socket.
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
