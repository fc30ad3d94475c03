//! The load test: sends the same crowd to every version, then audits the answers against the database.
//!
//! Read the modules in this order:
//!
//! 1. [`run`]: one run from start to end. It uses all the rest.
//! 2. [`version`]: the versions under test. [`lab`]: the database, the servers, and the shops as child processes.
//! 3. [`buyer`]: one buyer for every version, and a crowd of them. [`scenario`]: the attacks and the load.
//! 4. [`verdict`]: the answers, the database's rows, and what was promised. [`record`]: the data in files.
//! 5. [`fault`]: fault injection for chapter 6. [`interleave`]: all interleavings of a few buyers. [`mutant`]: shops with seeded
//!    bugs, which test the checks. [`museum`]: real mistakes, each with its fix. [`provider`]: chapter 6's payment provider.
//!    [`exercise`]: the book's exercises, with their checks. [`gates`]: chapters 4 and 5 without some of their gates.
//! 6. [`render`]: tables, pictures and the report. [`matrix`]: versions against scenarios. [`compare`]: rounds
//!    and files against each other. [`capacity`]: the greatest rate that a version can serve. [`mod@bench`]: chapter 6 against a shop that
//!    does nothing. [`figures`]: whether README and book quote the records. [`rehearse`]: the whiteboard cards. [`lab_page`]: all
//!    of this on a page in the browser.

#![warn(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic if the reader has gone: write and ignore the error"
)]

pub mod bench;
pub mod buyer;
pub mod capacity;
pub mod compare;
pub mod exercise;
pub mod fault;
pub mod figures;
pub mod gates;
pub mod interleave;
pub mod lab;
pub mod lab_page;
pub mod matrix;
pub mod museum;
pub mod mutant;
mod near;
pub mod provider;
pub mod record;
pub mod rehearse;
pub mod render;
pub mod run;
pub mod scenario;
pub mod verdict;
pub mod version;
pub mod ways;
