//! What came out of a run, and whether that is what the version promises.
//!
//! Two halves of the truth: `history` is what buyers were told, `ledger` what the database holds. `audit` lays them side by side,
//! `promise` says what was to come out, `evidence` whether the run kept that, and `judge` gives the verdict: once, and nowhere else.

/// Joins what buyers were told with what the database holds.
pub mod audit;
/// Whether a run kept its promise.
pub mod evidence;
/// What the buyers were told.
pub mod history;
/// How a run is judged.
mod judge;
/// How long buyers waited.
pub mod latency;
/// What the database holds.
pub mod ledger;
/// The provider's ledger beside the orders.
pub mod money;
/// What is to come out.
pub mod promise;

pub use self::judge::Verdict;
pub(crate) use self::judge::judge;
