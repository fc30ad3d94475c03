//! What an operator of chapter 6 sees: metrics, readiness, and one order in the logs.

use std::net::SocketAddr;

use crate::support::{
    assert_problem, eventually, json,
    orders::{GOOD, confirmed, pay_until_known},
    production::{Production, own, shared},
    requests::{becomes, click, counter, queued, request},
};
use loadtest::{buyer::client::Connection, lab::servers::Server};
use serde_json::Value;
use tokio::task::block_in_place;

async fn metrics(shop: SocketAddr) -> String {
    String::from_utf8(request(shop, "GET /metrics", &[], "").await.body.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn metrics_count_requests_and_pending_work() {
    let sale = Production::new(shared(), 3).await;
    let api = sale.instance(&["--role", "api"]).await;
    let mut connection = Connection::open(api.address).await.unwrap();
    for buyer in 8001..=8003 {
        queued(&click(&mut connection, buyer).await);
    }
    let is = async |shop: SocketAddr, name: &str, n: i64| {
        eventually(&format!("{name} is {n}"), async || counter(shop, &format!("{name} ")).await == n).await;
    };
    is(api.address, "attempts_total{outcome=\"held\"}", 3).await;
    // The others are refused by this instance alone. On a slow machine its flag may have lapsed, and Redis is asked again.
    let (mut asked, mut buyers) = (3, 8004..);
    eventually("a refusal without Redis", async || {
        assert_problem(&click(&mut connection, buyers.next().unwrap()).await, 409, "sold-out");
        let before = std::mem::replace(&mut asked, counter(api.address, "reserve_seconds_count ").await);
        asked == before
    })
    .await;
    is(api.address, "http_requests_total{route=\"/sales/{sale_id}/purchase/{path}\",status=\"202\"}", 3).await;
    // No relay or worker runs yet.
    is(api.address, "outbox_entries", 3).await;
    let oldest = "outbox_oldest_seconds ";
    eventually("they grow old", async || {
        metrics(api.address)
            .await
            .lines()
            .filter_map(|line| line.strip_prefix(oldest)?.parse().ok())
            .any(|age: f64| age > 0.5)
    })
    .await;

    let worker = sale.instance(&["--role", "worker"]).await;
    is(worker.address, "orders_confirmed_total", 3).await;
    is(worker.address, "reserved_to_confirmed_seconds_count", 3).await;
    is(worker.address, "batch_orders_sum", 3).await;
    is(worker.address, "relayed_total", 3).await;
    for name in [
        "outbox_entries",
        "outbox_oldest_seconds",
        "queue_messages{queue=\"orders\"}",
        "queue_messages{queue=\"parked\"}",
    ] {
        is(worker.address, name, 0).await;
    }
    sqlx::query("update orders set pay_by = 0 where id = (select min(id) from orders)")
        .execute(&sale.pool)
        .await
        .unwrap();
    is(worker.address, "orders_expired_total", 1).await;
    is(worker.address, "units_released_total", 1).await;
    sale.publish(br#"[{"order_id": 1, "buyer_id": "nonsense"}]"#).await;
    is(worker.address, "queue_messages{queue=\"parked\"}", 1).await;

    // Unknown paths create no time series, because there is no limit to them.
    for n in 0..50 {
        request(api.address, &format!("GET /no/such/{n}"), &[], "").await;
        request(api.address, &format!("GET /orders/{n}"), &[], "").await;
    }
    let text = metrics(api.address).await;
    assert!(!text.contains("/no/such") && text.contains("route=\"/orders/{order_id}\""), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (_, number) = line.rsplit_once(' ').expect(line);
        assert!(number.parse::<f64>().is_ok(), "{line}");
    }
}

async fn readiness(shop: SocketAddr) -> (u16, Value) {
    let reply = request(shop, "GET /readyz", &[], "").await;
    (reply.status.as_u16(), json(&reply))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn readiness_names_who_does_not_answer() {
    let mut services = own();
    let sale = Production::new(&services, 5).await;
    let (all, worker) = (sale.instance(&[]).await, sale.instance(&["--role", "worker"]).await);
    let api = sale.instance(&["--role", "api"]).await;
    for shop in [&all, &worker, &api] {
        eventually("it is ready", async || {
            let (status, body) = readiness(shop.address).await;
            status == 200 && body["status"] == "ready" && body["missing"] == Value::Array(Vec::new())
        })
        .await;
    }
    let servers = [(Server::Postgres, "PostgreSQL"), (Server::Redis, "Redis"), (Server::RabbitMq, "RabbitMQ")];
    for (server, name) in servers {
        sale.kill(&mut services, server).await;
        let names_it = async |shop: SocketAddr, status: u16| {
            eventually(&format!("{status}, for want of {name}"), async || {
                let (said, body) = readiness(shop).await;
                let named = match status {
                    200 => body["status"] == "degraded" && body["missing"] == serde_json::json!([name]),
                    _ => body["type"] == "overloaded" && body["detail"] == format!("no answer from {name}"),
                };
                said == status && named
            })
            .await;
            assert_eq!(request(shop, "GET /healthz", &[], "").await.status, 200, "alive, in any case");
        };
        names_it(worker.address, 503).await;
        names_it(all.address, if server == Server::Redis { 503 } else { 200 }).await;
        if server == Server::RabbitMq {
            let ready = (200, Value::from("ready"));
            eventually("it has no need of it", async || {
                let (status, body) = readiness(api.address).await;
                assert!(!body.to_string().contains(name), "{body}");
                (status, body["status"].clone()) == ready
            })
            .await;
        } else {
            names_it(api.address, if server == Server::Redis { 503 } else { 200 }).await;
        }
        block_in_place(|| services.start_again(server).unwrap());
        for shop in [&all, &worker, &api] {
            eventually("it is ready again", async || readiness(shop.address).await.1["status"] == "ready").await;
        }
    }
    let logs = sale.logs();
    for words in ["no answer from RabbitMQ", "no answer from Redis", "no answer from PostgreSQL", "all servers answer"]
    {
        assert!(logs.contains(words), "{words}: {logs}");
    }
    // After the last server is back, a sale may still be compared with SQL. A refused client retries, and its order is placed.
    let (mut connection, mut order_id) = (Connection::open(all.address).await.unwrap(), None);
    eventually("it sells again", async || {
        let reply = click(&mut connection, 8101).await;
        match reply.status.as_u16() {
            503 => assert_problem(&reply, 503, "overloaded"),
            _ => order_id = Some(queued(&reply)),
        }
        order_id.is_some()
    })
    .await;
    becomes(&mut connection, 8101, order_id.unwrap(), "confirmed").await;
}

/// Two instances and nginx: from the request to the payment, each log line has the order's number.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn an_order_can_be_followed_through_the_logs() {
    let sale = Production::new(shared(), 5).await;
    let args = ["--trusted-proxies", "127.0.0.1", "--role"];
    let api = sale.instance(&[&args[..], &["api"]].concat()).await;
    let worker = sale.instance(&[&args[..], &["worker"]].concat()).await;
    let nginx = sale.nginx(&[&api]).await;
    let mut orders = Vec::new();
    for buyer in [8201, 8202] {
        orders.push(confirmed(&nginx, buyer).await);
    }
    assert_eq!(pay_until_known(&nginx, 8201, orders[0], "a", GOOD).await.status, 200);
    sale.expire_order(orders[1]).await;
    for (order_id, stations) in [
        (orders[0], vec!["reserved", "relayed", "confirmed", "payment"]),
        (orders[1], vec!["reserved", "relayed", "confirmed", "expired", "given back"]),
    ] {
        let trail = || -> Vec<String> {
            let logs = sale.logs();
            logs.lines().filter(|line| line.contains(&order_id.to_string())).map(str::to_owned).collect()
        };
        eventually("the trail is whole", async || trail().len() >= stations.len()).await;
        let trail = trail();
        assert_eq!(trail.len(), stations.len(), "{trail:#?}");
        // Each station once, in any order: each is noted by a task of its own, after the fact.
        for station in stations {
            assert_eq!(trail.iter().filter(|line| line.contains(station)).count(), 1, "{station}: {trail:#?}");
        }
        // And nginx's own log has the request.
        let reserved = trail.iter().find(|line| line.contains("reserved")).unwrap();
        let request_id =
            reserved.split("request_id=\"").nth(1).and_then(|id| id.split('"').next()).expect("a request's id");
        assert_eq!(request_id.len(), 32, "{trail:#?}");
    }
    // The logs contain neither secrets nor cards, not even a card's last digits. Times and ids may contain any digits.
    let logs = sale.logs();
    let mut words = logs.split(|letter: char| !letter.is_alphanumeric());
    assert!(
        !words.any(|word| word.trim_matches(char::is_alphabetic) == "4242" || word.contains("42424242"))
            && !logs.contains("/purchase/0"),
        "{logs}"
    );
    drop(worker);
}
