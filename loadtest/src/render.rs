//! All that people look at: tables, pictures and the report. What the figures are is decided elsewhere.
//!
//! Begin with [`table`]: every table is one of its kind, and is shown in the terminal, as Markdown and in the report. `runs`, `matrix`,
//! `faults`, `interleavings`, `mutants`, `rounds`, `thresholds` and `compare` fill it. `says` is a run in a sentence, `picture` an interleaving in the terminal, `svg` a
//! picture as a file, and `page` the report.

pub mod compare;
pub mod faults;
pub mod interleavings;
pub mod matrix;
pub mod mutants;
pub mod page;
pub mod picture;
pub mod rounds;
pub mod runs;
mod says;
pub mod svg;
pub mod table;
pub mod text;
pub mod thresholds;
