//! One buyer, and many: from the connection to a crowd.

/// Whether the visitors of an open loop came as planned.
pub mod arrivals;
/// One buyer, for every version: from the click to the answer.
pub mod click;
/// One HTTP connection.
pub mod client;
/// All buyers at once.
pub mod crowd;
/// Buyers who come at a rate, whether or not the last one was served.
pub mod open_loop;
/// Buyers who pay.
pub mod payers;
/// How far a crowd is.
pub mod progress;
/// What browsers keep for the buyers.
pub mod sessions;
/// Who is in the queue.
pub(crate) mod waiting_room;
