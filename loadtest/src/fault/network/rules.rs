//! What a network is told to do with its connections, and what it counts of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

/// A host and a port.
pub(super) type Host = (String, u16);

#[derive(Default)]
pub(super) struct Counts {
    /// Connections so far.
    pub(super) opened: AtomicUsize,
    /// Connections that are open now.
    pub(super) open: AtomicUsize,
    /// From which ports the connections that are open now lead to the server.
    ports: Mutex<BTreeMap<usize, u16>>,
    /// Bytes that wait now, by connection and direction.
    held: Mutex<BTreeMap<(usize, Direction), Vec<u8>>>,
}

/// What is done with bytes and with new connections. Connections are numbered from 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// Bytes wait.
    pub(super) hold: bool,
    /// Requests with this in them wait, and all that come behind them on the same connection.
    pub(super) hold_request: Option<Arc<[u8]>>,
    /// Connections below this number are silent for ever.
    pub(super) lost_below: usize,
    /// Connections below this number are closed.
    pub(super) cut_below: usize,
    /// New connections are closed at once.
    pub(super) refuse: bool,
    /// How much later each chunk arrives.
    pub(super) delay: Duration,
}

/// Which way bytes take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    ToServer,
    ToClient,
}

impl Counts {
    pub(super) fn ports(&self) -> MutexGuard<'_, BTreeMap<usize, u16>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, BTreeMap<(usize, Direction), Vec<u8>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether these bytes have that part.
pub(super) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
