//! What is written to a file, and read again: data only.

/// How much a small shop can do.
mod calibration;
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

pub use self::{
    calibration::Calibration,
    run::{Bystander, Edge, Flood, HonestBuyers, Latencies, Measure, Record, Reservations, Run, Runs},
};
