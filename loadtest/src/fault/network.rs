//! A network between an instance and a server: a proxy that can go silent, refuse, delay and cut connections.

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

/// A proxy in front of one server. It forwards everything until a fault is set, and stops when it is dropped.
///
/// *Silent* means that both sockets stay open and nothing is forwarded in either direction, not even a close. A lost host or a
/// firewall that drops packets has the same effect: neither end gets a FIN or a reset. There is one difference. The proxy's
/// kernel still answers TCP keepalives, so only the application's own timeouts notice.
pub struct Network {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    server: Arc<Mutex<Host>>,
    counts: Arc<Counts>,
}

impl Network {
    /// Opens a proxy to the server at `url`, on a free loopback port.
    ///
    /// # Errors
    /// The URL has no host or port, or no port is free.
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

    /// The server's URL with the proxy's address.
    pub fn instead_of(&self, url: &Url) -> Url {
        let mut url = url.clone();
        let _ = url.set_host(Some("127.0.0.1"));
        let _ = url.set_port(Some(self.address.port()));
        url
    }

    /// Forwards nothing until [`restore`](Network::restore), on open and on new connections.
    pub fn silence(&self) {
        self.rules.send_modify(|rules| rules.hold = true);
    }

    /// Silences all open connections for good. New ones work.
    pub fn lose_open_connections(&self) {
        self.rules.send_modify(|rules| rules.lost_below = self.opened());
    }

    /// Holds each request that contains these bytes, and all later ones on the same connection, until
    /// [`restore`](Network::restore). All other data passes.
    pub fn hold_request(&self, bytes: &[u8]) {
        self.rules.send_modify(|rules| rules.hold_request = Some(bytes.into()));
    }

    /// Forwards requests that contain these bytes without their last `tail` bytes. Their connections are silent from then on, as
    /// when a host is lost after a part of a request has left it.
    pub fn tear_request(&self, bytes: &[u8], tail: usize) {
        self.rules.send_modify(|rules| rules.tear_request = Some((bytes.into(), tail)));
    }

    /// Refuses new connections until [`restore`](Network::restore).
    pub fn refuse(&self) {
        self.rules.send_modify(|rules| rules.refuse = true);
    }

    /// Forwards new connections to another server, as after a failover by DNS. Open connections stay.
    ///
    /// # Errors
    /// The URL has no host or port.
    pub fn lead_to(&self, url: &Url) -> anyhow::Result<()> {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = host(url)?;
        Ok(())
    }

    /// Delays all data by this duration until [`restore`](Network::restore).
    pub fn delay(&self, delay: Duration) {
        self.rules.send_modify(|rules| rules.delay = delay);
    }

    /// Closes all open connections at both ends.
    pub fn cut(&self) {
        self.rules.send_modify(|rules| rules.cut_below = self.opened());
    }

    /// Works normally again: held data is delivered, except on silenced connections.
    pub fn restore(&self) {
        self.rules.send_modify(|rules| {
            *rules = Rules { lost_below: rules.lost_below, cut_below: rules.cut_below, ..Rules::default() };
        });
    }

    /// The number of connections so far.
    pub fn opened(&self) -> usize {
        self.counts.opened.load(SeqCst)
    }

    /// The number of open connections: those that at least one end has not closed.
    pub fn open(&self) -> usize {
        self.counts.open.load(SeqCst)
    }

    /// The client ports of all open connections, as the server sees them.
    pub fn ports(&self) -> Vec<u16> {
        self.counts.ports().values().copied().collect()
    }

    /// The number of silenced connections that the server still keeps open.
    pub fn lost_at_server(&self) -> usize {
        self.counts.ports().range(..self.rules.borrow().lost_below).count()
    }

    /// Whether any data is held at this moment.
    pub fn is_holding(&self) -> bool {
        !self.counts.held().is_empty()
    }

    /// Whether these bytes are held on their way to the server.
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
