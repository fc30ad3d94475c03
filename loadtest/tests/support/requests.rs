//! Requests of buyers and operators to an instance of chapter 6, and its answers.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{SALE, assert_problem, eventually, json, link};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use loadtest::{
    buyer::{
        click,
        client::{Connection, Link, Reply},
    },
    lab::shop_process::ShopProcess,
};
use serde_json::Value;
use tokio::{net::TcpStream, time::sleep};

/// A reservation, as in a message.
pub fn reservation(order_id: i64, buyer_id: i64, path: i64, request: i64) -> Value {
    serde_json::json!({ "order_id": order_id, "buyer_id": buyer_id, "path": path, "request": request, "reserved_at": 1 })
}

/// Logs in as `buyer` and asks for a unit of [`SALE`]; returns the answer, `202` on success.
pub async fn click(connection: &mut Connection, buyer: i64) -> Reply {
    let mut next = open_sale(connection).await;
    while !next.uri.path().ends_with("/path") {
        match click::ask(connection, &next, buyer).await {
            click::Next::Follow(link) => next = link,
            click::Next::Told(answer) => panic!("no way to an address: {answer:?}"),
        }
    }
    let given = connection.send(&next, Some(buyer), None).await.unwrap();
    match json(&given)["buy"]["href"].as_str() {
        Some(href) => connection.send(&link("POST", href), Some(buyer), None).await.unwrap(),
        None => given,
    }
}

/// The first link of [`SALE`]. Until the shop has read the sale from SQL for the first time, it answers 503, and a buyer asks again.
pub async fn open_sale(connection: &mut Connection) -> Link {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match click::open_sale(connection, SALE).await {
            Ok(link) => return link,
            Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// The order's id in a `202` answer.
#[track_caller]
pub fn queued(reply: &Reply) -> i64 {
    let body = json(reply);
    assert_eq!((reply.status.as_u16(), body["status"].as_str()), (202, Some("queued")), "{body}");
    body["order_id"].as_i64().expect("an order's id")
}

/// The order, as its buyer gets it.
pub async fn order(connection: &mut Connection, buyer: i64, order_id: i64) -> Value {
    json(&connection.send(&link("GET", &format!("/orders/{order_id}")), Some(buyer), None).await.unwrap())
}

/// Waits until the order has this status.
pub async fn becomes(connection: &mut Connection, buyer: i64, order_id: i64, status: &str) {
    let is = async || order(connection, buyer, order_id).await["status"] == status;
    eventually(&format!("order {order_id} is {status}"), is).await;
}

/// Sends a request that is not from a link, with these headers, on its own connection. Sends it again, at most five times, if the
/// shop could not read the sales from SQL in time, as a client would: on a busy machine a shop that has just started may not.
pub async fn request(shop: SocketAddr, line: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut reply = request_once(shop, line, headers, body).await;
    for _ in 0..5 {
        if reply.status != 503 || !String::from_utf8_lossy(&reply.body).contains(r#""the sales cannot be read""#) {
            break;
        }
        reply = request_once(shop, line, headers, body).await;
    }
    reply
}

async fn request_once(shop: SocketAddr, line: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let mut request = Request::builder().method(method).uri(path).header("host", shop.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let stream = TokioIo::new(TcpStream::connect(shop).await.unwrap());
    let (mut sender, driver) = http1::handshake(stream).await.unwrap();
    tokio::spawn(driver);
    let reply = sender.send_request(request.body(Full::<Bytes>::from(body.to_owned())).unwrap()).await.unwrap();
    let (head, body) = reply.into_parts();
    Reply { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

/// Logs in as `buyer` at any instance; returns the `cookie`, which all of them accept.
pub async fn log_in(shop: SocketAddr, buyer: i64) -> String {
    let mut connection = Connection::open(shop).await.unwrap();
    let name = format!(r#"{{"name": "{buyer}"}}"#);
    let login = connection.send(&link("POST", "/session"), Some(buyer), Some(name)).await.unwrap();
    let cookie = login.headers.get("set-cookie").expect("a session").to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// Retries at one instance until the buyer has a unit; returns the order's id. All tries are the same request. If an earlier one
/// reserved a unit without an answer, the next one finds it.
pub async fn sells(shop: SocketAddr, buyer: i64) -> i64 {
    let (cookie, mut order_id) = (log_in(shop, buyer).await, 0);
    eventually("it sells", async || {
        let reply = purchase(shop, SALE, &cookie, Some("until it sells")).await;
        order_id = if reply.status == 202 { queued(&reply) } else { 0 };
        order_id > 0
    })
    .await;
    order_id
}

/// Asks for a purchase URL and then for a unit, with an `Idempotency-Key` or without. `cookie` is the buyer's session. Returns
/// the first refusal.
pub async fn purchase(shop: SocketAddr, sale: i64, cookie: &str, key: Option<&str>) -> Reply {
    match address(shop, sale, cookie).await {
        Ok(address) => buy_at(shop, &address, cookie, key).await,
        Err(refusal) => refusal,
    }
}

/// A purchase URL, or the refusal.
pub async fn address(shop: SocketAddr, sale: i64, cookie: &str) -> Result<String, Reply> {
    let reply = request(shop, &format!("POST /sales/{sale}/path"), &[("cookie", cookie)], "").await;
    match json(&reply)["buy"]["href"].as_str() {
        Some(href) => Ok(href.to_owned()),
        None => Err(reply),
    }
}

/// Asks for a unit at that URL.
pub async fn buy_at(shop: SocketAddr, address: &str, cookie: &str, key: Option<&str>) -> Reply {
    let key = key.map(|key| ("idempotency-key", key));
    let headers: Vec<_> = [("cookie", cookie)].into_iter().chain(key).collect();
    request(shop, &format!("POST {address}"), &headers, "").await
}

/// A purchase URL.
pub async fn path(shop: &ShopProcess, cookie: &str) -> String {
    address(shop.address, SALE, cookie).await.unwrap()
}

/// Asserts that the URL is refused, and that the answer does not say why.
#[track_caller]
pub fn assert_wrong_path(reply: &Reply) {
    assert_problem(reply, 404, "wrong-path");
    let words = r#"{"detail":"this is no address to buy at; ask for a new one","status":404,"title":"wrong path","type":"wrong-path"}"#;
    assert_eq!((&*reply.body, reply.headers["cache-control"].as_bytes()), (words.as_bytes(), &b"no-store"[..]));
}

/// A counter in an instance's metrics; 0 before the first count.
pub async fn counter(shop: SocketAddr, name: &str) -> i64 {
    let metrics = request(shop, "GET /metrics", &[], "").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

/// `/readyz` as one line.
pub async fn readyz(shop: SocketAddr) -> String {
    let reply = request(shop, "GET /readyz", &[], "").await;
    format!("{} {}", reply.status.as_u16(), String::from_utf8_lossy(&reply.body))
}
