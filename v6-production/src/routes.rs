//! The router: every route, and the layers that a request passes, from the outside in.
//!
//! 1. CORS, if other origins are allowed
//! 2. `gate::filter`: refuses purchases of a sold-out sale, before routing
//! 3. `on_the_way_out`: counts the answer and adds headers to it
//! 4. chapter 1's trace, and its limits on body and time (`shop::close`)
//! 5. `gate::layer`: the gates, in order
//! 6. the handler

use std::sync::Arc;

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::header,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use crate::{
    app::App,
    config::Config,
    gate::{self, Gates, limits::Limits, origin, path, session},
    headers,
    health::Health,
    links, notify, observe, orders, page, payment, reserve, sale, shop,
};

/// The router of one process. A process that takes no buyers' requests has only the operators' routes.
pub(crate) fn routes(app: App, health: Arc<Health>, limits: Arc<Limits>, config: &Config) -> Router {
    let origins: Arc<[String]> = config.origins.clone().into();
    let gates = |limits| Arc::new(Gates { app: app.clone(), origins: origins.clone(), limits });
    let limited = Router::new()
        .route(links::SESSION, post(session::log_in))
        .route(links::PATH, post(path::handler))
        .route(links::PURCHASE, post(reserve::handler))
        .route("/orders", get(orders::list))
        .layer(from_fn_with_state(gates(Some(limits)), gate::layer));
    let unlimited = Router::new()
        .route("/", get(page::show))
        .route(page::FILE, get(page::any_file))
        .route(links::SHORT, get(sale::follow))
        .route("/openapi.json", get(document))
        .route("/sales/{sale_id}", get(sale::show))
        .route(links::ORDER, get(orders::show))
        .route(links::WATCH, get(notify::watch))
        .route(links::PAYMENT, post(payment::handler))
        .route(links::CANCEL, post(payment::cancel))
        .route(links::CALLBACK, post(payment::callback))
        .layer(from_fn_with_state(gates(None), gate::layer));
    let routes = if config.role.takes_requests() { limited.merge(unlimited) } else { Router::new() };
    let ready = get(observe::ready).with_state((health, config.role));
    let last = from_fn_with_state(app.over_tls, on_the_way_out);
    let inner =
        shop::close(routes.route("/readyz", ready), (&config.shop).into(), || ()).layer(last).with_state(app.clone());
    // A layer of `inner` would run after routing. As the fallback of an outer router, `inner` runs after the filter.
    let outer = Router::new().fallback_service(inner).layer(from_fn_with_state(app, gate::filter));
    match origins.is_empty() {
        true => outer,
        false => outer.layer(origin::cors(&origins)),
    }
}

/// Counts the answer by route and status, and adds the headers that every answer has. One layer for both, because each layer
/// costs every request a few allocations.
async fn on_the_way_out(State(over_tls): State<bool>, request: Request, next: Next) -> Response {
    let route: Option<MatchedPath> = request.extensions().get().cloned();
    let mut response = next.run(request).await;
    observe::count(route.as_ref().map_or("none", MatchedPath::as_str), response.status());
    headers::add(response.headers_mut(), over_tls);
    response
}

/// `GET /openapi.json`: the API as an OpenAPI document. It is written by hand, and tests compare it with real answers.
async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json"))
}
