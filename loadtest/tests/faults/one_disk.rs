//! A COMMIT that waited for PostgreSQL's standby was interrupted, so its change is visible on one disk only. Nothing that others
//! rely on is done because of it: no unit is sold again, no card is charged, and no operator is told.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use crate::standby::{STANDBY, WORKER, comes_back, until_a_commit_waits};
use crate::support::{
    SALE, assert_problem, eventually,
    money::Provider,
    orders::{GOOD, confirmed, given_back, pay, pay_until_known},
    production::{Production, cluster, held, operate_with, shared},
    requests::counter,
};
use futures_util::future::join_all;
use loadtest::{
    fault::network::Network,
    lab::servers::{Server, Services},
    provider::{Does, Standing, Step},
};
use sqlx::{AssertSqlSafe, Executor};
use tokio::{runtime::Handle, task::block_in_place};

/// How often an instance's release has failed.
const RELEASE_FAILED: &str = r#"restarts_total{task="release"}"#;

impl Production {
    /// Waits until a COMMIT waits for the standby, and cancels its wait. Its change is visible then. Returns false if none waits.
    pub(crate) async fn interrupts_a_commit(&self) -> bool {
        let Some(session) = self.commit_that_waits().await else { return false };
        self.pool.execute(AssertSqlSafe(format!("select pg_cancel_backend({session})"))).await.is_ok()
    }
}

