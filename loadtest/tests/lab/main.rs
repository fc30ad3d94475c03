//! The lab itself: its command line, its private servers, its search through interleavings, the figures that it has
//! written, and what other databases do.

mod command_line;
mod compare;
mod edges;
mod exit_codes;
mod explore;
mod explore_command;
mod figures;
mod mutants;
mod other_databases;
mod services;
#[path = "../support/mod.rs"]
mod support;
mod thresholds;
