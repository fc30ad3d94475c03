//! Simulated buyers, from one connection to a crowd.
//!
//! Read `client` first: one HTTP connection. `sessions` keeps the buyers' cookies. `click` takes one buyer from the click to the
//! answer. `crowd` is the closed loop: all buyers start at once, then wait in the `waiting_room`, and `progress` and
//! `tally` count them.
//! `ending` ends them early. `open_loop` sends buyers on a `schedule`, and `arrivals` counts how many came on time. `payers` pay for, cancel or abandon
//! confirmed orders.

pub mod arrivals;
pub mod click;
pub mod client;
pub mod crowd;
pub mod ending;
pub mod open_loop;
pub mod payers;
pub mod progress;
pub mod schedule;
pub mod sessions;
pub mod tally;
pub(crate) mod waiting_room;
