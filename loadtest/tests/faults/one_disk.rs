//! A COMMIT that waited for PostgreSQL's standby was interrupted, so its change is visible on one disk only. Nothing that others
//! rely on is done because of it: no unit is sold again, no card is charged, and no operator is told.

use std::thread;

use crate::standby::{STANDBY, WORKER, comes_back};
use crate::support::{
    SALE, assert_problem, eventually,
    money::Provider,
    orders::{GOOD, confirmed, given_back, pay},
    production::{Production, cluster, held, operate_says, shared},
    requests::counter,
};
use loadtest::{
    lab::servers::{Server, Services},
    provider::{Does, Standing, Step},
};
use sqlx::{AssertSqlSafe, Executor};
use tokio::{runtime::Handle, task::block_in_place};

/// How often an instance's release has failed.
const RELEASE_FAILED: &str = r#"restarts_total{task="release"}"#;

impl Production {
    /// Waits until a COMMIT waits for the standby, and cancels its wait. Its change is visible then.
    async fn interrupts_a_commit(&self) {
        eventually("a COMMIT waits, and is interrupted", async || {
            let Some(session) = self.commits_that_wait().await.pop() else { return false };
            self.pool.execute(AssertSqlSafe(format!("select pg_cancel_backend({session})"))).await.is_ok()
        })
        .await;
    }
}

fn goes_away(postgres: &mut Services) {
    block_in_place(|| postgres.kill_node(Server::Postgres, STANDBY)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_unit_whose_order_expired_on_one_disk_is_not_sold_again() {
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
    sale.interrupts_a_commit().await;
    eventually("it is visible", async || sale.orders("expired").await == 1).await;
    eventually("the release has tried again in vain", async || {
        assert_eq!((counter(worker.address, "units_released_total").await, held(&sale).await), (0, 1));
        counter(worker.address, RELEASE_FAILED).await >= failed + 3
    })
    .await;

    comes_back(&mut postgres);
    given_back(&sale, 1).await;
    sale.settles_at(0).await;
}

/// The same payment is asked for twice, at the same time. What the first request has written is visible to the second one, which
/// would do the next step.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_card_is_not_charged_for_a_claim_on_one_disk() {
    let mut postgres = cluster(Server::Postgres);
    let (sale, provider) = (Production::on(&postgres, shared(), 1).await, Provider::start());
    let (api, worker) = (sale.with(&provider, &["--role", "api"]).await, sale.with(&provider, &WORKER).await);
    let order_id = confirmed(&api, 1).await;
    worker.stop().await; // the requests alone do the next step
    provider.at(Step::Authorise, Does::Slow(2500)).await;
    let asked_at = async || {
        let asked_at = sqlx::query_scalar("select next_at from payments").fetch_optional(&sale.pool).await;
        asked_at.unwrap().unwrap_or_default()
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
            sale.interrupts_a_commit().await;
        };
        tokio::join!(pay(&api, 1, order_id, Some("once"), GOOD), strikes).0
    };
    let (first, second) = tokio::join!(pay(&api, 1, order_id, Some("once"), GOOD), again);
    for reply in [first, second] {
        assert_problem(&reply, 503, "timed-out");
    }
    let claimed = "select count(*) from orders where paid_with is not null";
    assert_eq!(sqlx::query_scalar::<_, i64>(claimed).fetch_one(&sale.pool).await.unwrap(), 1, "it is visible");
    assert_eq!(sale.movements(&provider.remote).await, [[Standing::Authorised]]);

    comes_back(&mut postgres);
    let _worker = sale.with(&provider, &WORKER).await;
    sale.is(order_id, "paid", None).await;
    assert_eq!(sale.movements(&provider.remote).await, [[Standing::Authorised, Standing::Captured]]);
}

/// The operator's command waits for a row that another refund has changed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_operator_is_not_told_of_a_refund_on_one_disk() {
    let mut postgres = cluster(Server::Postgres);
    let sale = Production::on(&postgres, shared(), 1).await;
    let shop = sale.instance(&["--place-after", "600"]).await;
    let order_id = confirmed(&shop, 1).await;
    assert_eq!(pay(&shop, 1, order_id, Some("once"), GOOD).await.status, 200);
    shop.stop().await;

    let mut another = sale.pool.begin().await.unwrap();
    another.execute("select 1 from payments for update").await.unwrap();
    let interrupted = async {
        let waits =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query ilike 'update payments%'
                     and datname = current_database()";
        let waits = async || sqlx::query_scalar::<_, i64>(waits).fetch_one(&sale.pool).await.unwrap() == 1;
        eventually("the command waits for the row", waits).await;
        goes_away(&mut postgres);
        another.execute("update payments set owes = 'refund', next_at = 0").await.unwrap();
        let end = "update orders set status = 'failed', reason = 'refunded', paid_with = null";
        another.execute(end).await.unwrap();
        another.execute(AssertSqlSafe(format!("update sales set sold = 0 where id = {SALE}"))).await.unwrap();
        tokio::join!(another.commit(), sale.interrupts_a_commit()).0.unwrap();
    };
    let refund = ["refund", &order_id.to_string()].map(str::to_owned);
    let refund = || operate_says(&sale, &refund.each_ref().map(String::as_str));
    let said = thread::scope(|scope| {
        let command = scope.spawn(refund);
        block_in_place(|| Handle::current().block_on(interrupted));
        command.join().unwrap()
    });
    said.unwrap_err();
    sale.is(order_id, "failed", Some("refunded")).await;

    comes_back(&mut postgres);
    eventually("the command says it", async || refund().is_ok_and(|said| said.contains("refunded before"))).await;
}
