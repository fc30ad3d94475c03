//! What operators see: the metric of requests, and `/readyz`. Everything is known before somebody asks, so that frequent requests
//! cost nothing.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{config::Role, health::Health, shop, supervise::not_running};

/// Routes that are not counted, because machines request them all the time.
const OPERATORS: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

/// Counts an answer, by its route and never by its address: an address can carry a secret, and there is no end of them.
pub(crate) fn count(route: &str, status: StatusCode) {
    if !OPERATORS.contains(&route) {
        let labels = [("route", route.to_owned()), ("status", status.as_u16().to_string())];
        metrics::counter!("http_requests_total", &labels).increment(1);
    }
}

/// `GET /readyz`: whether requests are to come here, which servers do not do what is needed of them, and which tasks of this
/// process do not run.
///
/// A server that all instances share takes all of them out at once when it is down, if that is called not ready. So it is not
/// ready only without what it cannot work without: to take requests that is Redis, the others may come back later; to carry, it
/// is all three, and its tasks.
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
    // Another instance sells no more of a closed sale than this one.
    let closed_sales = health.closed_sales();
    let status = if able && closed_sales.is_empty() { "ready" } else { "degraded" };
    let body = json!({ "status": status, "missing": missing, "stopped": stopped, "closed_sales": closed_sales });
    Json(body).into_response()
}
