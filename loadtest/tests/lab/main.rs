//! The lab itself: its command line, its private servers, its search through interleavings, open and closed loops, a shop that already
//! runs, capacities, the benchmark, the live screen, Ctrl-C, readers who have gone, the figures that it has written, the exercises, what other
//! databases do, the museum, every way to take one unit, the rehearsal of the whiteboard cards, and the lab's page.

mod bench;
mod capacity;
mod command_line;
mod compare;
mod edges;
mod exercise_command;
mod exercises;
mod exit_codes;
mod explore;
mod explore_classes;
mod explore_command;
mod figures;
mod gone;
mod hangs;
mod interrupted;
mod lab_page;
mod live;
mod load;
mod machines;
mod museum;
mod mutants;
mod other_databases;
mod pictures;
mod quoted;
mod rehearse;
mod services;
mod stale;
#[path = "../support/mod.rs"]
mod support;
mod thresholds;
mod url;
mod url_dies;
mod ways;
