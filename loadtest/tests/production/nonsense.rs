//! Invalid requests to chapter 6: each is refused by name, and changes nothing.

use crate::support::{
    SALE,
    openapi::Document,
    orders::confirmed,
    production::{Production, shared},
    requests::{address, log_in, request},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn nonsense_is_refused_and_changes_nothing() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&["--body-limit", "1000"]).await;
    let order_id = confirmed(&shop, 1101).await;
    let (mine, others) = (log_in(shop.address, 1101).await, log_in(shop.address, 1102).await);
    let (mine, others) = (mine.as_str(), others.as_str());
    sale.settles_at(1).await;
    let before = sale.everything().await;

    let (huge, long) = ("9".repeat(30), "x".repeat(101));
    let (name, body) = (format!(r#"{{"name": "{long}"}}"#), "x".repeat(1001));
    let address = address(shop.address, SALE, mine).await.unwrap();
    let buy = &format!("POST {address}");
    let buy = buy.as_str();
    let cases: &[Case] = &[
        (buy, "", None, "", 401, "unauthenticated"),
        (buy, mine, Some(""), "", 400, "invalid-request"),
        (buy, mine, Some(&long), "", 400, "invalid-request"),
        (buy, mine, Some("\u{fc}"), "", 400, "invalid-request"),
        (buy, mine, None, &body, 413, "invalid-request"),
        (&buy.replace("/42/", "/43/"), mine, None, "", 404, "wrong-path"),
        (&buy.replace("/42/", "/-1/"), mine, None, "", 404, "wrong-path"),
        (&format!("{buy}0"), mine, None, "", 404, "wrong-path"),
        ("POST /sales/42/purchase/x", mine, None, "", 404, "wrong-path"),
        ("POST /sales/42/purchase", mine, None, "", 404, "not-found"),
        ("POST /sales/43/path", mine, None, "", 404, "not-found"),
        ("POST /sales/-1/path", mine, None, "", 404, "not-found"),
        ("POST /sales/9223372036854775807/path", mine, None, "", 404, "not-found"),
        ("POST /sales/x/path", mine, None, "", 400, "invalid-request"),
        ("POST /sales/%ff/path", mine, None, "", 400, "invalid-request"),
        (&format!("POST /sales/{huge}/path"), mine, None, "", 400, "invalid-request"),
        ("GET /sales/42/path", mine, None, "", 405, "invalid-request"),
        ("GET /sales/43", "", None, "", 404, "not-found"),
        (&format!("GET /sales/{huge}"), "", None, "", 400, "invalid-request"),
        ("DELETE /session", mine, None, "", 405, "invalid-request"),
        ("POST /session?sale=abc", "", None, "", 400, "invalid-request"),
        (&format!("POST /session?sale={huge}"), "", None, r#"{"name": "ada"}"#, 400, "invalid-request"),
        ("POST /session?sale=42&sale=43", "", None, "", 400, "invalid-request"),
        ("POST /session", "", None, "name=ada", 400, "invalid-request"),
        ("POST /session", "", None, "[]", 400, "invalid-request"),
        ("POST /session", "", None, "{}", 400, "invalid-request"),
        ("POST /session", "", None, r#"{"name": 7}"#, 400, "invalid-request"),
        ("POST /session", "", None, r#"{"name": " "}"#, 400, "invalid-request"),
        ("POST /session", "", None, &name, 400, "invalid-request"),
        ("GET /orders/1", mine, None, "", 404, "not-found"),
        ("GET /orders/-1", mine, None, "", 404, "not-found"),
        ("GET /orders/9223372036854775807", mine, None, "", 404, "not-found"),
        (&format!("GET /orders/{huge}"), mine, None, "", 400, "invalid-request"),
        (&format!("GET /orders/{order_id}"), others, None, "", 404, "not-found"),
        (&format!("GET /orders/{order_id}/watch"), mine, None, "", 400, "invalid-request"), // not a WebSocket request
        ("GET /no/such/page", mine, None, "", 404, "not-found"),
    ];
    let (mut wrong, document) = (Vec::new(), Document::of(shop.address).await);
    for (line, cookie, key, body, status, kind) in cases {
        let key = key.map(|key| ("idempotency-key", key));
        let headers: Vec<_> = [("cookie", *cookie)].into_iter().chain(key).collect();
        let reply = request(shop.address, line, &headers, body).await;
        let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        wrong.extend(document.allows(line, &reply).err());
        if (reply.status.as_u16(), problem["type"].as_str()) != (*status, Some(kind)) {
            wrong.push(format!("{line} {key:?} {body}: {} {:?}", reply.status, reply.body));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(sale.everything().await, before);
}

/// Method and path, cookie, key, body; status, type.
type Case<'a> = (&'a str, &'a str, Option<&'a str>, &'a str, u16, &'a str);
