//! What is written to a file, and read again: data only.

/// What came of faults.
pub mod faults;
/// Files of figures.
pub mod file;
/// What came of orders of events.
pub mod interleavings;
/// What was run, and what came of it.
mod run;
/// A run in a sentence.
mod says;

pub use self::run::{Bystander, Edge, Flood, HonestBuyers, Latencies, Record, Reservations, Run, Runs};
