//! Chapter 6: a flash sale that a company could start from. PostgreSQL is the record, Redis decides who gets a unit, and RabbitMQ
//! carries reservations from Redis to PostgreSQL. Any number of instances may run, and a crash at any point loses neither a unit
//! nor an order.
//!
//! Run with
//!
//! ```text
//! cargo loadtest serve v6
//! ```
//!
//! or, with servers of your own (the program lists which it needs), `cargo run -p v6-production`.
//!
//! # A tour
//!
//! An order passes five modules. Read them in this order:
//!
//! 1. `reserve` reserves a unit in Redis (`reserve.lua` decides).
//! 2. `relay` moves the reservation from Redis into the queue.
//! 3. `worker` turns it into an order in SQL.
//! 4. `notify` tells the buyer.
//! 5. `release` puts units of unpaid orders on sale again.
//!
//! Then what supports them: `gate` decides who may buy, `payment` charges the card, `page` is the web page, and `upkeep` keeps
//! Redis consistent with SQL. `sql`, `redis_store` and `transport` connect to the three servers. `routes` is the router, and what a
//! request passes in order, `links` has every address, and `run` starts all of it.

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "they panic if the reader has gone: use `shop::say`")]

/// Step 1 of an order: reserves a unit in Redis.
mod reserve;

/// Step 2 of an order: from the outbox in Redis to the queue.
mod relay;

/// Step 3 of an order: from the queue to SQL.
mod worker;

/// Step 4 of an order: tells the buyer.
mod notify;

/// Step 5 of an order: puts units of unpaid orders on sale again.
mod release;

/// The gates: who may buy.
mod gate;
/// The `Idempotency-Key` header.
mod idempotency;
/// The buyer's orders.
mod orders;
/// The web page.
mod page;
/// Payments.
mod payment;
/// One sale, and its short address.
mod sale;
/// The codes in short addresses.
mod short_link;
/// The flag of sold-out sales in this process.
mod sold_out;

/// The sales, cached in this process.
mod catalogue;
/// One clock for all instances.
mod clock;
/// Leases with a fencing token.
mod lease;
/// Keeps Redis consistent with SQL.
mod upkeep;

/// The connection to Redis.
mod redis_store;
/// The connection to PostgreSQL.
mod sql;
/// The connection to RabbitMQ.
mod transport;

/// The state that handlers share.
mod app;
/// Settings and commands.
mod config;
/// Refusals as HTTP answers.
mod error;
/// HTTP headers of every answer.
mod headers;
/// Whether this process can do its work.
mod health;
/// Every address, as a route pattern and as a link.
mod links;
/// What every request passes between routing and its handler.
mod middleware;
/// The metric of requests, and readiness.
mod observe;
/// The operator's commands.
mod operate;
/// The id of an order.
mod order_id;
/// The router and its layers.
mod routes;
/// One process from start to stop.
mod run;
/// Errors of the configuration, which waiting does not solve.
mod set_up;
/// Restarts of failed tasks, with back-off.
mod supervise;

pub use v1_naive::shop;

pub use self::{
    config::{Command, Config, DenyArgs, Mode, Puzzle, RefundArgs, Role, Rules, SeedArgs, Which},
    gate::limits::SessionLimits,
    gate::session::buyer_id,
    operate::put_up,
    order_id::OrderId,
    page::routes as page_routes,
    run::main,
    transport::Reservation,
};
