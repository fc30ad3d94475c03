//! One buyer, and many: from the connection to a crowd.
//!
//! `client` is a connection, `sessions` what browsers keep, and `click` one buyer from the click to the answer. Many of them are a
//! `crowd`, whose buyers go on to the `waiting_room` and whose `progress` is shown; or an `open_loop`, whose
//! `schedule` says when each is due, and in which `arrivals` counts who came in time. `payers` pay for what they have got.

pub mod arrivals;
pub mod click;
pub mod client;
pub mod crowd;
pub mod open_loop;
pub mod payers;
pub mod progress;
pub mod schedule;
pub mod sessions;
pub(crate) mod waiting_room;
