//! What an exhibit is: one entry of the list, with what is known of it before it is played.

use std::fmt;

use futures_util::future::LocalBoxFuture;

use super::play::{Kit, Seen};
use crate::{interleave::scheduler::Subject, lab::servers::Server, scenario::plan::Plan};

/// One mistake.
pub struct Exhibit {
    /// Its name on the command line, in kebab-case.
    pub name: &'static str,
    /// What is wrong, in one line.
    pub wrong: &'static str,
    /// The file with the mistake.
    pub code: &'static str,
    /// Where its like was seen in public code; empty if it is common in tutorials.
    pub seen: &'static [Source],
    /// The scenario or the fault that turns it red.
    pub attack: &'static str,
    /// What the audit finds then.
    pub finding: Finding,
    /// What does it right.
    pub fix: Fix,
    /// The servers that it needs; none if it plays on SQLite.
    pub servers: &'static [Server],
    /// How it is played.
    pub play: Play,
}

/// The mistake, or what does it right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// With the mistake
    Wrong,
    /// With the fix
    Fixed,
}

/// How an exhibit is played, in both forms.
pub enum Play {
    /// Shops in one of the load test's scenarios.
    Scenario {
        /// The plan of the run.
        plan: fn(Form) -> Plan,
        /// What to draw as lanes besides, if PostgreSQL is installed.
        lanes: Option<fn(Form) -> Subject>,
    },
    /// Every interleaving of two buyers, on PostgreSQL.
    Interleavings(fn(Form) -> Subject),
    /// Steps of its own.
    Own(Own),
}

/// Steps of an exhibit's own.
pub type Own = for<'a> fn(&'a Kit<'a>, Form) -> LocalBoxFuture<'a, anyhow::Result<Seen>>;

/// What the audit finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// More orders than stock.
    Oversold,
    /// Units left although buyers were refused.
    Undersold,
    /// A buyer with two units, who asked once.
    Twice,
    /// A buyer who was told yes and has no order, or who is told `queued` for ever.
    Lost,
    /// The attack's own figure, such as the number of requests that pass a limit.
    Figure,
}

impl Finding {
    /// The word that [`Evidence::findings`](crate::verdict::evidence::Evidence::findings) uses.
    pub fn word(self) -> &'static str {
        match self {
            Finding::Oversold => "oversold",
            Finding::Undersold => "undersold",
            Finding::Twice => "twice",
            Finding::Lost => "lost",
            Finding::Figure => "figure",
        }
    }

    /// What broke, for a reader; `None` if only the attack's figure says it.
    pub fn says(self) -> Option<&'static str> {
        match self {
            Finding::Oversold => Some("more orders than stock"),
            Finding::Undersold => Some("units are left, and buyers were refused"),
            Finding::Twice => Some("a buyer has two orders, and asked once"),
            Finding::Lost => Some("a buyer was told yes, or `queued`, and has no order"),
            Finding::Figure => None,
        }
    }
}

/// Where the like of an exhibit was seen in public code. No code is copied from there.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// An issue or a pull request on GitHub: its repository and number, and what it is about.
    Thread(&'static str, u32, &'static str),
    /// A file on GitHub: its repository and path.
    File(&'static str, &'static str),
}

impl Source {
    /// The source as a link, for the book.
    pub fn markdown(&self) -> String {
        match self {
            Source::Thread(repository, number, about) => {
                format!("[{repository}#{number}](https://github.com/{repository}/issues/{number}) ({about})")
            }
            Source::File(repository, path) => format!("[{repository}](https://github.com/{repository}), `{path}`"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Source::Thread(repository, number, about) => write!(f, "{repository}#{number} ({about})"),
            Source::File(repository, path) => write!(f, "{repository}, {path}"),
        }
    }
}

/// What does it right.
#[derive(Debug, Clone, Copy)]
pub struct Fix {
    /// The file.
    pub file: &'static str,
    /// The name of the function, or the words, to look for in it.
    pub what: &'static str,
    /// What it does, in one line.
    pub how: &'static str,
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}, `{}`", self.how, self.file, self.what)
    }
}
