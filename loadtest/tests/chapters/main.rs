//! Chapters 1 to 5 over HTTP, on both databases: what they promise, and where each one breaks.
//!
//! Start with `contract`, which is one test for every version. Then read `stampede`, `trouble`, `rate_limit`, `hidden_api` and
//! `gates`, chapter by chapter. `scenarios` plays the columns of the table.

mod arrivals;
mod contract;
mod gates;
mod hidden_api;
mod rate_limit;
mod scenarios;
mod stampede;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
