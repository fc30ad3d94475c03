//! A server refuses writes. Orders wait in place, buyers get a definite refusal, and readiness reports it. Chapter 6 on its real
//! servers.

use crate::support::{
    SALE, assert_problem, eventually,
    orders::confirmed,
    production::{Production, held, own, shared},
    requests::{address, becomes, buy_at, click, counter, log_in, queued, readyz, sells},
};
use loadtest::{
    buyer::client::Connection,
    fault::network::Network,
    lab::{
        servers::{Server, Services},
        stores::connect,
    },
};
use redis::AsyncCommands;
use sqlx::{AssertSqlSafe, Executor};
use tokio::task::block_in_place;

impl Production {
    /// Makes this database's new sessions read-only or writable, and ends all older sessions.
    async fn read_only(&self, on: &str) {
        let name = self.database.name();
        // In one statement, because the setting also applies to the next session here.
        let set = format!("begin read write; alter database {name} set default_transaction_read_only = {on}; commit");
        self.pool.execute(AssertSqlSafe(set)).await.unwrap();
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and pid <> pg_backend_pid()";
        self.pool.execute(end).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn orders_wait_for_a_database_that_is_read_only() {
    let sale = Production::new(shared(), 10).await;
    let (shop, worker) = (sale.instance(&["--role", "api"]).await, sale.instance(&["--role", "worker"]).await);
    let mut connection = Connection::open(shop.address).await.unwrap();
    confirmed(&shop, 1).await;

    sale.read_only("on").await;
    let mut orders = Vec::new();
    for buyer in 2..=4 {
        orders.push((buyer, queued(&click(&mut connection, buyer).await)));
    }
    eventually("they were refused", async || {
        counter(worker.address, "place_repeated_total ").await > 2 || sale.stores.messages("parked").await.unwrap() > 0
    })
    .await;
    assert_eq!(counter(worker.address, "dead_lettered_total ").await, 0, "it is not the messages' fault");
    eventually("the worker is not ready", async || {
        let readiness = readyz(worker.address).await;
        readiness.starts_with("503") && readiness.contains("PostgreSQL")
    })
    .await;

    sale.read_only("off").await;
    for (buyer, order_id) in orders {
        becomes(&mut connection, buyer, order_id, "confirmed").await;
    }
    assert_eq!((sale.orders("failed").await, sale.stores.messages("parked").await.unwrap()), (0, 0));
    eventually("it is ready", async || readyz(worker.address).await.starts_with("200")).await;
    sale.settles_at(4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_redis_that_was_demoted_refuses_and_its_successor_sells() {
    let (services, successor) =
        (own(), block_in_place(|| Services::start(&crate::support::loadtest(), &[Server::Redis])));
    let (mut sale, successor) = (Production::new(&services, 10).await, successor.unwrap());
    let network = Network::to(&sale.stores.redis).await.unwrap();
    let shop = sale.instance_with(&sale.args_with(Server::Redis, &network.instead_of(&sale.stores.redis), &[])).await;
    confirmed(&shop, 1).await;
    sale.settles_at(1).await;

    let mut redis = sale.stores.connect().await.unwrap();
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).exec_async(&mut redis).await.unwrap();
    let refused = click(&mut Connection::open(shop.address).await.unwrap(), 2).await;
    assert_problem(&refused, 503, "overloaded");
    eventually("it is not ready", async || {
        let readiness = readyz(shop.address).await;
        readiness.starts_with("503") && readiness.contains("Redis")
    })
    .await;

    // From now on the host name leads to another server. Connections to the old one stay open.
    let mut url = successor.url(Server::Redis).unwrap().clone();
    let mut primary = connect(&url).await.unwrap();
    let password = sale.stores.redis.password().unwrap().to_owned();
    let set = redis::cmd("CONFIG").arg("SET").arg("requirepass").arg(&password).exec_async(&mut primary).await;
    set.unwrap();
    url.set_password(Some(&password)).unwrap();
    network.lead_to(&url).unwrap();
    sale.stores.redis = url;
    sells(shop.address, 2).await;
    sale.settles_at(2).await;
    confirmed(&shop, 3).await;
    let mut listeners = redis::cmd("PUBSUB");
    listeners.arg("NUMSUB").arg(format!("{}:stock", sale.stores.namespace));
    eventually("it listens to the new one", async || {
        listeners.query_async::<(String, i64)>(&mut primary).await.unwrap().1 == 1
    })
    .await;
    let old: Option<i64> = redis.hget(sale.stores.key(SALE, "sale"), "epoch").await.unwrap();
    assert_eq!(old, Some(1), "nothing was written to the old one");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_instance_that_is_not_told_the_time_at_its_start_waits_for_it() {
    let sale = Production::new(shared(), 5).await;
    let network = Network::to(&sale.stores.redis).await.unwrap();
    network.hold_request(b"\r\nTIME\r\n");
    let redis = network.instead_of(&sale.stores.redis);
    let args = sale.args_with(Server::Redis, &redis, &["--redis-timeout", "0.3"]);
    let restores = async {
        eventually("it waits", async || sale.logs().contains("waiting for the time")).await;
        network.restore();
    };
    let (shop, ()) = tokio::join!(sale.instance_with(&args), restores);
    sells(shop.address, 1).await;
    sale.settles_at(1).await;
}

/// The stock is lowered by hand, and an expiry commits between a worker's two reads of the sale's row.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_expiry_between_two_looks_leaves_units_for_all() {
    let sale = Production::new(shared(), 5).await;
    let api = sale.instance(&["--role", "api", "--reconcile-every", "3600"]).await;
    let worker = sale.instance(&["--role", "worker"]).await;
    for buyer in 1..=3 {
        confirmed(&api, buyer).await;
    }
    worker.stop().await;
    let mut addresses = Vec::new();
    for buyer in [4, 5] {
        let cookie = log_in(api.address, buyer).await;
        addresses.push((buyer, address(api.address, SALE, &cookie).await.unwrap(), cookie));
    }
    sqlx::query("update sales set stock = 3").execute(&sale.pool).await.unwrap();
    let mut orders = Vec::new();
    for (buyer, address, cookie) in &addresses {
        orders.push((*buyer, queued(&buy_at(api.address, address, cookie, None).await)));
    }

    // The same as `release`, but held open before its commit.
    let mut expiry = sale.pool.begin().await.unwrap();
    expiry.execute("update orders set status = 'expired', given_back = true where sale_id = 42").await.unwrap();
    expiry.execute("update sales set sold = 0 where id = 42").await.unwrap();
    let worker = sale.instance(&["--role", "worker", "--reconcile-every", "3600"]).await;
    eventually("the second look waits", async || {
        let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'
                     and query like '%stock - sold%' and datname = current_database()";
        sqlx::query_scalar::<_, i64>(waits).fetch_one(&sale.pool).await.unwrap() > 0
    })
    .await;
    expiry.commit().await.unwrap();
    let mut connection = Connection::open(api.address).await.unwrap();
    for (buyer, order_id) in orders {
        becomes(&mut connection, buyer, order_id, "confirmed").await;
    }
    assert_eq!(counter(worker.address, "panics_total ").await, 0);
}

/// As in a cluster that is changing: the unit is reserved, and then the wait for the replicas is refused.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_refusal_after_the_reservation_is_no_answer_that_nothing_was_done() {
    let sale = Production::new(shared(), 5).await;
    let mut redis = sale.stores.connect().await.unwrap();
    let mut url = sale.stores.redis.clone();
    url.set_username(&sale.stores.namespace).unwrap();
    url.set_password(Some("secret")).unwrap();
    let mut user = redis::cmd("ACL");
    user.arg(&["SETUSER", &sale.stores.namespace, "on", ">secret", "~*", "&*", "+@all", "-wait"]);
    user.query_async::<()>(&mut redis).await.unwrap();
    let shop = sale.instance_with(&sale.args_with(Server::Redis, &url, &["--redis-replicas", "1"])).await;
    let cookie = log_in(shop.address, 1).await;
    let at = address(shop.address, SALE, &cookie).await.unwrap();
    assert_problem(&buy_at(shop.address, &at, &cookie, Some("mine")).await, 503, "timed-out");
    assert_eq!(held(&sale).await, 1);
}
