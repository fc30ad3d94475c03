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
/// It as text.
pub mod picture;
/// One order of events.
pub mod play;
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
/// A line of the picture.
pub mod step;
/// All of them in a table.
pub mod table;
/// How many of which.
mod tally;
/// What is known of each wire.
pub mod wire;
