//! The exercises of the book: small things that fail, each in a folder of its own, with a check that takes seconds.
//!
//! Read [`catalogue`] for what there is and [`folder`] for what the reader works in. `manifest` makes it a crate. [`check`] says whether
//! it passes, with the help of [`goal`] if it is a schedule. The texts are in `loadtest/exercises`, a folder for each exercise.

pub mod catalogue;
pub mod check;
pub mod folder;
pub mod goal;
mod manifest;

use std::fmt;

use self::goal::Goal;
use crate::version::Version;

/// An exercise, with its texts.
#[derive(Debug)]
pub struct Exercise {
    /// The name on the command line, and of its folder in `loadtest/exercises`.
    pub name: &'static str,
    /// The chapter that it belongs to.
    pub chapter: Version,
    /// What the reader does.
    pub kind: Kind,
    /// What is asked, in Markdown: a heading, a sentence for the list, and the rest.
    pub task: &'static str,
    /// Three hints, a numbered list.
    pub hints: &'static str,
    /// The file that the reader changes, as it is at the start. The check fails for it.
    pub start: &'static str,
    /// The same file, solved.
    pub solution: &'static str,
    /// Plausible fixes that do not pass, each with its reason in the first line.
    pub wrong: &'static [&'static str],
    /// How it is checked.
    pub check: Check,
}

/// What the reader does in an exercise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Repair a real mistake.
    Mend,
    /// Write the order of the statements of two buyers.
    Schedule,
    /// Reach a number.
    Bar,
}

/// How an exercise is checked.
#[derive(Debug)]
pub enum Check {
    /// By a program: the reader's file and these files are a crate.
    Program {
        /// The other files in `src`, by name; one of them is `check.rs`.
        files: &'static [(&'static str, &'static str)],
        /// The crates that it depends on, by their name in the workspace.
        dependencies: &'static [&'static str],
    },
    /// The reader's schedule is played on PostgreSQL.
    Schedule(Goal),
}

impl Exercise {
    /// The sentence for the list.
    pub fn asks(&self) -> String {
        let paragraph = self.task.split("\n\n").nth(1).unwrap_or_default();
        paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The hints, each without its number.
    pub fn hints(&self) -> Vec<String> {
        let mut hints: Vec<String> = Vec::new();
        for line in self.hints.lines() {
            let begins = line.split_once(". ").filter(|(number, _)| number.parse::<u32>().is_ok());
            match (begins, hints.last_mut()) {
                (Some((_, text)), _) => hints.push(text.into()),
                (None, Some(hint)) => *hint += &format!(" {}", line.trim()),
                (None, None) => {}
            }
        }
        hints
    }

    /// The file that the reader changes, from the exercise's folder.
    pub fn work(&self) -> &'static str {
        match self.check {
            Check::Program { .. } => "src/exercise.rs",
            Check::Schedule(_) => "schedule.txt",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Kind::Mend => "mend",
            Kind::Schedule => "schedule",
            Kind::Bar => "bar",
        })
    }
}
