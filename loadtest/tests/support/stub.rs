//! A shop without a database: sale 1 with plenty of units, of which every click gets one.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{any, get, post},
};
use serde_json::{Value, json};
use tokio::time::sleep;

/// Units of the sale.
pub const STOCK: i64 = 1_000_000;

/// Starts one that answers at once; from its first click on, it does so until `stalls` has passed, and then answers nobody for a second.
pub async fn start(stalls: Option<Duration>) -> SocketAddr {
    let (sold, first) = (Arc::new(AtomicI64::new(0)), Arc::new(std::sync::OnceLock::new()));
    let count = sold.clone();
    let sale = move || async move {
        let buy = json!({ "method": "POST", "href": "/sales/1/purchase" });
        Json(json!({ "id": 1, "stock": STOCK, "sold": count.load(SeqCst), "buy": buy }))
    };
    let purchase = move || async move {
        let first: &Instant = first.get_or_init(Instant::now);
        if let Some(stalls) = stalls {
            let (stops, goes_on) = (*first + stalls, *first + stalls + Duration::from_secs(1));
            let now = Instant::now();
            if (stops..goes_on).contains(&now) {
                sleep(goes_on - now).await;
            }
        }
        (StatusCode::CREATED, Json(json!({ "order_id": sold.fetch_add(1, SeqCst) + 1 })))
    };
    super::serve(Router::new().route("/sales/1", get(sale)).route("/sales/1/purchase", post(purchase))).await
}

/// A link to `path` in the contract's JSON.
pub fn buy(path: &str) -> Value {
    json!({ "buy": { "method": "POST", "href": path } })
}

/// Starts one that gives always the same two answers: `sale` with these numbers and a link to `path`, and `answer` to any other request.
pub async fn answers(stock: i64, sold: i64, path: &'static str, answer: (StatusCode, Value)) -> SocketAddr {
    let mut sale = buy(path);
    sale["id"] = 1.into();
    sale["stock"] = stock.into();
    sale["sold"] = sold.into();
    let sale = move || std::future::ready(Json(sale.clone()));
    let other = move || std::future::ready((answer.0, Json(answer.1.clone())));
    super::serve(Router::new().route("/sales/1", get(sale)).fallback(any(other))).await
}
