//! The tasks of the second tab.

use serde_json::{Value, json};

use crate::{
    record::interleavings::OrderOfEvents,
    version::{Variant, Version},
};

/// What a reader tries to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Oversell,
    Undersell,
    Deadlock,
}

/// One task. The fewest moves to its goal, its par, come from the tree of all interleavings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub(super) version: Version,
    pub(super) variant: Option<Variant>,
    pub(super) stock: i64,
    pub(super) goal: Goal,
    /// Why it can be reached, or why not; shown at the end.
    why: &'static str,
}

/// All tasks, from the easiest on. Each has two buyers.
pub(super) const LEVELS: [Level; 6] = [
    Level {
        version: Version::V1,
        variant: None,
        stock: 1,
        goal: Goal::Oversell,
        why: "Both buyers read `sold` before either of them writes it. The second update is a lost update.",
    },
    Level {
        version: Version::V1,
        variant: Some(Variant::Transaction),
        stock: 1,
        goal: Goal::Oversell,
        why: "A transaction is atomic, but under read committed both may read the same `sold`. The second update waits for the first \
              commit, and then writes over it.",
    },
    Level {
        version: Version::V2,
        variant: Some(Variant::InsertFirst),
        stock: 1,
        goal: Goal::Deadlock,
        why: "The insert takes a share lock on the sale's row, by its foreign key. Both buyers hold one, and each asks for the exclusive \
              lock. PostgreSQL ends one of them after a second.",
    },
    Level {
        version: Version::V3,
        variant: Some(Variant::NoRetry),
        stock: 2,
        goal: Goal::Undersell,
        why: "The second update finds another version and changes no row. Without a retry that buyer is refused, although a unit is left.",
    },
    Level {
        version: Version::V2,
        variant: None,
        stock: 1,
        goal: Goal::Oversell,
        why: "You cannot. `for update` locks the row before it is read, and the commit releases it. The second buyer reads only what the \
              first one has committed, so no buyer decides on an old value.",
    },
    Level {
        version: Version::V3,
        variant: None,
        stock: 1,
        goal: Goal::Oversell,
        why: "You cannot. The update names the version that was read, and changes no row if another buyer was faster. That buyer reads \
              again and is told sold-out.",
    },
];

impl Goal {
    /// Whether this interleaving reaches it.
    pub(super) fn is_reached(self, order: &OrderOfEvents) -> bool {
        match self {
            Goal::Oversell => order.oversold > 0,
            Goal::Undersell => order.undersold > 0,
            Goal::Deadlock => order.deadlocks > 0,
        }
    }
}

impl Level {
    pub(super) fn shown(self) -> Value {
        let Level { version, variant, stock, goal, why } = self;
        let goal = match goal {
            Goal::Oversell => "oversell",
            Goal::Undersell => "undersell",
            Goal::Deadlock => "deadlock",
        };
        json!({ "version": version, "variant": variant, "buyers": 2, "stock": stock, "goal": goal, "why": why })
    }
}
