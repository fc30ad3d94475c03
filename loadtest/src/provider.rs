//! A fake payment provider for the shop: it moves no money. In all other respects it acts like a real one. It is a process of its
//! own with a durable ledger, it is idempotent by reference, and it can be slow, silent or dead at any step.
//!
//! | call | answer |
//! |---|---|
//! | `POST /authorisations` with `{reference, order_id, amount_cents, card, callback?}` | 201 `authorised`, 402 `declined`, 202 `pending` |
//! | `GET /authorisations/{reference}` | 200 with its state, 404 |
//! | `POST /authorisations/{reference}/capture`, `/void`, `/refund` | 200 with the new state; 409 with the state that forbids it |
//! | `GET /ledger` | all entries, oldest first |
//! | `GET /switches`, `PUT /switches` | its failures, a `Switches` as JSON; and how many requests it leaves without an answer |

mod callback;
mod ledger;
mod remote;
mod switches;

use std::{net::SocketAddr, path::Path, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path as InPath, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;
use v1_naive::shop::{say, stop_signal};

pub use self::{
    ledger::{Entry, Ledger, Mutant, State as Standing},
    remote::Remote,
    switches::{Callbacks, Does, Step, Switches},
};

/// The state that the handlers share.
#[derive(Clone)]
struct Provider {
    ledger: Ledger,
    switches: Arc<switches::Board>,
}

/// Serves until Ctrl-C, SIGTERM or SIGHUP, with its ledger in `file`. Requests need the `secret` unless there is none. Prints `listening
/// on http://…`.
///
/// # Errors
/// The address is taken, or the ledger's file cannot be opened.
pub async fn serve(
    listen: SocketAddr,
    file: &Path,
    secret: Option<String>,
    mutant: Option<Mutant>,
) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let ledger = Ledger::open(file, mutant).await?;
    let provider = Provider { ledger, switches: Arc::default() };
    let routes = Router::new()
        .route("/authorisations", post(authorise))
        .route("/authorisations/{reference}", get(show))
        .route("/authorisations/{reference}/{step}", post(change))
        .route("/ledger", get(entries))
        .route("/switches", get(waiting).put(switch))
        .with_state(provider.clone());
    provider.ledger.decide_what_is_pending().await?; // left by an earlier process, which sent no callback
    let routes = match secret {
        Some(secret) => routes.layer(from_fn_with_state(Arc::<str>::from(bearer(&secret)), authorised)),
        None => routes,
    };
    let listener = TcpListener::bind(listen).await?;
    say(format_args!("listening on http://{}", listener.local_addr()?));
    tokio::select! {
        served = axum::serve(listener, routes) => Ok(served?),
        () = stop => Ok(()), // a request without an answer is aborted
    }
}

/// The expected `Authorization` header.
fn bearer(secret: &str) -> String {
    format!("Bearer {secret}")
}

async fn authorised(State(expected): State<Arc<str>>, request: Request, next: Next) -> Response {
    match request.headers().get(header::AUTHORIZATION) {
        Some(given) if given.as_bytes() == expected.as_bytes() => next.run(request).await,
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// The body of a request to authorise a payment.
#[derive(Deserialize)]
struct Authorisation {
    reference: String,
    order_id: i64,
    amount_cents: i64,
    card: String,
    /// The URL for the result, if it is not known at once.
    callback: Option<Url>,
}

async fn authorise(State(provider): State<Provider>, Json(asked): Json<Authorisation>) -> Result<Response, Failed> {
    let first = match asked.card.as_bytes() {
        [.., b'0', b'0', b'0', b'2'] => Standing::Declined,
        [.., b'0', b'1', b'1', b'9'] => Standing::Pending,
        _ => Standing::Authorised,
    };
    let refuses_capture = asked.card.ends_with("0341");
    let work = provider.ledger.authorise(&asked.reference, asked.order_id, asked.amount_cents, first, refuses_capture);
    let standing = provider.switches.pass(Step::Authorise, work).await??;
    if let (Standing::Pending, Some(to)) = (standing, asked.callback) {
        callback::decide_later(provider, asked.reference, to);
    }
    Ok(answer(standing.status(), standing))
}

async fn show(State(provider): State<Provider>, InPath(reference): InPath<String>) -> Result<Response, Failed> {
    let standing = provider.switches.pass(Step::Show, provider.ledger.standing(&reference)).await??;
    Ok(match standing {
        Some(standing) => answer(StatusCode::OK, standing),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

async fn change(
    State(provider): State<Provider>,
    InPath((reference, step)): InPath<(String, Step)>,
) -> Result<Response, Failed> {
    let wanted = match step {
        Step::Capture => Standing::Captured,
        Step::Void => Standing::Voided,
        Step::Refund => Standing::Refunded,
        Step::Authorise | Step::Show => return Ok(StatusCode::NOT_FOUND.into_response()),
    };
    let standing = provider.switches.pass(step, provider.ledger.change(&reference, wanted)).await??;
    let status = if standing == wanted { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok(answer(status, standing))
}

async fn entries(State(provider): State<Provider>) -> Result<Response, Failed> {
    Ok(Json(provider.ledger.entries().await?).into_response())
}

async fn waiting(State(provider): State<Provider>) -> Response {
    Json(json!({ "waiting": provider.switches.waiting() })).into_response()
}

async fn switch(State(provider): State<Provider>, Json(switches): Json<Switches>) -> StatusCode {
    provider.switches.set(switches);
    StatusCode::NO_CONTENT
}

fn answer(status: StatusCode, standing: Standing) -> Response {
    (status, Json(json!({ "status": standing }))).into_response()
}

/// A 503 response: nothing was written.
#[derive(Debug)]
struct Failed(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Failed(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{:#}\n", self.0)).into_response()
    }
}
