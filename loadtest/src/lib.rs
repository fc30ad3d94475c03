//! The load test: it breaks every version with the same crowd, and then counts.
//!
//! To follow one run, read [`run`] and from there [`scenario::stampede`] (the crowd), [`buyer`] (one of them),
//! [`audit`](mod@audit) (the count), [`promise`] (what was to come out).

/// Joins what buyers were told with what the database holds.
pub mod audit;
/// One buyer, for every version.
pub mod buyer;
/// One HTTP connection.
pub mod client;
/// Where the shops keep their rows.
pub mod database;
/// What a run has for itself: a database, keys and queues, shops.
mod deployment;
/// Every order of events.
pub mod explore;
/// Servers that die under chapter 6.
pub mod fault;
/// Files of figures.
pub mod file;
/// What the buyers were told.
pub mod history;
/// Servers, databases, folders.
pub mod lab;
/// What the database holds.
pub mod ledger;
/// Where a run happens.
pub mod machine;
/// Versions against scenarios.
pub mod matrix;
/// The provider's ledger beside the orders.
pub mod money;
/// Shops that are wrong, to test the checks.
pub mod mutant;
/// What database and shops say of themselves.
pub mod observe;
/// Room for many connections.
pub mod open_files;
/// Buyers who pay.
pub mod payers;
/// What is to be run.
pub mod plan;
/// What is to come out.
pub mod promise;
/// Who takes chapter 6's money: a fake.
pub mod provider;
/// What is written to a file.
pub mod record;
/// Tables, pictures, the report.
pub mod render;
/// One run from end to end.
pub mod run;
/// What a version is put through.
pub mod scenario;
/// Private servers.
pub mod services;
/// What browsers keep for the buyers.
pub mod sessions;
/// Shops as child processes.
pub mod shop_process;
/// Redis and the queue.
pub mod stores;
/// How a run is judged.
pub mod verdict;
/// The versions by name.
pub mod version;
