//! The columns of the table: what chapters 4 and 5 withstand and what they do not, and that each scenario detects the difference.

use std::time::Duration;

use crate::support::{SALE, Shop, eventually, lab};
use loadtest::{
    buyer::open_loop::Visitors,
    record::Run,
    run::run,
    scenario::{
        SCENARIOS,
        Scenario::{self, EarlyBird, Forger, Office, Restart, Scalper, Stampede, TwoInstances},
        plan::Plan,
    },
    verdict::{Verdict, audit::Audit},
    version::{
        Variant,
        Version::{self, V1, V3, V4, V5},
    },
};
use tokio::sync::watch;

async fn play(version: Version, scenario: Scenario) -> Run {
    play_on("sqlite", version, scenario).await
}

async fn play_on(database: &str, version: Version, scenario: Scenario) -> Run {
    play_with(database, version, scenario, Vec::new()).await
}

/// Small enough for a debug build.
async fn play_with(database: &str, version: Version, scenario: Scenario, shop_args: Vec<String>) -> Run {
    let plan = Plan::new(version, None, scenario);
    let buyers = if scenario.is_a_crowd() { 1000 } else { plan.buyers.min(400) };
    let plan = Plan { buyers, stock: 20, connections: 200, shop_args, ..plan };
    let run = run(&lab(database).await, &plan, Default::default()).await.unwrap();
    assert_eq!(run.verdict, Verdict::AsPromised, "{run:?}");
    run
}

