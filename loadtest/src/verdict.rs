//! What came out of a run, and whether that is what the version promises.
//!
//! Two halves of the truth: `history` is what buyers were told, `ledger` what the database holds. `audit` lays them side by side
//! (`outside` does so for a shop whose database is not ours),
//! `promise` says what was to come out, `evidence` whether the run kept that, and `judge` gives the verdict: once, and nowhere else.

pub mod audit;
pub mod evidence;
pub mod history;
mod judge;
pub mod latency;
pub mod ledger;
pub mod money;
pub mod outside;
pub mod promise;

pub use self::judge::Verdict;
pub(crate) use self::judge::judge;
