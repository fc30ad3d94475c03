//! PostgreSQL's synchronous standby is away, and a COMMIT that waited for it is interrupted. Its order is visible on one disk then,
//! and nothing may be promised or acknowledged because of it.

use std::{ops::RangeFrom, time::Duration};

use crate::support::{
    assert_problem, eventually,
    orders::{cancel, confirmed},
    production::{Production, cluster, shared},
    requests::{becomes, click, counter, order, queued},
};
use crate::wrong_setup::says;
use loadtest::{
    buyer::client::Connection,
    lab::{
        servers::{Server, Services},
        shop_process::ShopProcess,
    },
    version::Version,
};
use sqlx::{AssertSqlSafe, Executor};
use tokio::{
    task::block_in_place,
    time::{sleep, timeout},
};

/// Of all instances only the worker writes orders: none is placed directly from Redis.
pub(crate) const WORKER: [&str; 4] = ["--role", "worker", "--place-after", "600"];
/// PostgreSQL's standby among its nodes.
pub(crate) const STANDBY: usize = 1;

impl Production {
    /// The sessions whose transaction waits for the standby.
    pub(crate) async fn commits_that_wait(&self) -> Vec<i32> {
        let query = "select pid from pg_stat_activity where wait_event = 'SyncRep' and query ilike 'commit'
                     and datname = current_database()";
        sqlx::query_scalar(query).fetch_all(&self.pool).await.unwrap_or_default()
    }

    /// Buys a unit while the standby is away. Returns the buyer, the order, and the session whose COMMIT waits.
    ///
    /// A worker that has lost its connections, because this machine stood still, never gets as far as COMMIT: a new connection
    /// waits for the standby by itself. Then the standby comes back, and the next buyer tries.
    async fn buys_without_the_standby(
        &self,
        postgres: &mut Services,
        api: &ShopProcess,
        buyers: &mut RangeFrom<i64>,
    ) -> (i64, i64, i32) {
        let mut shop = Connection::open(api.address).await.unwrap();
        for buyer in buyers.take(5) {
            block_in_place(|| postgres.kill_node(Server::Postgres, STANDBY)).unwrap();
            let order_id = queued(&click(&mut shop, buyer).await);
            let waits = async {
                loop {
                    if let Some(session) = self.commits_that_wait().await.pop() {
                        return session;
                    }
                    sleep(Duration::from_millis(10)).await;
                }
            };
            if let Ok(session) = timeout(Duration::from_secs(20), waits).await {
                return (buyer, order_id, session);
            }
            comes_back(postgres);
            becomes(&mut shop, buyer, order_id, "confirmed").await;
        }
        panic!("never: the worker waits for the standby");
    }

    /// Whether PostgreSQL shows this order. The standby does not have it.
    async fn is_on_one_disk(&self, order_id: i64) -> bool {
        let query = sqlx::query_scalar("select count(*) from orders where id = $1 and status = 'confirmed'");
        query.bind(order_id).fetch_one(&self.pool).await.is_ok_and(|orders: i64| orders == 1)
    }

    /// Loses the worker, and asserts that the message of its order was not acknowledged: RabbitMQ has it again.
    async fn has_its_message_again(&self, mut worker: ShopProcess) {
        worker.kill().await.unwrap();
        let is_back = async || self.stores.messages("orders").await.unwrap() == 1;
        eventually("RabbitMQ has the message again", is_back).await;
    }
}

/// The orders that a worker has confirmed, and how often it has tried in vain.
async fn counters(worker: &ShopProcess) -> [i64; 2] {
    let count = async |name: &str| counter(worker.address, name).await;
    [count("orders_confirmed_total").await, count("place_repeated_total").await]
}

