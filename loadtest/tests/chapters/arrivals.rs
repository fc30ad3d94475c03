//! What a load generator must not hide, and what a fast shop must not gain from: visitors that were never sent, a calibration
//! that stalled, a `sold-out` that is not true, and an office that is told to retry.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::support::{eventually, lab, serve};
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{Method, StatusCode, header::RETRY_AFTER},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use loadtest::{
    buyer::{
        arrivals::Arrivals,
        open_loop::{Visitors, Visits},
        schedule::{Pattern, Schedule},
    },
    record::Calibration,
    scenario::{Played, Scenario, Stage, calibration::MOST_ROUNDS, flood, office, plan::Plan, stampede},
    version::Version::V3,
};
use serde_json::json;
use tokio::{
    sync::{RwLock, watch},
    time::sleep,
};

/// A shop without a database: `purchase` answers every click on sale 1.
async fn stub<S: Future<Output = ()> + Send>(purchase: impl Fn() -> S + Clone + Send + Sync + 'static) -> SocketAddr {
    let sale = || async { Json(json!({ "buy": { "method": "POST", "href": "/sales/1/purchase" } })) };
    let buy = move || {
        let done = purchase();
        async move {
            done.await;
            (StatusCode::CREATED, Json(json!({ "order_id": 1 })))
        }
    };
    serve(Router::new().route("/sales/1", get(sale)).route("/sales/1/purchase", post(buy))).await
}

fn visitors(shop: SocketAddr) -> Visitors {
    Visitors { patience: Duration::from_millis(100), ..Visitors::steady(&[shop], 1, 200.0) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_keeps_all_connections_busy_drops_visitors_and_they_are_counted() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let shop = stub(move || {
        count.fetch_add(1, SeqCst);
        std::future::pending()
    })
    .await;
    let (stop, stopped) = watch::channel(false);
    let coming = tokio::spawn(Visitors { connections: 5, ..visitors(shop) }.come(stopped));
    eventually("all connections are busy", async || asked.load(SeqCst) == 5).await;
    sleep(Duration::from_millis(500)).await; // a hundred more visitors are due in this time
    stop.send_replace(true);
    let visits = coming.await.unwrap().unwrap();
    let Arrivals { planned, dropped, .. } = visits.arrivals;
    assert_eq!((visits.history.len(), planned - dropped), (5, 5), "{:?}", visits.arrivals);
    assert!(planned >= 100, "{planned} planned");
    assert!(visits.arrivals.invalid().is_some());
}

/// This thread runs the generator. While it is blocked, it sends no visitors; those who were due are late or never sent.
#[tokio::test]
async fn a_stalled_generator_is_detected() {
    for notices in [true, false] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let shop = stub(move || {
            count.fetch_add(1, SeqCst);
            std::future::ready(())
        })
        .await;
        let (stop, stopped) = watch::channel(false);
        let coming = tokio::spawn(visitors(shop).come(stopped));
        eventually("visitors come", async || asked.load(SeqCst) > 0).await;
        std::thread::sleep(Duration::from_millis(500));
        if notices {
            let before = asked.load(SeqCst);
            eventually("those who waited are sent", async || asked.load(SeqCst) > before + 80).await;
        }
        stop.send_replace(true);
        let Visits { arrivals, lags, .. } = coming.await.unwrap().unwrap();
        let greatest = lags.into_iter().max().unwrap();
        assert!(!notices || greatest > Duration::from_millis(300), "who was due first was sent {greatest:?} late");
        let missed = if notices { arrivals.late } else { arrivals.dropped };
        assert!(missed >= 50 && arrivals.invalid().is_some(), "{arrivals:?}");
    }
}

/// A slow shop increases the latency, but it makes no visitor late.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_shop_makes_nobody_late() {
    let shop = stub(|| sleep(Duration::from_millis(300))).await;
    let schedule = Schedule::constant(20.0, Duration::from_secs(1), Pattern::Constant).unwrap();
    let slow = Visitors { reads: Duration::from_millis(50), schedule, ..Visitors::steady(&[shop], 1, 20.0) };
    let (_stop, stopped) = watch::channel(false);
    let visits = slow.come(stopped).await.unwrap();
    assert!(!visits.history.is_empty(), "{visits:?}");
    assert!(visits.history.iter().all(|told| told.latency() >= Duration::from_millis(300)), "{visits:?}");
    assert_eq!((visits.arrivals.planned, visits.arrivals.dropped), (visits.history.len(), 0), "{visits:?}");
}

/// Five rounds last 3 s, so there is a whole stall of 0.7 s in any five of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_stalls_cannot_be_calibrated() {
    let gate = Arc::new(RwLock::new(()));
    let closed = gate.clone();
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(1300)).await;
            let _shut = closed.write().await;
            sleep(Duration::from_millis(700)).await;
        }
    });
    let shop = stub(move || {
        let gate = gate.clone();
        async move { drop(gate.read().await) }
    })
    .await;
    let calibration = Calibration::of(shop, 1, MOST_ROUNDS).await.unwrap();
    assert_eq!(calibration.attempts, 11, "fifteen rounds: {calibration:?}");
    assert!(calibration.invalid().unwrap().contains("differ by"), "{calibration:?}");
}

/// Bystanders who come beside a stampede have higher ids than this; those who come before it have lower ones.
const BESIDE: i64 = 1_000_000;

