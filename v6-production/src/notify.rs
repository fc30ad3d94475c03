//! The path of an order, 4 of 5: reserve → relay → worker → **notify** → release.
//! In: what became of orders, from whoever committed it. Out: a message on the WebSocket of each buyer who waits.
//! When it breaks: a push is a hint. What was not pushed is found in SQL a second later; and who has no WebSocket asks.

pub(crate) mod notices;
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

/// How long one stays open at most.
const LASTS: Duration = Duration::from_secs(3600);
/// Bytes of a message, or of a frame, that a buyer may send: there is nothing to say.
const LONGEST: usize = 1024;
/// How often we ask whether somebody is still there; who says nothing for so long is not, and the place is another's.
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENT: Duration = Duration::from_secs(45);
/// How long a buyer may take to read a message.
const PATIENCE: Duration = Duration::from_secs(10);

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
