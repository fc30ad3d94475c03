//! The router: every route, and what a request passes, from the outside in.
//!
//! 1. CORS, if other origins are allowed
//! 2. `gate::filter`: refuses requests for units of a sold-out sale, before routing
//! 3. routing, by axum
//! 4. `middleware`: body limit, gates, time limit, metric and headers
//! 5. the handler

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::header,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower::{Layer, Service, util::option_layer};

use crate::{
    app::App,
    config::Config,
    gate::{Gates, filter::Filter, limits::Limits, origin, path, session},
    health::Health,
    links,
    middleware::{self, Middleware},
    notify, observe, orders, page, payment, reserve, sale, shop,
};

/// The router of one process. A process that takes no buyers' requests has only the operators' routes.
pub(crate) fn routes(
    app: App,
    health: Arc<Health>,
    limits: Arc<Limits>,
    config: &Config,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static {
    let origins: Arc<[String]> = config.origins.clone().into();
    let through = |gates, routes: Router<App>| {
        let middleware = Middleware { app: app.clone(), limits: (&config.shop).into(), gates };
        routes.layer(from_fn_with_state(Arc::new(middleware), middleware::handle))
    };
    let guarded = |limits, routes: Router<App>| {
        let routes = routes.method_not_allowed_fallback(async || shop::Error::method_not_allowed());
        through(Some(Gates { origins: origins.clone(), limits }), routes)
    };
    let limited = Router::new()
        .route(links::SESSION, post(session::log_in))
        .route(links::PATH, post(path::handler))
        .route(links::PURCHASE, post(reserve::handler))
        .route(links::PAYMENT, post(payment::handler))
        .route(links::CANCEL, post(payment::cancel))
        .route(links::CALLBACK, post(payment::callback))
        .route("/orders", get(orders::list));
    let unlimited = Router::new()
        .route("/", get(page::show))
        .route(page::FILE, get(page::any_file))
        .route(links::SHORT, get(sale::follow))
        .route("/openapi.json", get(document))
        .route("/sales/{sale_id}", get(sale::show))
        .route(links::ORDER, get(orders::show))
        .route(links::WATCH, get(notify::watch));
    let ready = get(observe::ready).with_state((health, config.role));
    let mut routes = through(None, shop::complete(Router::new().route("/readyz", ready), || ()));
    if config.role.takes_requests() {
        routes = routes.merge(guarded(Some(limits), limited)).merge(guarded(None, unlimited));
    }
    // A layer of the router would run after routing, and the filter has to come before it.
    let filter = Filter::new(app.clone(), routes.with_state(app));
    option_layer((!origins.is_empty()).then(|| origin::cors(&origins))).layer(filter)
}

/// `GET /openapi.json`: the API as an OpenAPI document. It is written by hand, and tests compare it with real answers.
async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json"))
}
