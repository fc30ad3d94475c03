//! The promise of each chapter and each variant under its crowd; and the audit fails when a guard is taken out.

use crate::support::lab;
use loadtest::{
    buyer::crowd::{self, Crowd},
    record,
    run::run,
    scenario::{Scenario, plan::Plan},
    verdict::{
        Verdict,
        audit::{Audit, audit},
        evidence::Evidence,
        ledger::Ledger,
        promise::Promise,
    },
    version::{
        Variant,
        Version::{self, V1, V2, V3},
    },
};
use v1_naive::shop::{self, sales::Sale};

/// Small enough for a debug build, large enough to break what can break.
fn crowd(version: Version, variant: Option<Variant>) -> Plan {
    Plan { buyers: 600, stock: 20, connections: 200, ..Plan::stampede(version, variant) }
}

async fn once(database: &str, plan: &Plan) -> record::Run {
    let run = run(&lab(database).await, plan, Default::default()).await.unwrap();
    assert_eq!(run.outcomes.values().sum::<u64>(), plan.buyers as u64);
    assert_eq!(run.audit.unknown, 0, "{run:?}");
    run
}

/// Races are random, so the test runs a few rounds. The first round that breaks is the proof.
async fn oversells(database: &str, plan: Plan) {
    for seed in 1..=5 {
        let run = once(database, &Plan { seed, ..plan.clone() }).await;
        assert_eq!(run.promised.word(), "oversells");
        if run.audit.oversold > 0 {
            assert!(run.audit.not_conserved > 0, "the counter does not know: {run:?}");
            assert_eq!(run.verdict, Verdict::AsPromised);
            return;
        }
        assert_eq!(run.verdict, Verdict::NotAsPromised);
    }
    panic!("{} held five times", plan.title());
}

/// The first of at most five rounds in which the shops counted this.
async fn once_with(plan: &Plan, counter: &str) -> record::Run {
    for seed in 1..=5 {
        let run = once("postgres", &Plan { seed, ..plan.clone() }).await;
        if run.counters.contains_key(counter) {
            return run;
        }
    }
    panic!("{} counted no {counter} five times", plan.title());
}