pub(crate) fn comes_back(postgres: &mut Services) {
    block_in_place(|| postgres.start_node_again(Server::Postgres, STANDBY)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_order_on_one_disk_is_not_acknowledged() {
    let mut postgres = cluster(Server::Postgres);
    let (sale, mut buyers) = (Production::on(&postgres, shared(), 20).await, 1..);
    let api = sale.instance(&["--role", "api"]).await;
    // The first one ends the COMMIT with success and a warning, the second one ends its session.
    for interrupt in ["pg_cancel_backend", "pg_terminate_backend"] {
        let worker = sale.instance(&WORKER).await;
        let (buyer, order_id, session) = sale.buys_without_the_standby(&mut postgres, &api, &mut buyers).await;
        let [confirmed, repeated] = counters(&worker).await;
        let interrupt = format!("select {interrupt}({session})");
        sale.pool.execute(AssertSqlSafe(interrupt)).await.unwrap();
        eventually("its order is visible", async || sale.is_on_one_disk(order_id).await).await;
        eventually("the worker has tried again in vain", async || {
            assert_eq!(counter(worker.address, "orders_confirmed_total").await, confirmed);
            counter(worker.address, "place_repeated_total").await >= repeated + 2
        })
        .await;
        sale.has_its_message_again(worker).await;

        comes_back(&mut postgres);
        let worker = sale.instance(&WORKER).await;
        becomes(&mut Connection::open(api.address).await.unwrap(), buyer, order_id, "confirmed").await;
        sale.settles_at(buyer as usize).await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_cancellation_on_one_disk_is_not_said() {
    let mut postgres = cluster(Server::Postgres);
    let sale = Production::on(&postgres, shared(), 5).await;
    let (api, worker) = (sale.instance(&["--role", "api"]).await, sale.instance(&WORKER).await);
    let order_id = confirmed(&api, 1).await;
    worker.stop().await;
    block_in_place(|| postgres.kill_node(Server::Postgres, STANDBY)).unwrap();
    let interrupted = eventually("its COMMIT waits, and is cancelled", async || {
        let Some(session) = sale.commits_that_wait().await.pop() else { return false };
        sale.pool.execute(AssertSqlSafe(format!("select pg_cancel_backend({session})"))).await.is_ok()
    });
    let (reply, ()) = tokio::join!(cancel(&api, 1, order_id), interrupted);
    assert_problem(&reply, 503, "overloaded");
    assert_eq!(sale.orders("failed").await, 1, "it is visible");
    assert_problem(&cancel(&api, 1, order_id).await, 503, "overloaded");

    comes_back(&mut postgres);
    eventually("it is cancelled", async || cancel(&api, 1, order_id).await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn after_a_crash_no_buyer_is_told_of_an_order_on_one_disk() {
    let mut postgres = cluster(Server::Postgres);
    let sale = Production::on(&postgres, shared(), 5).await;
    let (api, worker) = (sale.instance(&["--role", "api"]).await, sale.instance(&WORKER).await);
    let (buyer_id, order_id, _) = sale.buys_without_the_standby(&mut postgres, &api, &mut (1..)).await;
    let [before, _] = counters(&worker).await;
    block_in_place(|| postgres.kill(Server::Postgres)).unwrap();
    block_in_place(|| postgres.start_again(Server::Postgres)).unwrap();
    eventually("its order is visible", async || sale.is_on_one_disk(order_id).await).await;
    let mut buyer = Connection::open(api.address).await.unwrap();
    let [_, tried] = counters(&worker).await;
    eventually("the worker has tried again in vain", async || {
        assert_ne!(order(&mut buyer, buyer_id, order_id).await["status"], "confirmed");
        counter(worker.address, "place_repeated_total").await >= tried + 2
    })
    .await;
    assert_eq!(counter(worker.address, "orders_confirmed_total").await, before);
    sale.has_its_message_again(worker).await;

    comes_back(&mut postgres);
    let _worker = sale.instance(&WORKER).await;
    becomes(&mut buyer, buyer_id, order_id, "confirmed").await;
    sale.settles_at(buyer_id as usize).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_commit_that_does_not_wait_for_the_standby_is_said() {
    let postgres = cluster(Server::Postgres);
    let sale = Production::on(&postgres, shared(), 5).await;
    let running = sale.instance(&[]).await;
    let name = sale.database.name();
    for setting in ["off", "local", "remote_write"] {
        let set = format!("alter database \"{name}\" set synchronous_commit = {setting}");
        sale.pool.execute(AssertSqlSafe(set)).await.unwrap();
        says(Version::V6, &sale.args(&[]), &[&format!("synchronous_commit is {setting}"), "alter database"]).await;
    }
    let reset = format!("alter database \"{name}\" set synchronous_commit = remote_apply");
    sale.pool.execute(AssertSqlSafe(reset)).await.unwrap();
    sale.instance(&[]).await;
    drop(running);
}
