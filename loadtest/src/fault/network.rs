//! The network between an instance and a server, as a proxy that can go silent, refuse, delay and cut.

mod pipe;
mod rules;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::SeqCst},
    time::Duration,
};

use anyhow::Context;
use tokio::{net::TcpListener, sync::watch};
use url::Url;

use self::rules::{Counts, Direction, Host, Rules, contains};

/// A proxy in front of one server. It forwards everything until it is told otherwise, and ends when it is dropped.
///
/// *Silent* means: both sockets stay open and nothing is forwarded in either direction, not even that one end has closed.
/// A lost host and a firewall that drops packets look like this: neither end gets a FIN or a reset. One thing differs: the
/// proxy's kernel still answers TCP keepalives, so only bounds of the application notice.
pub struct Network {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    server: Arc<Mutex<Host>>,
    counts: Arc<Counts>,
}

impl Network {
    /// Opens a proxy to the server at `url`, on a free port of loopback.
    ///
    /// # Errors
    /// The URL names no host or port, or no port is free.
    pub async fn to(url: &Url) -> anyhow::Result<Network> {
        let server = Arc::new(Mutex::new(host(url)?));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let network = Network {
            address: listener.local_addr()?,
            rules: watch::Sender::new(Rules::default()),
            server: server.clone(),
            counts: Arc::default(),
        };
        tokio::spawn(pipe::accept(listener, server, network.rules.subscribe(), network.counts.clone()));
        Ok(network)
    }

    /// The server's URL by way of this proxy.
    pub fn instead_of(&self, url: &Url) -> Url {
        let mut url = url.clone();
        let _ = url.set_host(Some("127.0.0.1"));
        let _ = url.set_port(Some(self.address.port()));
        url
    }

    /// Forwards nothing from now on, neither of open connections nor of new ones, until [`restore`](Network::restore).
    pub fn silence(&self) {
        self.rules.send_modify(|rules| rules.hold = true);
    }

    /// Open connections are silent for ever. New ones work.
    pub fn lose_open_connections(&self) {
        self.rules.send_modify(|rules| rules.lost_below = self.opened());
    }

    /// The next request with these bytes in it waits until [`restore`](Network::restore), as do those behind it on the same
    /// connection. Everything else passes.
    pub fn hold_request(&self, bytes: &[u8]) {
        self.rules.send_modify(|rules| rules.hold_request = Some(bytes.into()));
    }

    /// Refuses new connections until [`restore`](Network::restore).
    pub fn refuse(&self) {
        self.rules.send_modify(|rules| rules.refuse = true);
    }

    /// New connections lead to another server, as after a failover by name. Open ones stay.
    ///
    /// # Errors
    /// The URL names no host or port.
    pub fn lead_to(&self, url: &Url) -> anyhow::Result<()> {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = host(url)?;
        Ok(())
    }

    /// Everything arrives this much later, until [`restore`](Network::restore).
    pub fn delay(&self, delay: Duration) {
        self.rules.send_modify(|rules| rules.delay = delay);
    }

    /// Closes all open connections, on both sides.
    pub fn cut(&self) {
        self.rules.send_modify(|rules| rules.cut_below = self.opened());
    }

    /// Works again: what was held arrives, except on connections that are lost.
    pub fn restore(&self) {
        self.rules.send_modify(|rules| {
            *rules = Rules { lost_below: rules.lost_below, cut_below: rules.cut_below, ..Rules::default() };
        });
    }

    /// Connections that were opened so far.
    pub fn opened(&self) -> usize {
        self.counts.opened.load(SeqCst)
    }

    /// Connections that are open now: at least one end has not closed.
    pub fn open(&self) -> usize {
        self.counts.open.load(SeqCst)
    }

    /// The ports from which open connections come, as the server sees them.
    pub fn ports(&self) -> Vec<u16> {
        self.counts.ports().values().copied().collect()
    }

    /// Lost connections that the server has not given up.
    pub fn lost_at_server(&self) -> usize {
        self.counts.ports().range(..self.rules.borrow().lost_below).count()
    }

    /// Whether anything waits now.
    pub fn is_holding(&self) -> bool {
        !self.counts.held().is_empty()
    }

    /// Whether these bytes wait now on their way to the server.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let requests = |((_, direction), held): (&(usize, Direction), &Vec<u8>)| {
            *direction == Direction::ToServer && contains(held, bytes)
        };
        self.counts.held().iter().any(requests)
    }
}

fn host(url: &Url) -> anyhow::Result<Host> {
    Ok((url.host_str().context("no host")?.to_owned(), url.port().context("no port")?))
}

#[cfg(test)]
mod tests;