/// A layer in front of chapter 3's purchase.
#[derive(Clone)]
enum Before {
    Nothing,
    /// No request reaches the units. The stampede waits for this answer until a bystander has asked beside it.
    SoldOut(watch::Sender<bool>),
    /// Delays every answer by this time.
    Slow(Duration),
    /// Answers each buyer's first request with a 429, with this `Retry-After` if there is one; records when buyers came.
    ComeBack(Option<&'static str>, Arc<Mutex<HashMap<String, Vec<Instant>>>>),
}

async fn layer(State(before): State<Before>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let problem = |status: StatusCode, kind: &str| {
        (status, Json(json!({ "type": kind, "title": kind, "status": status.as_u16() }))).into_response()
    };
    match before {
        Before::Nothing => {}
        Before::SoldOut(asked) => {
            let buyer: i64 = request.headers()["x-buyer-id"].to_str().unwrap().parse().unwrap();
            if request.uri().path().contains("/1001/") {
                let _ = asked.subscribe().wait_for(|asked| *asked).await;
            } else if buyer > BESIDE {
                asked.send_replace(true);
            }
            return problem(StatusCode::CONFLICT, "sold-out");
        }
        Before::Slow(time) => sleep(time).await,
        Before::ComeBack(after, came) => {
            let buyer = request.headers()["x-buyer-id"].to_str().unwrap().to_owned();
            let times = {
                let mut came = came.lock().unwrap();
                let times = came.entry(buyer).or_default();
                times.push(Instant::now());
                times.len()
            };
            if times == 1 {
                let mut refusal = problem(StatusCode::TOO_MANY_REQUESTS, "rate-limited");
                refusal.headers_mut().extend(after.map(|after| (RETRY_AFTER, after.parse().unwrap())));
                return refusal;
            }
        }
    }
    next.run(request).await
}

/// Runs a scenario on chapter 3's shop behind this layer, on SQLite.
async fn play(before: Before, plan: Plan) -> Played {
    let lab = lab("sqlite").await;
    let database = lab.fresh_database().await.unwrap();
    let config: v3_optimistic::Config =
        clap::Parser::try_parse_from(["v3", "--database-url", database.url.as_str()]).unwrap();
    let shop = v3_optimistic::app(&config).await.unwrap().layer(from_fn_with_state(before, layer));
    let (shops, pool) = ([serve(shop).await], database.connect().await.unwrap());
    let stage = Stage {
        shops: &shops,
        pool: &pool,
        database: &database.url,
        stores: None,
        plan: &plan,
        sale: 1001,
        progress: Default::default(),
    };
    let played = match plan.scenario {
        Scenario::Flood => {
            let calibration = Calibration { rounds: vec![100.0], attempts: 1 };
            flood::play(&stage, calibration, plan.lasts).await
        }
        Scenario::Office => office::play(&stage).await,
        _ => stampede::play(&lab, &stage, &database, &mut [], async || {}).await,
    };
    played.unwrap()
}

fn plan(scenario: Scenario) -> Plan {
    Plan { lasts: Duration::from_secs(1), ..Plan::new(V3, None, scenario) }
}

#[tokio::test(flavor = "multi_thread")]
async fn bystanders_who_are_told_a_quick_sold_out_are_not_served() {
    let played =
        play(Before::SoldOut(watch::Sender::new(false)), Plan { buyers: 20, ..plan(Scenario::Bystander) }).await;
    let (measure, bystander) = (played.measure.unwrap(), played.bystander.unwrap());
    assert!(!measure.holds && bystander.alone.is_none() && bystander.beside.is_none(), "{measure:?} {bystander:?}");
    assert!(bystander.outcomes["sold-out"] > 0 && bystander.arrivals_alone.planned > 0, "{bystander:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_as_slow_alone_as_beside_a_stampede_starves_bystanders() {
    let slow = Before::Slow(Duration::from_millis(1200));
    let played = play(slow, Plan { buyers: 20, ..plan(Scenario::Bystander) }).await;
    let (measure, bystander) = (played.measure.unwrap(), played.bystander.unwrap());
    assert!(!measure.holds && measure.what.contains("alone"), "{measure:?} {bystander:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_not_survived_by_saying_sold_out() {
    let lying = play(Before::SoldOut(watch::Sender::new(true)), plan(Scenario::Flood)).await;
    let measure = lying.measure.unwrap();
    assert!(!measure.holds && measure.value == 0.0 && lying.history.len() > 50, "{measure:?}");
    let truth = play(Before::Nothing, Plan { stock: 1, ..plan(Scenario::Flood) }).await;
    let (measure, flood) = (truth.measure.unwrap(), truth.flood.unwrap());
    assert!(flood.decided_in_time > 1 && measure.value > 0.0, "the sale is sold out: {measure:?} {flood:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_retries_when_it_is_told_to_and_not_before() {
    let came = Arc::default();
    let played = play(Before::ComeBack(Some("1"), Arc::clone(&came)), plan(Scenario::Office)).await;
    assert!(played.history.iter().all(|told| told.answer.kind() == "bought"), "{:?}", played.history);
    let came = came.lock().unwrap();
    assert_eq!(came.len(), 50);
    for times in came.values() {
        assert!(times.len() == 2 && times[1] - times[0] >= Duration::from_secs(1), "{times:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_is_turned_away_by_a_refusal_without_a_time_or_with_one_that_is_too_late() {
    for after in [None, Some("60")] {
        let came = Arc::default();
        let played = play(Before::ComeBack(after, Arc::clone(&came)), plan(Scenario::Office)).await;
        let measure = played.measure.unwrap();
        assert_eq!((measure.value, measure.holds), (0.0, false), "{after:?}");
        assert!(played.history.iter().all(|told| told.answer.kind() == "rate-limited"), "{:?}", played.history);
        assert!(came.lock().unwrap().values().all(|times| times.len() == 1), "{after:?}");
    }
}
