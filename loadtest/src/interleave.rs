//! Every order of events of two or three buyers, on the real database and the unchanged versions.
//!
//! A stampede shows *that* a version oversells, by chance; this shows *how*, every time. Each buyer has an instance of its own
//! with one connection, and that connection leads through a wire of ours, which keeps each statement back until it is
//! let go.
//!
//! To follow one order, read `play` and from there `scheduler` (what it is played on), `proxy` (the held wire), `settle` (when
//! do all stand still?) and `step` (what is written down). `search` plays all of them, `replay` one that somebody wrote.

pub mod explain;
pub mod play;
pub mod replay;
pub mod schedule;
pub mod scheduler;
pub mod search;
pub mod settle;
pub mod step;
mod tally;
pub mod wire;