async fn holds(database: &str, plan: Plan) {
    for seed in 1..=3 {
        let run = once(database, &Plan { seed, ..plan.clone() }).await;
        let expected = Audit { orders: 20, sold: 20, ..Audit::default() };
        assert_eq!((run.audit, run.verdict), (expected, Verdict::AsPromised));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_oversells_on_sqlite() {
    oversells("sqlite", crowd(V1, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v1_oversells_on_postgres() {
    oversells("postgres", crowd(V1, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v1_in_a_transaction_still_oversells() {
    oversells("postgres", crowd(V1, Some(Variant::Transaction))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_and_v3_hold_on_sqlite() {
    for version in [V2, V3] {
        for instances in [1, 2] {
            holds("sqlite", Plan { instances, ..crowd(version, None) }).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v2_holds_on_postgres() {
    for instances in [1, 2] {
        holds("postgres", Plan { instances, ..crowd(V2, None) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v3_holds_on_postgres_and_counts_its_conflicts() {
    for instances in [1, 2] {
        holds("postgres", Plan { instances, ..crowd(V3, None) }).await;
    }
    once_with(&crowd(V3, None), "conflicts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_lock_holds_alone_and_oversells_in_pairs() {
    holds("sqlite", crowd(V2, Some(Variant::ProcessLock))).await;
    oversells("sqlite", Plan { instances: 2, ..crowd(V2, Some(Variant::ProcessLock)) }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn insert_first_deadlocks_and_is_refused_cleanly() {
    // PostgreSQL looks for a deadlock a second after a wait has begun. Two seconds, the shop's own limit, could end all other waits at the
    // same moment as the second deadlock, and nobody would be left to buy.
    let shop_args = vec!["--lock-timeout-ms=2500".into()];
    let plan = Plan { buyers: 16, connections: 16, shop_args, ..crowd(V2, Some(Variant::InsertFirst)) };
    let run = once_with(&plan, "deadlocks").await;
    assert_eq!((run.audit.oversold, run.audit.lost_promises, run.audit.phantom_orders), (0, 0, 0));
    assert!(run.outcomes.keys().all(|kind| kind == "bought" || kind == "conflict"), "{run:?}");
    assert_eq!((run.promised.word(), run.verdict), (Promise::Deadlocks.word(), Verdict::AsPromised));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn serializable_holds_by_retries() {
    holds("postgres", crowd(V2, Some(Variant::Serializable))).await;
    once_with(&crowd(V2, Some(Variant::Serializable)), "serialization_failures").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_retry_stock_is_left() {
    // With few units, a slow machine sells all of them. With one unit less than buyers, two conflicts leave one.
    let plan = crowd(V3, Some(Variant::NoRetry));
    let run = once("sqlite", &Plan { stock: plan.buyers as i64 - 1, ..plan }).await;
    assert!(run.audit.undersold > 0 && run.audit.oversold == 0, "{run:?}");
    assert_eq!((run.promised.word(), run.verdict), ("undersells", Verdict::AsPromised));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retry_is_what_sells_out() {
    // A unit for each buyer, so each conflict leaves one unit.
    let no_retries = Plan { stock: 600, shop_args: vec!["--retries".into(), "0".into()], ..crowd(V3, None) };
    let run = once("sqlite", &no_retries).await;
    assert!(run.audit.undersold > 0, "{run:?}");
    assert_eq!((run.promised.word(), &run.verdict), ("holds", &Verdict::NotAsPromised));
    assert!(run.says().ends_with(": undersells; promised: holds"), "{}", run.says());
    // A database that is busy for too long is a conflict, too.
    let busy = run.counters.get("database_busy").copied().unwrap_or_default();
    assert_eq!(run.counters["give_ups"] + busy, run.outcomes["conflict"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_condition_in_the_update_holds_without_a_version() {
    holds("sqlite", crowd(V3, Some(Variant::Conditional))).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn bystanders_of_v2_find_the_pool_waiting_for_a_lock() {
    // How long they starve is measured, not tested: docs/results/bystander.json.
    let plan = Plan { scenario: Scenario::Bystander, buyers: 2000, connections: 500, ..crowd(V2, None) };
    let run = once("postgres", &plan).await;
    let bystander = run.bystander.as_ref().unwrap();
    // Sampled every 20 ms. All 15 sessions without the lock may have waited; half of the pool is certain to be seen.
    assert!(bystander.lock_waiters.unwrap() >= 8, "{run:?}");
    assert!(bystander.audit.is_sound() && bystander.outcomes["bought"] > 0, "{run:?}");
    assert_eq!(run.promised.word(), "starves");
}

/// Chapter 2's purchase with one thing missing.
mod without_for_update {
    use v1_naive::shop::{Buyer, Error, Path, Placed, Shop};
    use v2_pessimistic::purchase::PurchasePath;

    pub(crate) async fn handler(
        shop: axum::extract::State<Shop>,
        Path(path): Path<PurchasePath>,
        buyer: Buyer,
    ) -> Result<Placed, Error> {
        let mut tx = shop.pool.begin().await?;
        let (stock, sold): (i64, i64) = sqlx::query_as("select stock, sold from sales where id = $1")
            .bind(path.sale_id)
            .fetch_one(&mut *tx)
            .await?;
        if sold >= stock {
            tx.rollback().await?;
            return Err(Error::SoldOut);
        }
        let update = sqlx::query("update sales set sold = $2 where id = $1");
        update.bind(path.sale_id).bind(sold + 1).execute(&mut *tx).await?;
        let insert = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id");
        let order_id = insert.bind(path.sale_id).bind(buyer.id).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(Placed(order_id))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn without_for_update_the_audit_goes_red() {
    let lab = lab("postgres").await;
    let database = lab.fresh_database().await.unwrap();
    let config: v2_pessimistic::Config =
        clap::Parser::try_parse_from(["v2", "--database-url", database.url.as_str()]).unwrap();
    let open = shop::Shop::open(&config.shop, v2_pessimistic::purchase::BUY).await.unwrap();
    let purchase =
        axum::Router::new().route(v2_pessimistic::purchase::BUY, axum::routing::post(without_for_update::handler));
    let pool = open.pool.clone();
    let app = open.router(purchase).layer(axum::middleware::from_fn(shop::header_login));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(shop::serve(listener, app, async { stopped.await.unwrap_or_default() }));

    let mut audits = Vec::new();
    for sale in 2..7 {
        Sale::open(sale, 20).insert(&pool).await.unwrap();
        let crowd =
            Crowd { shops: vec![address], sales: vec![sale], buyers: 600, connections: 200, ..Crowd::default() };
        let stampede = crowd::run(&crowd, Default::default(), async || {}).await.unwrap();
        audits.push(audit(&stampede.history, &Ledger::read(&pool, None, &[sale]).await.unwrap()));
        if audits.iter().any(|audit| audit.oversold > 0) {
            break;
        }
    }
    let last = audits.last().unwrap();
    assert!(last.oversold > 0, "it held five times: {audits:?}");
    assert!(!Promise::Holds.kept(&Evidence::of(last)));

    drop(stop);
    serving.await.unwrap();
}
