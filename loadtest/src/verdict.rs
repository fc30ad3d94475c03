//! Whether a run came out as the version promises.
//!
//! A verdict compares two sources. `history` is what the buyers were told, and `ledger` is what the database holds. `audit` joins
//! the two; `outside` does so for a shop whose database we cannot read. `promise` says what should happen, `evidence` checks
//! whether it did, and `judge` turns that into the verdict. `threshold` is what the user demands in addition. `bottleneck` says
//! what gave way in an overload. `edge` reads what nginx has answered. `exit` is the command's exit code.

pub mod audit;
pub mod bottleneck;
pub mod edge;
pub mod evidence;
pub mod exit;
pub mod history;
mod judge;
pub mod latency;
pub mod ledger;
pub mod money;
pub mod outside;
pub mod promise;
pub mod threshold;

pub use self::judge::Verdict;
pub(crate) use self::judge::judge;
