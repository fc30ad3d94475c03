//! Orders of chapter 6: bought, paid for, and watched.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use loadtest::{
    buyer::client::{Connection, Reply},
    lab::shop_process::ShopProcess,
};
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};

use super::{
    SALE, assert_problem, eventually,
    production::Production,
    requests::{becomes, click, log_in, purchase, queued, request},
};

/// A card that is accepted.
pub const GOOD: &str = "4242 4242 4242 4242";
/// A card that is declined.
pub const DECLINED: &str = "4000 0000 0000 0002";

/// Buys a unit and waits until its order is confirmed.
pub async fn confirmed(shop: &ShopProcess, buyer: i64) -> i64 {
    let mut connection = Connection::open(shop.address).await.unwrap();
    let order_id = queued(&click(&mut connection, buyer).await);
    becomes(&mut connection, buyer, order_id, "confirmed").await;
    order_id
}

/// A payment's body.
pub fn card(number: &str) -> String {
    json!({ "card": number }).to_string()
}

/// Pays with this idempotency key.
pub async fn pay(shop: &ShopProcess, buyer: i64, order_id: i64, key: Option<&str>, number: &str) -> Reply {
    let cookie = log_in(shop.address, buyer).await;
    let key = key.map(|key| ("idempotency-key", key));
    let headers: Vec<_> = [("cookie", cookie.as_str())].into_iter().chain(key).collect();
    request(shop.address, &format!("POST /orders/{order_id}/payment"), &headers, &card(number)).await
}

/// Pays, and sends the same request again, at most five times, if the shop has waited in vain for a server, as the answer tells its
/// client to. The shortest time limit of the shop is two seconds, and on a busy machine a server can stand still for longer. A
/// prompt 503 is returned.
pub async fn pay_until_known(shop: &ShopProcess, buyer: i64, order_id: i64, key: &str, number: &str) -> Reply {
    let mut repeats = 0;
    loop {
        let began = Instant::now();
        let reply = pay(shop, buyer, order_id, Some(key), number).await;
        if reply.status != 503 || began.elapsed() < Duration::from_secs(2) || repeats == 5 {
            return reply;
        }
        repeats += 1;
    }
}

/// Cancels the order or asks for a refund.
pub async fn cancel(shop: &ShopProcess, buyer: i64, order_id: i64) -> Reply {
    let cookie = log_in(shop.address, buyer).await;
    request(shop.address, &format!("POST /orders/{order_id}/cancel"), &[("cookie", &cookie)], "").await
}

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens an order's WebSocket; `Err` is the status of a refusal.
pub async fn watch(shop: &ShopProcess, buyer: i64, order_id: i64) -> Result<Socket, u16> {
    open(shop.address, order_id, &log_in(shop.address, buyer).await).await
}

/// The same with a cookie.
pub async fn open(shop: SocketAddr, order_id: i64, cookie: &str) -> Result<Socket, u16> {
    let mut request = format!("ws://{shop}/orders/{order_id}/watch").into_client_request().unwrap();
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// The next status that the WebSocket reports, or how it ends: `closed`, with the code if there is one.
pub async fn heard(socket: &mut Socket) -> String {
    let message = timeout(Duration::from_secs(60), async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Ping(_))) => {}
                message => return message,
            }
        }
    });
    let message = message.await.expect("a message, or an end");
    match message {
        Some(Ok(Message::Text(text))) => {
            let body: serde_json::Value = serde_json::from_str(&text).unwrap();
            body["status"].as_str().unwrap().to_owned()
        }
        Some(Ok(Message::Close(None))) => "closed".into(),
        Some(Ok(Message::Close(Some(frame)))) => format!("closed {}", u16::from(frame.code)),
        other => format!("{other:?}"),
    }
}

/// The next status that is not `confirmed`. A watcher also hears of a confirmed order whose payment begins, or whose time to pay is
/// changed.
pub async fn ended(socket: &mut Socket) -> String {
    loop {
        let told = heard(socket).await;
        if told != "confirmed" {
            return told;
        }
    }
}

/// The number of payments that were begun, whatever their result.
pub async fn payments(sale: &Production) -> i64 {
    sqlx::query_scalar("select count(*) from payments").fetch_one(&sale.pool).await.unwrap()
}

/// Asks for a unit of a sold-out sale until one is available again. That news takes a moment.
pub async fn sold_again(shop: &ShopProcess, buyer: i64) -> i64 {
    let cookie = log_in(shop.address, buyer).await;
    let mut order_id = None;
    let buys = async || {
        let reply = purchase(shop.address, SALE, &cookie, None).await;
        match reply.status.as_u16() {
            202 => order_id = Some(queued(&reply)),
            _ => assert_problem(&reply, 409, "sold-out"),
        }
        order_id.is_some()
    };
    eventually(&format!("buyer {buyer} gets the unit"), buys).await;
    order_id.unwrap()
}

/// Waits until Redis has this many units left.
pub async fn given_back(sale: &Production, left: i64) {
    let back = async || sale.ledger().await.stores.unwrap().sales[&SALE].left == left;
    eventually(&format!("{left} units are left"), back).await;
}
