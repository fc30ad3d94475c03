//! Chapter 6 on its real servers when nothing breaks: who gets a unit, who is refused, and what everybody is told.
//!
//! Start with `purchase`, `payment` and `notify`, the way of an order, with `money` and `endings`; then the gates:
//! `who_may_buy`, `paths`, `strangers`, `puzzle`, `sold_out`, `bounds`, `limits`, `clocks`, `nonsense`, `bad_input`; then
//! `edge`, `failing_instances`, `operate`, `tls`, `versions`, `indexes` and `openapi`, what stands around the shop; and `cluster`,
//! the shop on a Redis Cluster. The tests share one set of servers; a test that stops a server starts a set of its own.

mod bad_input;
mod bounds;
mod clocks;
mod cluster;
mod edge;
mod endings;
mod failing_instances;
mod indexes;
mod limits;
mod money;
mod nonsense;
mod notify;
mod openapi;
mod operate;
mod operators;
mod paths;
mod payment;
mod people;
mod purchase;
mod puzzle;
mod sold_out;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod versions;
mod who_may_buy;
