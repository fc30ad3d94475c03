//! All that people look at: tables, pictures and the report. What the figures are is decided elsewhere.
//!
//! Begin with [`table`]: every table is one of its kind, and is shown in the terminal, as Markdown and in the report.

/// The table of faults.
pub mod faults;
/// The table of what was explored.
pub mod interleavings;
/// Versions against scenarios.
pub mod matrix;
/// The table of mutants.
pub mod mutants;
/// The report.
pub mod page;
/// One order of events in the terminal.
pub mod picture;
/// The table of runs.
pub mod runs;
/// Pictures as files.
pub mod svg;
/// One table in three forms.
pub mod table;
/// Numbers as people read them.
pub mod text;
