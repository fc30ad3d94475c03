//! The ways on ZooKeeper, which writes each change to disk and gives all clients the same order of changes.

mod lock;
mod set_data;
mod store;

use super::way::Entry;
use crate::lab::servers::Server::{Postgres, ZooKeeper};
use lock::Lock;
use set_data::SetData;

/// The ways on ZooKeeper.
pub const WAYS: &[Entry] = &[
    Entry::new::<Lock>(
        "zookeeper-lock",
        &[ZooKeeper, Postgres],
        "what must be locked is outside of the database, and is locked rarely",
    )
    .with_a_holder(),
    Entry::new::<SetData>(
        "zookeeper-set-data",
        &[ZooKeeper],
        "never for stock: it is made for configuration, not for counts",
    ),
];
