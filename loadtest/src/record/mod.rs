//! What is written to a file, and read again: data, and a sentence that `says` what a run came to.
//!
//! Every file is a `file::File` of some figures: of runs, `faults`, `interleavings`, or mutants.

mod calibration;
pub mod faults;
pub mod file;
pub mod interleavings;
mod run;
mod says;

pub use self::{
    calibration::Calibration,
    run::{Bystander, Edge, Flood, HonestBuyers, Latencies, Measure, Record, Reservations, Run, Runs},
};
