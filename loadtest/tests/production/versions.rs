//! A rolling update of chapter 6: for a while the old and the new version run side by side, and each reads what the other has
//! written.

use crate::support::{
    SALE, assert_problem, eventually,
    orders::confirmed,
    production::{Production, shared},
    requests::{becomes, click, queued, request},
};
use lapin::BasicProperties;
use loadtest::buyer::client::Connection;
use redis::AsyncCommands;

impl Production {
    fn outbox(&self) -> String {
        self.stores.key(SALE, "outbox")
    }

    /// Adds an entry of one field to the outbox.
    async fn write(&self, field: &str, value: &[u8]) -> String {
        self.stores.connect().await.unwrap().xadd(self.outbox(), "*", &[(field, value)]).await.unwrap()
    }

    async fn messages(&self, queue: &str) -> u32 {
        self.stores.messages(queue).await.unwrap()
    }
}

fn of_kind(kind: &str) -> BasicProperties {
    BasicProperties::default().with_type(kind.into())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn what_a_later_version_has_written_waits_for_it_and_holds_up_nothing() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let entry = sale.write("r3", b"in a format that is not there yet").await;
    sale.publish_to("orders", of_kind("reservations/2"), b"this neither").await;
    confirmed(&shop, 1).await;

    eventually("the message is set aside", async || sale.messages("later").await == 1).await;
    let mut redis = sale.stores.connect().await.unwrap();
    let mut holder = async || -> Option<String> {
        let pending: redis::streams::StreamPendingCountReply =
            redis.xpending_count(sale.outbox(), "relay", &entry, &entry, 1).await.unwrap();
        pending.ids.first().map(|pending| pending.consumer.clone())
    };
    eventually("the entry is nobody's", async || holder().await.as_deref() == Some("later")).await;
    // Another instance of this version changes nothing.
    let _other = sale.instance(&[]).await;
    confirmed(&shop, 2).await;
    eventually("it is still there", async || sale.messages("later").await == 1).await;
    assert_eq!((sale.messages("parked").await, sale.messages("dead").await), (0, 0));
    // A worker can be faster than the relay, which deletes the entries of what it has published.
    eventually("and nothing else is left", async || redis.xlen::<_, i64>(sale.outbox()).await.unwrap() == 1).await;
}

/// For an older version, these entries would have been of a newer format.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn what_an_older_version_could_not_read_is_taken_up() {
    let sale = Production::new(shared(), 5).await;
    let api = sale.instance(&["--role", "api"]).await;
    let mut connection = Connection::open(api.address).await.unwrap();
    let orders = [queued(&click(&mut connection, 1).await), queued(&click(&mut connection, 2).await)];
    // One entry got as far as the queue, the other one is in the outbox. No process owns either.
    let mut redis = sale.stores.connect().await.unwrap();
    let _: redis::RedisResult<()> = redis.xgroup_create(sale.outbox(), "relay", "0").await;
    let options = redis::streams::StreamReadOptions::default().group("relay", "later");
    let read: redis::streams::StreamReadReply = redis.xread_options(&[sale.outbox()], &[">"], &options).await.unwrap();
    let first = &read.keys[0].ids[0].id;
    let _: (i64, i64) = redis::pipe()
        .xack(sale.outbox(), "relay", &[first])
        .xdel(sale.outbox(), &[first])
        .query_async(&mut redis)
        .await
        .unwrap();
    let reservation = serde_json::to_vec(&[sale.reservation(1).await]).unwrap();
    sale.publish_to("later", of_kind("reservations/1"), &reservation).await;

    let _worker = sale.instance(&["--role", "worker", "--reconcile-every", "3600"]).await;
    for (buyer, order_id) in [(1, orders[0]), (2, orders[1])] {
        becomes(&mut connection, buyer, order_id, "confirmed").await;
    }
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn the_page_of_another_version_finds_its_files() {
    let sale = Production::new(shared(), 1).await;
    let shop = sale.instance(&[]).await;
    let page = request(shop.address, "GET /", &[], "").await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let ours: Vec<String> =
        sqlx::query_scalar("select name from page_files order by name").fetch_all(&sale.pool).await.unwrap();
    assert_eq!(ours.len(), 2);
    assert!(ours.iter().all(|name| page.contains(&format!("/static/{name}"))), "for the others: {ours:?}");

    let script = ours.iter().find(|name| name.ends_with(".js")).unwrap();
    let get = async |name: &str| request(shop.address, &format!("GET /static/{name}"), &[], "").await;
    assert_problem(&get("page.0000000000000000.js").await, 404, "not-found");
    let insert = "insert into page_files values ('page.0000000000000000.js', 'of another version', now_ms())";
    sqlx::query(insert).execute(&sale.pool).await.unwrap();
    eventually("it is there", async || get("page.0000000000000000.js").await.status == 200).await;
    let (theirs, own) = (get("page.0000000000000000.js").await, get(script).await);
    assert_eq!(theirs.body, "of another version");
    for header in ["content-type", "cache-control"] {
        assert_eq!(theirs.headers[header], own.headers[header]);
    }
}
