//! A client of the payment provider, for the lab.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::{Entry, Step, Switches};

/// A client of the payment provider: its ledger and its switches.
pub struct Remote {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Url,
}

impl Remote {
    /// A client of the provider at this URL.
    pub fn new(url: &Url) -> Remote {
        Remote { client: Client::builder(TokioExecutor::new()).build_http(), url: url.clone() }
    }

    /// All entries of its ledger, oldest first.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        self.get("/ledger").await
    }

    /// The entries of one shop, whose references begin with its namespace.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn entries_of(&self, namespace: &str) -> anyhow::Result<Vec<Entry>> {
        let mut entries = self.entries().await?;
        entries.retain(|entry| entry.reference.starts_with(namespace));
        Ok(entries)
    }

    /// The number of requests that the provider has left without an answer, by step.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn waiting(&self) -> anyhow::Result<HashMap<Step, usize>> {
        #[derive(Deserialize)]
        struct Board {
            waiting: HashMap<Step, usize>,
        }
        Ok(self.get::<Board>("/switches").await?.waiting)
    }

    /// Sets the provider's failures.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn switch(&self, switches: &Switches) -> anyhow::Result<()> {
        self.call(Method::PUT, "/switches", serde_json::to_vec(switches)?).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        Ok(serde_json::from_slice(&self.call(Method::GET, path, Vec::new()).await?)?)
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Bytes> {
        let (host, port) = (self.url.host_str().context("no host")?, self.url.port().context("no port")?);
        let request = Request::builder().method(method).uri(format!("http://{host}:{port}{path}"));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = request.header(header::AUTHORIZATION, super::bearer(self.url.password().unwrap_or_default()));
        let response =
            self.client.request(request.body(Full::new(body.into()))?).await.context("the payment provider")?;
        let status = response.status();
        ensure!(matches!(status, StatusCode::OK | StatusCode::NO_CONTENT), "the payment provider answers {status}");
        Ok(response.into_body().collect().await?.to_bytes())
    }
}
