//! The shop that does nothing, which all rates are compared with, and the server that it is checked against.
//!
//! The no-op has what a shop has: the runtime and the allocator of this program, `shop::serve`, and an axum handler. It reads the same
//! request to its end and sends the answer of a purchase. It has no router, since it has one answer for every request.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{body::Bytes, handler::HandlerWithoutStateExt};
use http_body_util::{BodyExt, Full};
use hyper::{
    Response, StatusCode, body::Incoming, header::CONTENT_TYPE, header::HeaderValue, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::sleep;
use v1_naive::shop::{
    self,
    serve::{HEADER_TIMEOUT, listen},
};

/// The answer of both.
const ANSWER: &str = r#"{"order_id":1,"status":"queued","watch":"/orders/1/watch"}"#;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Serves the no-op until `stop`.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(address: SocketAddr, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let handler = async |_: Bytes| (StatusCode::ACCEPTED, [(CONTENT_TYPE, JSON)], ANSWER);
    shop::serve(listen(address).await?, handler.into_service(), stop).await;
    Ok(())
}

/// Serves the same answer from hyper alone until `stop`: no axum, no address of the client, no graceful shutdown. The head of a request
/// has the same time limit as in a shop, because no server can be without one.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve_bare(address: SocketAddr, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let listener = listen(address).await?;
    let serving = async {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(Duration::from_millis(50)).await; // most likely there are too many open files
                continue;
            };
            let _ = stream.set_nodelay(true);
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    };
    tokio::select! {
        () = serving => {}
        () = stop => {}
    }
    Ok(())
}

async fn answer(request: hyper::Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::from(ANSWER));
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    Ok(response)
}
