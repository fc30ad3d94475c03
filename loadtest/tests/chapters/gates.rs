//! Is every gate of chapter 5 needed? Without any one of them, an attack that it keeps out gets through.

use std::{sync::Arc, time::Duration};

use crate::support::{lab, serve};
use axum::{
    Extension, Router,
    middleware::{from_fn, from_fn_with_state},
    routing::post,
};
use loadtest::{
    record::{Calibration, Measure},
    scenario::{Scenario, Stage, early_bird, flood, forger, plan::Plan, scalper},
    version::Version::V5,
};
use v5_hidden_api::{
    gate::{self, Gates, clock::Clock, frequency, one_order, path, window},
    purchase,
    rate_limit::{self, RateLimit, client_limit},
    shop::header_login,
};

/// Chapter 5's app without one of its gates, built by this test only.
async fn app_without(missing: &str, config: &v5_hidden_api::Config) -> Router {
    let shop = v3_optimistic::open(&config.shop, gate::ASK).await.unwrap();
    let gates = Gates::new(&config.rules, &shop, Clock::default()).await.unwrap();
    let limit = RateLimit::new(&config.limits).unwrap();
    let mut ask = post(path::issue).layer(Extension(Arc::clone(&gates)));
    let mut buy = post(one_order::handler);
    if missing == "one order" {
        buy = post(purchase::handler);
        sqlx::query("drop index one_order_per_buyer").execute(&shop.pool).await.unwrap();
    }
    if missing != "path" {
        buy = buy.layer(from_fn_with_state(gates.clone(), path::layer));
    }
    if missing != "frequency" {
        buy = buy.layer(from_fn_with_state(gates.clone(), frequency::layer));
        ask = ask.layer(from_fn_with_state(gates.clone(), frequency::layer));
    }
    if missing != "window" {
        buy = buy.layer(from_fn_with_state(gates.clone(), window::layer));
        ask = ask.layer(from_fn_with_state(gates.clone(), window::layer));
    }
    if missing != "rate limit" {
        buy = buy.layer(from_fn_with_state(limit.clone(), rate_limit::layer));
        ask = ask.layer(from_fn_with_state(limit.clients.clone(), client_limit::layer));
    }
    let routes = Router::new().route(gate::ASK, ask).route(gate::BUY, buy);
    shop.router(routes).layer(Extension(config.retry)).layer(from_fn(header_login))
}

/// The scenario's figure for chapter 5 without this gate.
async fn without(missing: &str, scenario: Scenario) -> Measure {
    let lab = lab("sqlite").await;
    let database = lab.fresh_database().await.unwrap();
    let mut args = vec!["v5", "--database-url", database.url.as_str(), "--trusted-proxies", "127.0.0.1"];
    args.extend(scenario.shop_args(V5));
    if scenario == Scenario::Flood {
        args.extend(["--pool-size", "1"]);
    }
    let config: v5_hidden_api::Config = clap::Parser::try_parse_from(args).unwrap();
    let shop = serve(app_without(missing, &config).await).await;
    let pool = database.connect().await.unwrap();
    let plan = Plan { buyers: 200, ..Plan::new(V5, None, scenario) };
    let (shops, database) = (&[shop], &database.url);
    let stage =
        Stage { shops, pool: &pool, database, stores: None, plan: &plan, sale: 1001, progress: Default::default() };
    let played = match scenario {
        Scenario::Scalper => scalper::play(&stage).await,
        Scenario::EarlyBird => early_bird::play(&stage).await,
        Scenario::Forger => forger::play(&stage).await,
        _ => flood::play(&stage, Calibration { rounds: vec![2000.0], attempts: 1 }, Duration::from_secs(2)).await,
    };
    played.unwrap().measure.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_gates_the_attacks_fail() {
    for scenario in [Scenario::Scalper, Scenario::EarlyBird, Scenario::Forger] {
        let measure = without("nothing", scenario).await;
        assert!(measure.holds, "{scenario}: {measure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_window_scripts_buy_before_the_opening() {
    let measure = without("window", Scenario::EarlyBird).await;
    assert!(!measure.holds && measure.value > 0.0, "{measure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_path_forgers_get_in() {
    let measure = without("path", Scenario::Forger).await;
    assert!(!measure.holds && measure.value >= 50.0, "{measure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_frequency_cap_a_scalpers_tries_reach_the_database() {
    let measure = without("frequency", Scenario::Scalper).await;
    assert!(!measure.holds, "{measure:?}");
    assert_eq!(measure.value, 1.0, "one unit only, by the last gate");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_index_a_scalper_has_several() {
    let measure = without("one order", Scenario::Scalper).await;
    assert!(!measure.holds && measure.value > 1.0, "{measure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_rate_limit_a_flood_reaches_the_database() {
    let measure = without("rate limit", Scenario::Flood).await;
    assert!(!measure.holds, "{measure:?}");
}
