//! Everything that people see: tables, pictures and the report. The figures are computed elsewhere.
//!
//! Begin with [`table`]: every table is built with it and shown in the terminal, as Markdown and in the report. `runs`, `matrix`,
//! `faults`, `interleavings`, `mutants`, `rounds`, `thresholds`, `compare`, `capacity`, `bench`, `ways`, `museum` and `exercises` fill
//! tables. `says` puts a run into a sentence, `screen` draws a run while it plays, `rehearse` a card, `picture` an interleaving in the
//! terminal, `svg` a picture as a file, and `page` the report.

pub mod bench;
pub mod capacity;
pub mod compare;
pub mod exercises;
pub mod faults;
pub mod interleavings;
pub mod matrix;
pub mod museum;
pub mod mutants;
pub mod page;
pub mod picture;
pub mod rehearse;
pub mod rounds;
pub mod runs;
mod says;
pub mod screen;
pub mod svg;
pub mod table;
pub mod text;
pub mod thresholds;
pub mod ways;
