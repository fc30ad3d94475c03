//! The data that is written to files and read again.
//!
//! Every file is a `file::File` of one kind of figures: runs, `bench`, `benches`, `capacity`, `faults`, `interleavings`,
//! `mutants` or `ways`.

pub mod bench;
pub mod benches;
mod calibration;
pub mod capacity;
#[cfg(test)]
pub(crate) mod example;
pub mod faults;
pub mod file;
pub mod interleavings;
pub mod mutants;
mod run;
mod scenarios;
mod times;
mod usage;
pub mod ways;

pub use self::{
    calibration::Calibration,
    run::{Edge, Measure, Record, Reservations, Run, Runs},
    scenarios::{Bystander, Flood, HonestBuyers},
    times::{Latencies, OpenLoop, OutcomeTimes, Times, times_by_outcome},
    usage::{Consumer, Sessions, Usage},
};
