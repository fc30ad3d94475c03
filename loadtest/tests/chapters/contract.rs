//! The HTTP contract: the same test for every version, on both databases.

use crate::support::{SALE, Shop, assert_problem, json, link, wire::raw};
use hyper::StatusCode;
use loadtest::version::Version::{self, V1, V2, V3, V4, V5};
#[tokio::test(flavor = "multi_thread")]
async fn v1_on_sqlite() {
    contract(V1, "sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_on_sqlite() {
    contract(V2, "sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_on_sqlite() {
    contract(V3, "sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v1_on_postgres() {
    contract(V1, "postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v2_on_postgres() {
    contract(V2, "postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v3_on_postgres() {
    contract(V3, "postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_on_sqlite() {
    contract(V4, "sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v5_on_sqlite() {
    contract(V5, "sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v4_on_postgres() {
    contract(V4, "postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v5_on_postgres() {
    contract(V5, "postgres").await;
}

async fn contract(version: Version, database: &str) {
    let mut args = vec!["--body-limit", "1000", "--request-timeout", "5"];
    if version >= V4 {
        args.extend(["--client-rate", "1000", "--client-burst", "1000"]); // all requests here come from one client
    }
    if version >= V5 {
        args.extend(["--frequency-limit", "1000"]);
    }
    let first = if version >= V5 { "path" } else { "purchase" };
    let shop = Shop::start(version, database, 2, &args).await;
    the_sale_links_to_its_purchase(&shop, first).await;
    nonsense_is_refused_and_changes_nothing(&shop, first).await;
    garbage_on_the_wire_is_refused(&shop).await;
    a_slow_body_is_refused(&shop).await;
    buying_works_until_it_is_sold_out(&shop).await;
    the_shop_is_still_fine(&shop).await;
}

async fn the_sale_links_to_its_purchase(shop: &Shop, first: &str) {
    let mut connection = shop.connect().await;
    let reply = connection.get("/sales/42", None).await.unwrap();
    let sale = json(&reply);
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!((sale["id"].as_i64(), sale["stock"].as_i64(), sale["sold"].as_i64()), (Some(SALE), Some(2), Some(0)));
    assert!(sale["name"].is_string() && sale["price_cents"].is_i64(), "{sale}");
    let [opens, now, closes] = ["opens_at", "server_time", "closes_at"].map(|time| sale[time].as_i64().unwrap());
    assert!(opens <= now && now < closes, "{sale}");
    assert_eq!(sale["buy"], serde_json::json!({ "method": "POST", "href": format!("/sales/42/{first}") }));
}

async fn nonsense_is_refused_and_changes_nothing(shop: &Shop, first: &str) {
    // Chapter 5 does not reveal whether the sale or the URL does not exist.
    let no_such_sale = if first == "path" { "wrong-path" } else { "not-found" };
    let before = shop.ledger().await;
    let huge = "9".repeat(30);
    let long = "x".repeat(2000);
    let buy_of = |sale: &str| format!("/sales/{sale}/{first}");
    let buy = buy_of("42");
    let buy = buy.as_str();
    let cases = [
        // method, path, x-buyer-id, body, status, type
        ("POST", buy, None, None, 401, "unauthenticated"),
        ("POST", buy, Some(""), None, 400, "invalid-request"),
        ("POST", buy, Some("0"), None, 400, "invalid-request"),
        ("POST", buy, Some("-7"), None, 400, "invalid-request"),
        ("POST", buy, Some("seven"), None, 400, "invalid-request"),
        ("POST", buy, Some("7.5"), None, 400, "invalid-request"),
        ("POST", buy, Some(&huge), None, 400, "invalid-request"),
        ("POST", buy, Some("\u{fc}"), None, 400, "invalid-request"),
        ("POST", buy, Some("7"), Some(long.as_str()), 413, "invalid-request"),
        ("POST", &buy_of("43"), Some("7"), None, 404, no_such_sale),
        ("POST", &buy_of("-1"), Some("7"), None, 404, no_such_sale),
        ("POST", &buy_of("x"), Some("7"), None, 400, "invalid-request"),
        ("POST", &buy_of("%ff"), Some("7"), None, 400, "invalid-request"),
        ("POST", &buy_of(&huge), Some("7"), None, 400, "invalid-request"),
        ("PUT", buy, Some("7"), None, 405, "invalid-request"),
        ("DELETE", "/sales/42", Some("7"), None, 405, "invalid-request"),
        ("GET", buy, Some("7"), None, 405, "invalid-request"),
        ("GET", "/sales/43", None, None, 404, "not-found"),
        ("GET", "/sales/x", None, None, 400, "invalid-request"),
        ("GET", "/orders/1", None, None, 401, "unauthenticated"),
        ("GET", "/orders/1", Some("7"), None, 404, "not-found"),
        ("GET", "/orders/-1", Some("7"), None, 404, "not-found"),
        ("GET", &format!("/orders/{huge}"), Some("7"), None, 400, "invalid-request"),
        ("GET", "/no/such/page", None, None, 404, "not-found"),
        ("POST", "/", Some("7"), None, 405, "invalid-request"),
    ];
    for (method, path, buyer, body, status, kind) in cases {
        eprintln!("{method} {path} as {buyer:?}");
        let header = buyer.map(|buyer| format!("x-buyer-id: {buyer}\r\n")).unwrap_or_default();
        let body = body.unwrap_or_default();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{header}content-length: {}\r\n\r\n{body}", body.len());
        let (head, body) = raw(shop.address(), request.as_bytes()).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.to_lowercase().contains("content-type: application/problem+json"), "{head}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap()["type"], kind, "{body}");
    }
    assert_eq!(shop.ledger().await, before);
}

/// Below HTTP there can be no JSON answer: the HTTP library answers a bare 400, or nothing.
async fn garbage_on_the_wire_is_refused(shop: &Shop) {
    let before = shop.ledger().await;
    let noise: Vec<u8> = (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for bytes in [&b"HELO\r\n\r\n"[..], b"POST /sales/42/purchase HTTP/9.9\r\n\r\n", &noise] {
        let (head, _) = raw(shop.address(), bytes).await;
        assert!(head.is_empty() || head.starts_with("HTTP/1.1 400 "), "{head}");
    }
    let endless =
        format!("POST /sales/42/purchase HTTP/1.1\r\nhost: x\r\nx-buyer-id: 7\r\nx-long: {}", "a".repeat(600_000));
    let (head, _) = raw(shop.address(), endless.as_bytes()).await;
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 4"), "{head}");
    assert_eq!(shop.ledger().await, before);
}

async fn a_slow_body_is_refused(shop: &Shop) {
    let before = shop.ledger().await;
    let request = b"POST /sales/42/purchase HTTP/1.1\r\nhost: x\r\nx-buyer-id: 7\r\ncontent-length: 10\r\n\r\nabc";
    let (head, body) = raw(shop.address(), request).await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    assert!(body.contains(r#""type":"invalid-request""#), "{body}");
    assert_eq!(shop.ledger().await, before);
}

async fn buying_works_until_it_is_sold_out(shop: &Shop) {
    let first = shop.buy(7).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let order_id = json(&first)["order_id"].as_i64().unwrap();
    assert_eq!(json(&first)["status"], "confirmed");
    let path = format!("/orders/{order_id}");
    assert_eq!(first.headers["location"], path.as_str());

    let mut connection = shop.connect().await;
    let mine = connection.get(&path, Some(7)).await.unwrap();
    let expected = serde_json::json!({ "order_id": order_id, "sale_id": SALE, "status": "confirmed" });
    assert_eq!(json(&mine), expected);
    assert_problem(&connection.get(&path, Some(8)).await.unwrap(), 404, "not-found");
    assert_problem(&connection.get(&path, None).await.unwrap(), 401, "unauthenticated");

    assert_eq!(shop.buy(8).await.status, StatusCode::CREATED);
    assert_problem(&shop.buy(9).await, 409, "sold-out");
    let ledger = shop.ledger().await;
    assert_eq!(ledger.orders.iter().map(|order| order.buyer_id).collect::<Vec<_>>(), [7, 8]);
    assert_eq!(ledger.sales[0].sold, 2);
}

async fn the_shop_is_still_fine(shop: &Shop) {
    let mut connection = shop.connect().await;
    assert_eq!(connection.get("/healthz", None).await.unwrap().status, StatusCode::OK);
    let metrics = connection.send(&link("GET", "/metrics"), None, None).await.unwrap();
    assert!(String::from_utf8_lossy(&metrics.body).contains("pool_connections "));
    let log = shop.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}
