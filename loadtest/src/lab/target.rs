//! A shop that already runs: its address and its sale. Each request has a time-out, so that a shop that hangs does not hang the load
//! test.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use hyper::StatusCode;
use tokio::time::timeout;
use url::Url;

use crate::{
    buyer::{click::link_in, client::Connection},
    verdict::ledger::SaleRow,
};

/// More units than any shop has. Sums of such numbers do not overflow.
const MOST: i64 = 1_000_000_000_000;

/// The time-out of a request for the sale, before and after the load.
const PATIENCE: Duration = Duration::from_secs(5);

/// A shop that was not started by the load test.
#[derive(Debug, Clone)]
pub struct Target {
    /// The URL as the user wrote it.
    pub url: Url,
    /// The address of its host.
    pub address: SocketAddr,
    /// The sale to buy from.
    pub sale: i64,
    /// Whether this process does other work too, as tests do: its processor time is not that of the load generator alone.
    pub(crate) shares_process: bool,
}

impl Target {
    /// Resolves the URL's host.
    ///
    /// # Errors
    /// The URL is not that of a shop, its host is unknown, or is another machine although that is not allowed.
    pub async fn find(url: Url, sale: i64, allow_remote: bool) -> anyhow::Result<Target> {
        let has_user = !url.username().is_empty() || url.password().is_some();
        let is_plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|_| url.scheme() == "http" && is_plain && !has_user);
        // The URL is not repeated: it may contain a password.
        let host = host
            .context("--url takes http, a host and a port and nothing else: write for example http://127.0.0.1:3000")?;
        let port = url.port_or_known_default().unwrap_or(80);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let found = timeout(PATIENCE, tokio::net::lookup_host((host.as_str(), port))).await;
        let found = found.with_context(|| format!("--url {url}: the name server gives no answer"))?;
        let mut addresses = found.with_context(|| format!("--url {url}: no such host"))?;
        let address = addresses.next().with_context(|| format!("--url {url}: the host has no address"))?;
        let is_allowed = allow_remote || address.ip().is_loopback();
        ensure!(is_allowed, "--url {url} is not this machine: add --allow-remote if the shop is yours to load");
        Ok(Target { url, address, sale, shares_process: false })
    }

    /// The same target, for a process that does other work at the same time.
    pub fn in_shared_process(self) -> Target {
        Target { shares_process: true, ..self }
    }

    /// The stock and the sold units that the shop reports for the sale.
    ///
    /// # Errors
    /// The host does not accept connections, no complete answer comes in time, or it is not a sale with a purchase
    /// link and possible numbers of units.
    pub async fn sale(&self) -> anyhow::Result<SaleRow> {
        let (url, path) = (&self.url, format!("/sales/{}", self.sale));
        let ask = async {
            let mut connection = Connection::open(self.address).await.context("cannot connect")?;
            connection.get(&path, None).await.context("no whole HTTP answer comes")
        };
        let reply = timeout(PATIENCE, ask).await.with_context(|| format!("{url}: no answer within {PATIENCE:?}"))?;
        let reply = reply.with_context(|| url.to_string())?;
        let (sale, status) = (self.sale, reply.status);
        ensure!(status != StatusCode::NOT_FOUND, "{url} has no sale {sale}: --sale names another");
        ensure!(status.is_success(), "{url} answers {status} at {path}");
        let what = || format!("{url}: what it says at {path} is no sale");
        link_in(&reply, sale).with_context(what)?;
        let row: SaleRow = serde_json::from_slice(&reply.body).with_context(what)?;
        let is_possible = [row.stock, row.sold].iter().all(|units| (0..=MOST).contains(units));
        ensure!(is_possible, "{}: stock {}, sold {}", what(), row.stock, row.sold);
        Ok(row)
    }
}
