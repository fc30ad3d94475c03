//! All that people look at: tables, pictures and the report. What the figures are is decided elsewhere.

/// The table of faults.
pub mod faults;
/// The table of what was explored.
pub mod interleavings;
/// The report.
pub mod page;
/// One order of events in the terminal.
pub mod picture;
/// The table of runs.
pub mod runs;
/// Pictures as files.
pub mod svg;
/// Numbers as people read them.
pub mod text;
