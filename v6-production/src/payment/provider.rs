//! The client of the payment provider, which is another process. A request that is repeated with the same reference is done once.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context, anyhow};
use axum::{
    body::Bytes,
    http::{Method, Request, StatusCode, header},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use url::Url;

use crate::{links, order_id::OrderId};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long an unused connection is kept. A firewall may forget it without a word, and the next call would wait in vain.
const IDLE: Duration = Duration::from_secs(2);
/// The longest answer that is read, in bytes.
const LONGEST: usize = 10_000;

/// The state of an authorisation in the provider's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    /// The card's bank has not decided yet.
    Pending,
    /// The amount is held on the card.
    Authorised,
    /// The bank has declined the card.
    Declined,
    /// The amount was charged.
    Captured,
    /// The amount could not be charged, and never will be.
    Refused,
    /// The hold was released.
    Voided,
    /// The charged amount was returned.
    Refunded,
}

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The provider has done nothing.
    NotDone(anyhow::Error),
    /// The provider may have done it.
    Unknown(anyhow::Error),
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotDone(cause) | Failure::Unknown(cause) => cause.context("the payment provider"),
        }
    }
}

/// A change of an authorisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Capture,
    Void,
    Refund,
}

/// The payment provider. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Provider {
    client: Client<HttpConnector, Full<Bytes>>,
    /// `None` if the shop has no provider, so orders cannot be paid.
    url: Option<Url>,
    /// The secret that identifies this shop to the provider.
    secret: Option<String>,
    /// The shop's name in references.
    shop: Arc<str>,
    /// The URL of this shop for callbacks, once it is known.
    callback: Arc<OnceLock<Url>>,
}

impl Provider {
    /// The provider at `http://name:secret@host:port/`.
    pub(crate) fn new(mut url: Option<Url>, namespace: &str) -> Provider {
        let secret = url.as_ref().and_then(|url| Some(url.password()?.to_owned()));
        if let Some(url) = &mut url {
            let _ = url.set_username("").and_then(|()| url.set_password(None));
        }
        Provider {
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .build_http(),
            url,
            secret,
            shop: namespace.into(),
            callback: Arc::default(),
        }
    }

    /// A new reference for an authorisation: unique, and impossible to guess.
    pub(super) fn new_reference(&self) -> String {
        format!("{}-{:032x}", self.shop, fastrand::u128(..))
    }

    /// Sets the URL of this shop for callbacks. Without callbacks, the shop asks every few seconds.
    pub(crate) fn may_call(&self, shop: Url) {
        let _ = self.callback.set(shop);
    }

    /// Asks the provider to hold the amount on the card. Repeated with the same reference, it returns the state of the first
    /// request.
    pub(super) async fn authorise(
        &self,
        reference: &str,
        (order_id, amount_cents): (OrderId, i64),
        card: &str,
    ) -> Result<Standing, Failure> {
        let mut body =
            json!({ "reference": reference, "order_id": order_id, "amount_cents": amount_cents, "card": card });
        if let Some(callback) = self.callback.get().and_then(|shop| shop.join(&links::callback(reference)).ok()) {
            body["callback"] = callback.as_str().into();
        }
        let standing = self.call(Method::POST, "/authorisations", Some(body)).await?;
        standing.ok_or_else(|| Failure::Unknown(anyhow!("it does not know what was asked")))
    }

    /// The state of an authorisation; `None` if the provider does not know the reference.
    pub(super) async fn show(&self, reference: &str) -> Result<Option<Standing>, Failure> {
        self.call(Method::GET, &format!("/authorisations/{reference}"), None).await
    }

    /// Captures, voids or refunds an authorisation if possible, and returns its state.
    pub(super) async fn change(&self, reference: &str, step: Step) -> Result<Standing, Failure> {
        let step = match step {
            Step::Capture => "capture",
            Step::Void => "void",
            Step::Refund => "refund",
        };
        let standing = self.call(Method::POST, &format!("/authorisations/{reference}/{step}"), None).await?;
        standing.ok_or_else(|| Failure::Unknown(anyhow!("it cannot {step}")))
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Option<Standing>, Failure> {
        let request = self.request(method, path, body).map_err(Failure::NotDone)?;
        let call = async {
            let response = match self.client.request(request).await {
                Ok(response) => response,
                Err(error) if error.is_connect() => return Err(Failure::NotDone(error.into())),
                Err(error) => return Err(Failure::Unknown(error.into())),
            };
            match response.status() {
                StatusCode::NOT_FOUND => return Ok(None),
                // A proxy may answer so without knowing what the provider has done.
                status if status.is_server_error() => return Err(Failure::Unknown(anyhow!("{status}"))),
                _ => {}
            }
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| Failure::Unknown(anyhow!(error)))?.to_bytes();
            #[derive(Deserialize)]
            struct Answer {
                status: Standing,
            }
            let answer: Answer = serde_json::from_slice(&body).map_err(|error| Failure::Unknown(error.into()))?;
            Ok(Some(answer.status))
        };
        timeout(PATIENCE, call).await.unwrap_or_else(|_| Err(Failure::Unknown(anyhow!("no answer in time"))))
    }

    fn request(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Request<Full<Bytes>>> {
        let url = self.url.as_ref().context("there is no PROVIDER_URL")?;
        let mut request = Request::builder().method(method).uri(url.join(path)?.as_str());
        if let Some(secret) = &self.secret {
            request = request.header(header::AUTHORIZATION, format!("Bearer {secret}"));
        }
        let bytes = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        Ok(request.header(header::CONTENT_TYPE, "application/json").body(Full::new(bytes.into()))?)
    }
}
