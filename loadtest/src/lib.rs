//! The load test: it breaks every version with the same crowd, and then counts.
//!
//! In the order in which to read it:
//!
//! 1. [`run`]: one run from end to end. All the rest is what it uses.
//! 2. [`version`]: what is under test. [`lab`]: where it runs: database, servers, shops as child processes.
//! 3. [`buyer`]: one buyer, for every version, and a crowd of them. [`scenario`]: what a version is put through.
//! 4. [`verdict`]: what buyers were told, what the database holds, and what was promised. [`record`]: what is written to a file.
//! 5. [`fault`]: servers that die under chapter 6. [`interleave`]: every order of events. [`mutant`]: shops that are wrong, to test
//!    the checks. [`provider`]: who takes chapter 6's money.
//! 6. [`render`]: how results are shown. [`matrix`]: versions against scenarios. [`compare`]: rounds, and files, against each other.

pub mod buyer;
pub mod compare;
pub mod fault;
pub mod interleave;
pub mod lab;
pub mod matrix;
pub mod mutant;
pub mod provider;
pub mod record;
pub mod render;
pub mod run;
pub mod scenario;
pub mod verdict;
pub mod version;
