//! The connections that the visitors of an open loop share.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use nix::errno::Errno;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::visitor::Until;
use crate::{buyer::client::Connection, verdict::history::Answer};

/// A pool of connections. They are opened when needed and kept.
pub(super) struct Tabs {
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
    shops: Vec<SocketAddr>,
    turn: AtomicUsize,
}

impl Tabs {
    pub(super) fn new(shops: Vec<SocketAddr>, connections: usize) -> Tabs {
        Tabs { idle: Mutex::default(), places: Semaphore::new(connections), shops, turn: 0.into() }
    }

    /// Opens a connection to the next instance in turn.
    pub(super) async fn open(&self) -> io::Result<Connection> {
        Connection::open(self.shops[self.turn.fetch_add(1, Relaxed) % self.shops.len()]).await
    }

    /// Takes a free connection or opens a new one, for requests from this client address. Also returns its permit. The error is the answer
    /// of a visitor without a connection: `None` if it cannot ask, unknown if the shop refuses the connection or does not answer in time.
    pub(super) async fn take(
        &self,
        from: Option<Ipv4Addr>,
        until: &Until,
    ) -> Result<(Connection, SemaphorePermit<'_>), Option<Answer>> {
        let place = self.places.try_acquire().map_err(|_| None)?;
        let mut connection = match self.idle() {
            Some(connection) => connection,
            None => match until.patience_ends(self.open()).await {
                Some(Ok(connection)) => connection,
                Some(Err(error)) if is_out_of_connections(&error) => return Err(None),
                Some(Err(_)) | None => return Err(Some(Answer::Unknown)),
            },
        };
        connection.from = from;
        Ok((connection, place))
    }

    fn idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().ok()?;
        std::iter::from_fn(|| idle.pop()).find_map(|connection| (!connection.is_closed()).then_some(connection))
    }

    pub(super) fn keep(&self, connection: Connection) {
        let _ = self.idle.lock().map(|mut idle| idle.push(connection));
    }
}

/// Whether this machine is out of sockets, ports or memory. A shop that refuses the connection is a different case.
fn is_out_of_connections(error: &io::Error) -> bool {
    let ours = [Errno::EMFILE, Errno::ENFILE, Errno::EADDRNOTAVAIL, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| ours.contains(&Errno::from_raw(code)))
}
