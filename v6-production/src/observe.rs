//! What operators see: the metric of requests, and `/readyz`. Everything is known before somebody asks, so that frequent requests
//! cost nothing.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, RwLock},
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use metrics::Counter;
use serde_json::json;

use crate::{config::Role, health::Health, shop, supervise::not_running};

/// Routes that are not counted, because machines request them all the time.
const OPERATORS: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

/// The counters of each route, by status. Looking one up by its labels would cost three allocations per answer.
type Answers = RwLock<HashMap<String, Vec<(StatusCode, Counter)>>>;

static ANSWERS: LazyLock<Answers> = LazyLock::new(RwLock::default);

/// Counts an answer by its route and status. The URL is not a label: it can contain a secret, and there are too many of them.
pub(crate) fn count(route: &str, status: StatusCode) {
    if OPERATORS.contains(&route) {
        return;
    }
    if let Ok(answers) = ANSWERS.read()
        && let Some(counters) = answers.get(route)
        && let Some((_, counter)) = counters.iter().find(|(known, _)| *known == status)
    {
        return counter.increment(1);
    }
    let labels = [("route", route.to_owned()), ("status", status.as_u16().to_string())];
    let counter = metrics::counter!("http_requests_total", &labels);
    counter.increment(1);
    if let Ok(mut answers) = ANSWERS.write() {
        answers.entry(route.to_owned()).or_default().push((status, counter));
    }
}

/// `GET /readyz`: whether a load balancer should send requests here, which servers do not answer, and which tasks do not run.
///
/// All instances share the servers. If a missing server always meant "not ready", its failure would take all instances out at once.
/// So an instance that takes requests is not ready only without Redis. A pure worker needs all three servers and its tasks.
pub(crate) async fn ready(State((health, role)): State<(Arc<Health>, Role)>) -> Response {
    let (missing, stopped) = (health.missing(), not_running());
    let able = missing.is_empty() && stopped.is_empty();
    let in_need = if role.takes_requests() { missing.contains(&"Redis") } else { !able };
    if in_need {
        let detail = match missing.as_slice() {
            [] => format!("tasks that do not run: {}", stopped.join(", ")),
            missing => format!("no answer from {}", missing.join(", ")),
        };
        return shop::problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded", &detail);
    }
    // A closed sale is closed for all instances, so this one stays ready.
    let closed_sales = health.closed_sales();
    let status = if able && closed_sales.is_empty() { "ready" } else { "degraded" };
    let body = json!({ "status": status, "missing": missing, "stopped": stopped, "closed_sales": closed_sales });
    Json(body).into_response()
}
