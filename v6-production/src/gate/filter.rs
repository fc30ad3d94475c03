use std::{
    future::{Ready, ready},
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, future::Either};
use metrics::Counter;
use tower::Service;

use crate::{app::App, error::Error, headers, idempotency, links, observe};

static FILTERED: LazyLock<Counter> = LazyLock::new(|| metrics::counter!("filtered_total"));

/// Gate 0: refuses requests for a path or a unit of a sale that is known to be sold out, before routing and before anything that
/// costs more. In a stampede this is nearly every answer, and all other requests, also those for other sales, wait behind it.
///
/// A purchase with an `Idempotency-Key` passes: it may repeat one whose answer was lost, and only Redis knows that answer.
#[derive(Clone)]
pub(crate) struct Filter<S> {
    app: App,
    /// The refusals: no unit may return, and some may.
    sold_out: Arc<[Prepared; 2]>,
    inner: S,
}

impl<S> Filter<S> {
    /// The filter in front of `inner`.
    pub(crate) fn new(app: App, inner: S) -> Filter<S> {
        let sold_out =
            [false, true].map(|units_may_return| Prepared::of(Error::SoldOut { units_may_return }, app.over_tls));
        Filter { app, sold_out: Arc::new(sold_out), inner }
    }

    fn refusal(&self, request: &Request) -> Option<Response> {
        if request.method() != Method::POST {
            return None;
        }
        let (sale_id, route) = links::way_to_unit(request.uri().path())?;
        let may_be_repeated = route == links::PURCHASE && request.headers().contains_key(idempotency::HEADER);
        if may_be_repeated || !self.app.sold_out.is(sale_id) {
            return None;
        }
        let [none_returns, some_may] = &*self.sold_out;
        let answer = if self.app.catalogue.units_may_return(sale_id) { some_may } else { none_returns };
        FILTERED.increment(1);
        observe::count(route, answer.status);
        Some(answer.response())
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Filter<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.refusal(&request) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.inner.call(request)),
        }
    }
}

/// An answer that is always the same. It is written once and copied for each request.
struct Prepared {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Prepared {
    fn of(error: Error, over_tls: bool) -> Prepared {
        let (mut parts, body) = error.into_response().into_parts();
        headers::add(&mut parts.headers, over_tls);
        let body = to_bytes(body, usize::MAX).now_or_never(); // it is in memory already
        Prepared { status: parts.status, headers: parts.headers, body: body.and_then(Result::ok).unwrap_or_default() }
    }

    fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}
