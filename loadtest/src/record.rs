//! What is written to a file, and read again: data only.
//!
//! Every file is a `file::File` of some figures: of runs, `faults`, `interleavings`, or `mutants`.

mod calibration;
pub mod faults;
pub mod file;
pub mod interleavings;
pub mod mutants;
mod run;
mod times;

pub use self::{
    calibration::Calibration,
    run::{Bystander, Edge, Flood, HonestBuyers, Measure, Record, Reservations, Run, Runs},
    times::{Latencies, OpenLoop, OutcomeTimes, Times, times_by_outcome},
};
