//! PostgreSQL's synchronous standby is away, and a COMMIT that waited for it is interrupted. Its order is visible on one disk then,
//! and nothing may be promised or acknowledged because of it.

use std::time::Duration;

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
/// Who buys while the standby is away.
const BUYER: i64 = 1;
/// PostgreSQL's standby among its nodes.
pub(crate) const STANDBY: usize = 1;

impl Production {
    /// The session whose COMMIT waits for the standby; `None` if there is none within 20 s.
    pub(crate) async fn commit_that_waits(&self) -> Option<i32> {
        let query = "select pid from pg_stat_activity where wait_event = 'SyncRep' and query ilike 'commit'
                     and datname = current_database()";
        let waits = async {
            loop {
                if let Ok(Some(session)) = sqlx::query_scalar(query).fetch_optional(&self.pool).await {
                    return session;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), waits).await.ok()
    }

    /// Buys a unit while the standby is away. Returns the order, and the session of the worker's COMMIT that waits.
    async fn buys_without_the_standby(&self, postgres: &mut Services, api: &ShopProcess) -> Option<(i64, i32)> {
        block_in_place(|| postgres.kill_node(Server::Postgres, STANDBY)).unwrap();
        let order_id = queued(&click(&mut Connection::open(api.address).await.unwrap(), BUYER).await);
        Some((order_id, self.commit_that_waits().await?))
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

/// Plays a scenario, and plays it again with new servers if it returns false: no COMMIT was seen that waits for the standby. A shop
/// that has lost its connections, because this machine stood still, gets no new ones without the standby.
pub(crate) async fn until_a_commit_waits(mut scenario: impl AsyncFnMut() -> bool) {
    for _ in 0..3 {
        if scenario().await {
            return;
        }
    }
    panic!("never: a COMMIT waits for the standby");
}

pub(crate) fn comes_back(postgres: &mut Services) {
    block_in_place(|| postgres.start_node_again(Server::Postgres, STANDBY)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_order_on_one_disk_is_not_acknowledged() {
    // The first one ends the COMMIT with success and a warning, the second one ends its session.
    for interrupt in ["pg_cancel_backend", "pg_terminate_backend"] {
        until_a_commit_waits(async || {
            let mut postgres = cluster(Server::Postgres);
            let sale = Production::on(&postgres, shared(), 5).await;
            let (api, worker) = (sale.instance(&["--role", "api"]).await, sale.instance(&WORKER).await);
            let Some((order_id, session)) = sale.buys_without_the_standby(&mut postgres, &api).await else {
                return false;
            };
            sale.pool.execute(AssertSqlSafe(format!("select {interrupt}({session})"))).await.unwrap();
            eventually("its order is visible", async || sale.is_on_one_disk(order_id).await).await;
            eventually("the worker has tried again in vain", async || {
                assert_eq!(counter(worker.address, "orders_confirmed_total").await, 0);
                counter(worker.address, "place_repeated_total").await >= 2
            })
            .await;
            sale.has_its_message_again(worker).await;

            comes_back(&mut postgres);
            let _worker = sale.instance(&WORKER).await;
            becomes(&mut Connection::open(api.address).await.unwrap(), BUYER, order_id, "confirmed").await;
            sale.settles_at(1).await;
            true
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_cancellation_on_one_disk_is_not_said() {
    until_a_commit_waits(async || {
        let mut postgres = cluster(Server::Postgres);
        let sale = Production::on(&postgres, shared(), 5).await;
        let (api, worker) = (sale.instance(&["--role", "api"]).await, sale.instance(&WORKER).await);
        let order_id = confirmed(&api, BUYER).await;
        worker.stop().await;
        block_in_place(|| postgres.kill_node(Server::Postgres, STANDBY)).unwrap();
        let (reply, interrupted) = tokio::join!(cancel(&api, BUYER, order_id), sale.interrupts_a_commit());
        if !interrupted {
            return false;
        }
        assert_problem(&reply, 503, "timed-out");
        assert_eq!(sale.orders("failed").await, 1, "it is visible");
        assert_problem(&cancel(&api, BUYER, order_id).await, 503, "timed-out");

        comes_back(&mut postgres);
        eventually("it is cancelled", async || cancel(&api, BUYER, order_id).await.status == 200).await;
        true
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn after_a_crash_no_buyer_is_told_of_an_order_on_one_disk() {
    until_a_commit_waits(async || {
        let mut postgres = cluster(Server::Postgres);
        let sale = Production::on(&postgres, shared(), 5).await;
        let (api, worker) = (sale.instance(&["--role", "api"]).await, sale.instance(&WORKER).await);
        let Some((order_id, _)) = sale.buys_without_the_standby(&mut postgres, &api).await else { return false };
        block_in_place(|| postgres.kill(Server::Postgres)).unwrap();
        block_in_place(|| postgres.start_again(Server::Postgres)).unwrap();
        eventually("its order is visible", async || sale.is_on_one_disk(order_id).await).await;
        let mut buyer = Connection::open(api.address).await.unwrap();
        let tried = counter(worker.address, "place_repeated_total").await;
        eventually("the worker has tried again in vain", async || {
            assert_ne!(order(&mut buyer, BUYER, order_id).await["status"], "confirmed");
            counter(worker.address, "place_repeated_total").await >= tried + 2
        })
        .await;
        assert_eq!(counter(worker.address, "orders_confirmed_total").await, 0);
        sale.has_its_message_again(worker).await;

        comes_back(&mut postgres);
        let _worker = sale.instance(&WORKER).await;
        let mut buyer = Connection::open(api.address).await.unwrap();
        becomes(&mut buyer, BUYER, order_id, "confirmed").await;
        sale.settles_at(1).await;
        true
    })
    .await;
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
