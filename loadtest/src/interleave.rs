//! Explores all interleavings of two or three buyers, on the real database and the unchanged versions.
//!
//! A stampede shows by chance *that* a version oversells. An interleaving shows *how*, every time. Each buyer has its own
//! instance with one database connection. A proxy of ours, the *wire*, sits on that connection and holds each statement until it
//! is released.
//!
//! To follow one interleaving, read `play` first. Then `scheduler` (the database and the instances), `proxy` (the wire), `settle`
//! (when has every buyer stopped?), `queue` (who gets a lock first?) and `step` (what is recorded). `search` plays all interleavings, `replay` one that a person
//! wrote.
//!
//! Most interleavings differ only in the order of steps that do not affect each other. For these classes, read `trace`, then
//! `footprint` (which steps conflict), `transactions` and `access` (what a step touches) and `search` (sleep sets). `gauge` counts
//! how the interleavings end that are left at a point.

pub mod explain;
pub mod footprint;
pub mod gauge;
mod keys;
pub mod play;
pub mod queue;
pub mod replay;
pub mod schedule;
pub mod scheduler;
pub mod search;
pub mod settle;
pub mod step;
mod tally;
pub mod trace;
mod transactions;
pub mod wire;
