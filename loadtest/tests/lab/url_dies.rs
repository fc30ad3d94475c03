//! `run --url`: a shop that dies or hangs during the load.

use std::{
    future::{pending, ready},
    time::{Duration, Instant},
};

use crate::{
    support::{SALE, Shop, eventually, serve, stub},
    url::{PURCHASE, said},
};
use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use loadtest::version::Version::V3;
use serde_json::{Value, json};

/// Drives chapter 3 with much stock until this happens to it; returns the exit code, the run, and how long it took from then on.
async fn driven_until(load: &str, happens: impl AsyncFnOnce(&mut Shop)) -> (Option<i32>, Value, Duration) {
    let mut shop = Shop::start(V3, "sqlite", 1_000_000, &[]).await;
    let load = format!("--url http://{} --sale {SALE} {load}", shop.address());
    let strike = async {
        eventually("orders", async || shop.ledger().await.orders.len() > 50).await;
        happens(&mut shop).await;
        Instant::now()
    };
    let ((output, json), since) = tokio::join!(said(&load), strike);
    let run = json.unwrap_or_else(|| panic!("{output:?}"))["runs"][0].clone();
    assert!(String::from_utf8_lossy(&output.stdout).contains("report: "), "{output:?}");
    (output.status.code(), run, since.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_dies_during_the_load_makes_the_run_invalid_and_keeps_its_report() {
    for (load, why) in [
        ("--buyers 1000000 --connections 20", "invalid: the shop stopped answering; "),
        ("--rate 100/s --duration 15s", "invalid: after the load, http://127.0.0.1:"),
    ] {
        let (code, run, took) = driven_until(load, async |shop| shop.process.kill().await.unwrap()).await;
        assert!(run["verdict"].as_str().unwrap().starts_with(why), "{}", run["verdict"]);
        assert_eq!((code, &run["not_conserved"]), (Some(3), &0.into()), "{run}");
        let told = |kind: &str| run["outcomes"][kind].as_u64().unwrap_or_default();
        // More than fifty orders were stored, and some of them not answered.
        assert!(told("bought") > 10 && told("unknown") > 0, "{run}");
        assert!(took < Duration::from_secs(40), "{took:?}");
    }
}

/// The system accepts connections for a frozen process. Each buyer waits a minute, but no buyer waits after another one.
#[tokio::test(flavor = "multi_thread")]
async fn buyers_of_a_frozen_shop_wait_a_minute_and_not_one_after_another() {
    let load = "--buyers 1000000 --connections 20";
    let (code, run, took) = driven_until(load, async |shop| shop.process.freeze().unwrap()).await;
    assert!(run["verdict"].as_str().unwrap().starts_with("invalid: the shop stopped answering; "), "{run}");
    assert_eq!((code, &run["outcomes"]["unknown"]), (Some(3), &20.into()), "{run}");
    assert!(took < Duration::from_secs(100), "{took:?}");
}

/// A hundred buyers are told `queued`, and share 16 connections to ask what came of it.
#[tokio::test(flavor = "multi_thread")]
async fn queued_buyers_of_a_silent_shop_wait_a_minute_and_not_one_after_another() {
    let sale = || ready(Json(json!({ "id": 1, "stock": 100, "sold": 0, "buy": stub::buy(PURCHASE)["buy"] })));
    let queued = || ready((StatusCode::ACCEPTED, Json(json!({ "order_id": 1, "status": "queued" }))));
    let app = Router::new().route("/sales/1", get(sale)).route(PURCHASE, post(queued)).fallback(pending::<()>);
    let (url, began) = (format!("http://{}", serve(app).await), Instant::now());
    let (output, json) = said(&format!("--url {url} --buyers 100 --connections 10")).await;
    let run = &json.unwrap_or_else(|| panic!("{output:?}"))["runs"][0];
    assert_eq!((&run["outcomes"], &run["lost_promises"]), (&json!({ "queued": 100 }), &100.into()), "{run}");
    assert!(began.elapsed() < Duration::from_secs(150), "{:?}", began.elapsed());
}
