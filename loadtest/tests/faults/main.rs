//! Chapter 6 while servers, instances and messages are lost: no unit and no promise is lost with them.
//!
//! A test that kills a server starts its own set of servers; the others share one.

mod each_fault;
mod grid;
mod lost_hosts;
mod nothing_is_lost;
mod one_disk;
mod other_data;
mod outbox;
mod placing;
mod quorum;
mod rebuild;
mod refused;
mod releasing;
mod standby;
#[path = "../support/mod.rs"]
mod support;
mod wrong_setup;
