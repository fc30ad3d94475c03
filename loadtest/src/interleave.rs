//! Explores all interleavings of two or three buyers, on the real database and the unchanged versions.
//!
//! A stampede shows by chance *that* a version oversells. An interleaving shows *how*, every time. Each buyer has its own
//! instance with one database connection. A proxy of ours, the *wire*, sits on that connection and holds each statement until it
//! is released.
//!
//! To follow one interleaving, read `play` first. Then `scheduler` (the database and the instances), `proxy` (the wire), `settle`
//! (when has every buyer stopped?) and `step` (what is recorded). `search` plays all interleavings, `replay` one that a person
//! wrote.

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