fn goes_away(postgres: &mut Services) {
    block_in_place(|| postgres.kill_node(Server::Postgres, STANDBY)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_unit_whose_order_expired_on_one_disk_is_not_sold_again() {
    until_a_commit_waits(async || {
        let mut postgres = cluster(Server::Postgres);
        let sale = Production::on(&postgres, shared(), 1).await;
        let (api, worker) = (sale.instance(&["--role", "api"]).await, sale.instance(&WORKER).await);
        confirmed(&api, 1).await;
        let failed = counter(worker.address, RELEASE_FAILED).await;
        goes_away(&mut postgres);
        let mut at_once = sale.pool.begin().await.unwrap();
        at_once.execute("set local synchronous_commit = off").await.unwrap(); // the test's own change waits for nobody
        at_once.execute("update orders set pay_by = 0").await.unwrap();
        at_once.commit().await.unwrap();
        if !sale.interrupts_a_commit().await {
            return false;
        }
        eventually("it is visible", async || sale.orders("expired").await == 1).await;
        eventually("the release has tried again in vain", async || {
            assert_eq!((counter(worker.address, "units_released_total").await, held(&sale).await), (0, 1));
            counter(worker.address, RELEASE_FAILED).await >= failed + 3
        })
        .await;

        comes_back(&mut postgres);
        given_back(&sale, 1).await;
        sale.settles_at(0).await;
        true
    })
    .await;
}

/// The same payment is asked for twice, at the same time. What the first request has written is visible to the second one, which
/// would do the next step. It has locked the row, and PostgreSQL writes row locks to its log.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_card_is_not_charged_for_a_claim_on_one_disk() {
    until_a_commit_waits(async || {
        let mut postgres = cluster(Server::Postgres);
        let (sale, provider) = (Production::on(&postgres, shared(), 1).await, Provider::start());
        let (api, worker) = (sale.with(&provider, &["--role", "api"]).await, sale.with(&provider, &WORKER).await);
        let order_id = confirmed(&api, 1).await;
        worker.stop().await; // the requests alone do the next step
        // The pool has a connection for each request. A new one would wait for the standby by itself.
        let unknown = (0..8).map(|_| pay(&api, 1, order_id + 1, Some("unknown"), GOOD));
        assert!(join_all(unknown).await.iter().all(|reply| reply.status == 404));
        provider.at(Step::Authorise, Does::Slow(2500)).await;
        let asked_at = async || {
            let asked_at = sqlx::query_scalar("select next_at from payments").fetch_optional(&sale.pool).await;
            asked_at.unwrap().unwrap_or_default()
        };
        let claimed = async || -> i64 {
            let claimed = "select count(*) from orders where paid_with is not null";
            sqlx::query_scalar(claimed).fetch_one(&sale.pool).await.unwrap()
        };
        let again = async {
            let mut first: i64 = 0;
            eventually("the payment has begun", async || {
                first = asked_at().await;
                first > 0
            })
            .await;
            let strikes = async {
                eventually("it is asked for again", async || asked_at().await > first).await;
                goes_away(&mut postgres); // both requests are at the provider
                // Unless the first one came back before the standby was away.
                claimed().await == 0 && sale.interrupts_a_commit().await
            };
            tokio::join!(pay(&api, 1, order_id, Some("once"), GOOD), strikes)
        };
        let (first, (second, interrupted)) = tokio::join!(pay(&api, 1, order_id, Some("once"), GOOD), again);
        if !interrupted {
            return false;
        }
        for reply in [first, second] {
            assert_problem(&reply, 503, "timed-out");
        }
        assert_eq!(claimed().await, 1, "it is visible");
        assert_eq!(sale.movements(&provider.remote).await, [[Standing::Authorised]]);

        comes_back(&mut postgres);
        let _worker = sale.with(&provider, &WORKER).await;
        sale.is(order_id, "paid", None).await;
        assert_eq!(sale.movements(&provider.remote).await, [[Standing::Authorised, Standing::Captured]]);
        true
    })
    .await;
}

/// Another refund comes when the operator's command has connected to PostgreSQL, and not yet to Redis.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_operator_is_not_told_of_a_refund_on_one_disk() {
    let mut postgres = cluster(Server::Postgres);
    let sale = Production::on(&postgres, shared(), 1).await;
    let shop = sale.instance(&["--place-after", "600"]).await;
    let order_id = confirmed(&shop, 1).await;
    assert_eq!(pay_until_known(&shop, 1, order_id, "once", GOOD).await.status, 200);
    shop.stop().await;

    let redis = Network::to(&sale.stores.redis).await.unwrap();
    redis.hold_request(b"PING");
    let connected = AtomicBool::new(false);
    let interrupted = async {
        eventually("the command connects to Redis", async || redis.is_holding()).await;
        connected.store(true, SeqCst);
        goes_away(&mut postgres);
        let mut another = sale.pool.begin().await.unwrap();
        another.execute("update payments set owes = 'refund', next_at = 0").await.unwrap();
        let end = "update orders set status = 'failed', reason = 'refunded', paid_with = null";
        another.execute(end).await.unwrap();
        another.execute(AssertSqlSafe(format!("update sales set sold = 0 where id = {SALE}"))).await.unwrap();
        let (committed, interrupted) = tokio::join!(another.commit(), sale.interrupts_a_commit());
        committed.unwrap();
        assert!(interrupted);
        redis.restore();
    };
    let order = order_id.to_string();
    // With one connection to PostgreSQL: a second one would wait for the standby by itself.
    let args = ["--pool-size", "1", "--redis-timeout", "60", "refund", &order];
    let args = sale.args_with(Server::Redis, &redis.instead_of(&sale.stores.redis), &args);
    let said = thread::scope(|scope| {
        // A command does not wait for a server that is slow. An operator would call it again.
        let command = scope.spawn(|| {
            let mut said = operate_with(&args);
            for _ in 0..4 {
                if connected.load(SeqCst) {
                    break;
                }
                said = operate_with(&args);
            }
            said
        });
        block_in_place(|| Handle::current().block_on(interrupted));
        command.join().unwrap()
    });
    said.unwrap_err();
    sale.is(order_id, "failed", Some("refunded")).await;

    comes_back(&mut postgres);
    eventually("the command says it", async || operate_with(&args).is_ok_and(|said| said.contains("refunded before")))
        .await;
}
