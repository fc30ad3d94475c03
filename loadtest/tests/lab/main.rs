//! The lab itself: its command line, its private servers, its search through interleavings, and the figures that it has
//! written.

mod command_line;
mod explore;
mod figures;
mod services;
#[path = "../support/mod.rs"]
mod support;
