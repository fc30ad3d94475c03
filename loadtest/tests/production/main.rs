//! Chapter 6 on its real servers when nothing breaks: who gets a unit, who is refused, and what everybody is told.
//!
//! Start with `purchase`, `payment` and `notify`, the way of an order; then the gates: `who_may_buy`, `puzzle`, `bounds`,
//! `clocks`, `bad_input`; then `edge`, `operate`, `tls`, `versions` and `openapi`, what stands around the shop. The tests share one set of servers; a
//! test that stops a server starts a set of its own.

mod bad_input;
mod bounds;
mod clocks;
mod edge;
mod money;
mod notify;
mod openapi;
mod operate;
mod operators;
mod payment;
mod people;
mod purchase;
mod puzzle;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod versions;
mod who_may_buy;
