//! The rules of a proxy for its connections, and its counters.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

/// A host and a port.
pub(super) type Host = (String, u16);

#[derive(Default)]
pub(super) struct Counts {
    /// The number of connections so far.
    pub(super) opened: AtomicUsize,
    /// The number of open connections.
    pub(super) open: AtomicUsize,
    /// The client ports of the open connections, as the server sees them.
    ports: Mutex<BTreeMap<usize, u16>>,
    /// Held data, by connection and direction.
    held: Mutex<BTreeMap<(usize, Direction), Vec<u8>>>,
}

/// The rules for data and new connections. Connections are numbered from 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// All data is held.
    pub(super) hold: bool,
    /// Requests that contain these bytes are held, with all that follow on the same connection.
    pub(super) hold_request: Option<Arc<[u8]>>,
    /// Requests that contain these bytes pass without their last bytes, so many, and their connections are silent for good.
    pub(super) tear_request: Option<(Arc<[u8]>, usize)>,
    /// Connections below this number are silent for good.
    pub(super) lost_below: usize,
    /// Connections below this number are closed.
    pub(super) cut_below: usize,
    /// New connections are closed at once.
    pub(super) refuse: bool,
    /// The delay of each chunk.
    pub(super) delay: Duration,
}

/// The direction of data.
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

/// Whether `bytes` contains `part`.
pub(super) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
