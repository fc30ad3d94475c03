//! Chapter 6 limits how often one client may ask for what costs a transaction in SQL.

use crate::support::{
    assert_problem, eventually,
    production::{Production, shared},
    requests::{log_in, request},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn payments_and_cancellations_are_limited_by_session_and_callbacks_by_address() {
    let sale = Production::new(shared(), 5).await;
    let mut args = sale.args(&["--session-rate=1", "--session-burst=5", "--client-rate=1", "--client-burst=20"]);
    args.retain(|arg| !arg.ends_with("=10000000"));
    let shop = sale.instance_with(&args).await;
    let mut cookies = Vec::new();
    for buyer in 5101..=5103 {
        cookies.push(log_in(shop.address, buyer).await);
    }
    let order = v6_production::OrderId::base(42, 1).0 + 1;
    let lines = ["payment", "cancel"].map(|step| format!("POST /orders/{order}/{step}"));
    let ask = async |line: &str, cookie: &str| {
        let headers = [("cookie", cookie), ("idempotency-key", "a")];
        request(shop.address, line, &headers, r#"{"card": "4242 4242 4242 4242"}"#).await
    };
    for (line, cookie) in lines.iter().zip(&cookies) {
        assert_problem(&ask(line, cookie).await, 404, "not-found");
        eventually("this session asks too often", async || {
            let reply = ask(line, cookie).await;
            if reply.status == 429 {
                assert_problem(&reply, 429, "rate-limited");
                assert!(reply.headers.contains_key("retry-after"));
            }
            reply.status == 429
        })
        .await;
    }
    let callback = async || request(shop.address, "POST /payments/unknown/callback", &[], "").await.status;
    eventually("this address asks too often", async || callback().await == 429).await;
    for line in &lines {
        assert_problem(&ask(line, &cookies[2]).await, 404, "not-found"); // another session is not affected
    }
}

/// A session costs a token of the address. With one that made others for nothing, an address could send without a limit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_login_counts_for_the_address_also_in_a_session() {
    let sale = Production::new(shared(), 5).await;
    let limits = ["--session-rate=1000", "--session-burst=1000", "--client-rate=1", "--client-burst=5"];
    let mut args = sale.args(&limits);
    args.retain(|arg| !arg.ends_with("=10000000"));
    let shop = sale.instance_with(&args).await;
    let cookie = log_in(shop.address, 5201).await;
    let asks = async |body: &str| request(shop.address, "POST /session?sale=42", &[("cookie", &cookie)], body).await;
    eventually("this address logs in too often", async || asks(r#"{"name": "5202"}"#).await.status == 429).await;
    assert_eq!(asks("").await.status, 200, "the next step of a session is no login");
}
