//! What people see in a real browser: the sale, the order, the report of a run.

mod any_page;
mod edge_page;
mod lab_faults;
mod lab_scheduler;
mod lab_stampede;
mod money_page;
mod page;
mod production_page;
mod report;
#[path = "../support/mod.rs"]
mod support;