fn value(run: &Run) -> f64 {
    run.measure.as_ref().unwrap().value
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stampede_meets_the_limit_and_the_stock_is_sold() {
    for version in [V4, V5] {
        let bucket = ["--global-rate=1", "--global-burst=300"].map(str::to_owned);
        let run = play_with("sqlite", version, Stampede, bucket.to_vec()).await;
        assert_eq!((run.promised.word(), run.audit.orders), ("holds", 20), "{run:?}");
        let through = run.counters["passed_rate_limit"];
        assert_eq!(through + run.outcomes["rate-limited"], 1000, "{run:?}");
        assert!((300..=301 + run.seconds as u64).contains(&through), "{run:?}");
        if version == V5 {
            assert_eq!(run.counters["passed_path"], through, "honest buyers pass every gate behind it");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_stampede_on_postgres() {
    for version in [V4, V5] {
        assert_eq!(play_on("postgres", version, Stampede).await.audit.orders, 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_buyer_takes_everything_until_chapter_5() {
    // Three honest buyers of the same sale may be faster.
    assert!(value(&play(V3, Scalper).await) >= 17.0);
    assert!(value(&play(V4, Scalper).await) >= 17.0, "a thousand addresses are a thousand clients");
    let run = play(V5, Scalper).await;
    assert_eq!((value(&run), run.audit.orders, run.audit.double_bought), (1.0, 1 + 3, 0), "and three honest buyers");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_buy_outside_the_window_until_chapter_5() {
    let patient = vec!["--retries=100".to_owned()]; // on a busy machine, ten tries may not be enough for a buyer
    assert_eq!(value(&play_with("sqlite", V4, EarlyBird, patient).await), 200.0);
    let run = play(V5, EarlyBird).await;
    assert_eq!((value(&run), run.audit.orders), (0.0, 3), "three honest buyers of an open sale");
    assert_eq!((run.outcomes["not-open"], run.outcomes["closed"]), (100, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forgery_is_taken() {
    let run = play(V5, Forger).await;
    assert_eq!((value(&run), run.outcomes["wrong-path"]), (0.0, 400), "{run:?}");
    let plan = Plan::new(V4, None, Forger);
    let refused = loadtest::run::run(&lab("sqlite").await, &plan, Default::default()).await.unwrap_err();
    assert!(refused.to_string().contains("no hidden URL"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_turn_honest_buyers_of_chapter_5_away() {
    assert_eq!(play(V4, TwoInstances).await.audit.orders, 20);
    let run = play(V5, TwoInstances).await;
    assert_eq!(run.promised.word(), "breaks");
    assert!(run.outcomes["wrong-path"] > 50, "{run:?}");
    assert_eq!((run.audit.oversold, run.audit.lost_promises), (0, 0));
}

/// A rate limit per IP address treats fifty people as one client. Without a limit, or with a wide one, each of them gets a unit.
#[tokio::test(flavor = "multi_thread")]
async fn an_office_is_one_client_to_chapters_4_and_5() {
    let lab = lab("sqlite").await;
    let office = async |version, shop_args: &[&str]| {
        let shop_args = shop_args.iter().map(|&arg| arg.to_owned()).collect();
        let plan = Plan { shop_args, ..Plan::new(version, None, Office) };
        run(&lab, &plan, Default::default()).await.unwrap()
    };
    let all = office(V3, &["--retries=100"]).await;
    // All have a unit. Whether each had it within 5 s is the machine's speed, which is not for a test.
    let sold = Audit { orders: 50, sold: 50, ..Audit::default() };
    assert_eq!((all.promised.word(), &all.audit), ("holds", &sold));
    for version in [V4, V5] {
        let run = office(version, &[]).await;
        assert_eq!((run.promised.word(), &run.verdict), ("breaks", &Verdict::AsPromised), "{run:?}");
        assert!(value(&run) < 50.0 && run.outcomes["rate-limited"] > 0, "{run:?}");
        assert!(run.audit.is_sound(), "{run:?}");
        let wide = office(version, &[&version.wide_limits()[..], &["--retries=100"]].concat()).await;
        assert_eq!(wide.audit, sold, "it is the limit that turns them away: {wide:?}");
    }
}

/// Only two-instances has promises in the table. In the other scenarios, no buyer may fail because of the wrong instance.
#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_is_played_on_two_instances() {
    let lab = lab("sqlite").await;
    for scenario in SCENARIOS {
        let plan = Plan::new(V5, None, scenario);
        let buyers = plan.buyers.min(200);
        let plan = Plan { instances: 2, buyers, connections: 100, lasts: Duration::from_secs(1), ..plan };
        let run = run(&lab, &plan, Default::default()).await.unwrap();
        assert_eq!((run.instances, run.audit.oversold, run.audit.double_bought), (2, 0, 0), "{run:?}");
        assert!(run.requests > 0 && run.audit.orders > 0, "{run:?}");
        // The buyers of these ask for their path at the instance where they buy.
        let stays = [EarlyBird, Scalper, Office].contains(&scenario);
        assert!(!stays || !run.outcomes.contains_key("wrong-path"), "{run:?}");
        if let Some(bystander) = &run.bystander {
            assert!(bystander.outcomes["bought"] > 0, "{run:?}");
        }
    }
}

/// Two shops that do not know of each other, so that the test can see where each visitor went.
#[tokio::test(flavor = "multi_thread")]
async fn visitors_come_to_all_instances() {
    let start = async || Shop::start(V3, "sqlite", 10_000, &["--retries", "100"]).await; // whoever comes gets a unit
    let shops = [start().await, start().await];
    let addresses = shops.each_ref().map(Shop::address);
    let visitors =
        Visitors { connections: 100, reads: Duration::from_millis(200), ..Visitors::steady(&addresses, SALE, 100.0) };
    let (stop, stopped) = watch::channel(false);
    let coming = tokio::spawn(visitors.come(stopped));
    eventually("both have sold", async || {
        shops[0].ledger().await.orders.len() > 10 && shops[1].ledger().await.orders.len() > 10
    })
    .await;
    stop.send_replace(true);
    let history = coming.await.unwrap().unwrap().history;
    let [one, other] = [shops[0].ledger().await.orders.len(), shops[1].ledger().await.orders.len()];
    assert!(one > 10 && other > 10 && one + other == history.len(), "{one}, {other}: {history:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_no_yes_but_every_path() {
    for version in [V3, V4] {
        let run = play(version, Restart).await;
        assert_eq!((run.promised.word(), run.audit.lost_promises, run.audit.orders), ("holds", 0, 20), "{run:?}");
    }
    let run = play(V5, Restart).await;
    assert_eq!((run.promised.word(), run.audit.lost_promises), ("breaks", 0));
    assert!(run.outcomes["wrong-path"] > 50, "{run:?}");
    assert!((5..=10).contains(&run.outcomes["bought"]), "it was killed in the middle: {run:?}");
}

/// Only the first wave can have had a request in flight. Later buyers find a closed connection and open another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_leaves_no_later_buyer_without_an_answer() {
    let plan = Plan { buyers: 300, stock: 20, connections: 200, ..Plan::new(V3, None, Restart) };
    let run = run(&lab("sqlite").await, &plan, Default::default()).await.unwrap();
    assert!(run.audit.unknown <= 150, "{run:?}");
    assert_eq!(run.audit.orders, 20, "{run:?}");
}

/// The crowd fails before the barrier, so the shop is never killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_ends() {
    let plan = Plan { buyers: 100, shop_args: vec!["--remembered=1".into()], ..Plan::new(V5, None, Restart) };
    let lab = lab("sqlite").await;
    let failed = tokio::time::timeout(std::time::Duration::from_secs(60), run(&lab, &plan, Default::default()));
    let error = failed.await.expect("an end").unwrap_err();
    assert!(error.to_string().contains("gets no address"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_of_a_version_do_not_apply_to_its_variants() {
    let plan = Plan { buyers: 50, stock: 20, ..Plan::new(V1, Some(Variant::Transaction), Scalper) };
    let run = run(&lab("sqlite").await, &plan, Default::default()).await.unwrap();
    assert_eq!((run.promised.word(), run.verdict), ("may break", Verdict::Measured));
}
