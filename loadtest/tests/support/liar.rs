//! A shop that lies: a router in front of a real instance of chapter 6 that rewrites answers once a fault is in place.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use loadtest::buyer::progress::Progress;
use tokio::net::TcpStream;

/// The lie that is told once a fault is in place; a payment is declined from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Every click is answered with sold-out.
    SoldOut,
    /// Every click is answered with sold-out after this many purchases.
    SoldOutAfter(usize),
    /// Every order stays queued.
    NeverConfirms,
    /// Every card is declined.
    Declines,
}

#[derive(Clone)]
struct Liar {
    shop: SocketAddr,
    lie: Lie,
    progress: Progress,
    /// Purchases after the fault that are queued or under way.
    queued: Arc<AtomicUsize>,
}

/// Starts it in front of `shop`; `progress` says when to lie.
pub async fn in_front_of(shop: SocketAddr, lie: Lie, progress: Progress) -> SocketAddr {
    let liar = Liar { shop, lie, progress, queued: Arc::default() };
    super::serve(Router::new().fallback(answer).with_state(liar)).await
}

async fn answer(State(liar): State<Liar>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let buys = request.method() == Method::POST && path.contains("/purchase");
    let lies = liar.progress.is_struck();
    match liar.lie {
        Lie::SoldOut if lies && buys => sold_out(),
        Lie::SoldOutAfter(most) if lies && buys => {
            // Counted before it is passed on: many buyers ask at the same time.
            if liar.queued.fetch_add(1, SeqCst) >= most {
                liar.queued.fetch_sub(1, SeqCst);
                return sold_out();
            }
            let answer = pass_on(liar.shop, request).await;
            if answer.status() != StatusCode::ACCEPTED {
                liar.queued.fetch_sub(1, SeqCst);
            }
            answer
        }
        Lie::NeverConfirms if lies && path.starts_with("/orders/") => {
            ([(CONTENT_TYPE, "application/json")], r#"{"status":"queued"}"#).into_response()
        }
        Lie::Declines if path.ends_with("/payment") => problem(
            StatusCode::PAYMENT_REQUIRED,
            r#"{"type":"declined","title":"declined","status":402,"detail":"a lie"}"#,
        ),
        Lie::SoldOut | Lie::SoldOutAfter(_) | Lie::NeverConfirms | Lie::Declines => pass_on(liar.shop, request).await,
    }
}

fn sold_out() -> Response {
    problem(StatusCode::CONFLICT, r#"{"type":"sold-out","title":"sold out","status":409,"detail":"a lie"}"#)
}

fn problem(status: StatusCode, body: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
}

async fn pass_on(shop: SocketAddr, request: Request) -> Response {
    let away = r#"{"type":"timed-out","title":"no answer","status":503,"detail":"the shop is away"}"#;
    ask(shop, request).await.unwrap_or_else(|| problem(StatusCode::SERVICE_UNAVAILABLE, away))
}

async fn ask(shop: SocketAddr, request: Request) -> Option<Response> {
    let stream = TcpStream::connect(shop).await.ok()?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(driver);
    let (head, body) = sender.send_request(request).await.ok()?.into_parts();
    let body = to_bytes(Body::new(body), 1 << 20).await.ok()?;
    Some(Response::from_parts(head, Body::from(body)))
}
