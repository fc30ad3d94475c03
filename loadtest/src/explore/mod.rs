//! Every order of events of two or three buyers, on the real database and the unchanged versions.
//!
//! A stampede shows *that* a version oversells, by chance; this shows *how*, every time. Each buyer has an instance of its own
//! with one connection, and that connection leads through a wire of ours, which keeps each statement back until it is
//! let go.
//!
//! To follow one order, read `play` and from there `scheduler` (what it is played on), `proxy` (the held wire), `settle` (when
//! do all stand still?) and `step` (what is written down). `search` plays all of them, `replay` one that somebody wrote.

/// What happened, in words.
pub mod explain;
/// What is written to a file.
pub mod figures;
/// Messages of PostgreSQL's protocol.
mod frames;
/// One order of events.
pub mod play;
/// The held wire.
mod proxy;
/// A schedule, again and again.
pub mod replay;
/// A schedule as text.
pub mod schedule;
/// Database, wires and instances.
pub mod scheduler;
/// Every order of events.
pub mod search;
/// When do all stand still?
pub mod settle;
/// What a statement is called, reads and writes.
pub mod statement;
/// A line of the picture.
pub mod step;
/// How many of which.
mod tally;
/// What is known of each wire.
pub mod wire;
