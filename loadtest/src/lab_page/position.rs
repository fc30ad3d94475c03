//! Where the buyers of the second tab are: whose statements have been executed, in which order.

use serde::{Deserialize, Serialize};

use crate::{
    interleave::{scheduler::Subject, step::letter},
    version::{Variant, Version},
};

/// The most moves that a link may have: more than any interleaving has.
const MOST_MOVES: usize = 200;
/// The most buyers on the page. With four, the tree of interleavings is too large to count while a reader waits.
const MOST_BUYERS: usize = 3;
/// The most units on the page.
const MOST_UNITS: i64 = 10;

/// A position that a browser wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    version: Version,
    #[serde(default)]
    variant: Option<Variant>,
    buyers: usize,
    stock: i64,
    /// The buyers in the order in which their statements are executed: `ABBA`.
    #[serde(default)]
    pub(super) moves: String,
}

impl Wanted {
    /// Checks that it can be played.
    ///
    /// # Errors
    /// The version has no such variant or cannot be held, or a number is out of range.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if let Some(variant) = self.variant {
            self.version.variant(variant.name()).map_err(anyhow::Error::msg)?;
        }
        self.subject().check()?;
        anyhow::ensure!((2..=MOST_BUYERS).contains(&self.buyers), "there are two or three buyers");
        anyhow::ensure!((1..=MOST_UNITS).contains(&self.stock), "units: write a number from 1 to {MOST_UNITS}");
        let known = |buyer: char| (0..self.buyers).any(|n| letter(n) == buyer.to_string());
        anyhow::ensure!(self.moves.len() <= MOST_MOVES && self.moves.chars().all(known), "moves are buyers: ABBA");
        Ok(())
    }

    /// What is played.
    pub(super) fn subject(&self) -> Subject {
        Subject { version: self.version, variant: self.variant, buyers: self.buyers, stock: self.stock }
    }

    /// Whether it is further on the same way: the same subject, and the moves so far are its first ones.
    pub(super) fn is_after(&self, subject: &Subject, moves: &str) -> bool {
        self.subject() == *subject && self.moves.starts_with(moves)
    }

    /// The buyer who moves after these moves; `None` if that is not decided yet.
    pub(super) fn next(&self, moves: &str) -> Option<usize> {
        let buyer = self.moves.strip_prefix(moves)?.chars().next()?;
        (0..self.buyers).find(|n| letter(*n) == buyer.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(moves: &str) -> Wanted {
        Wanted { version: Version::V1, variant: None, buyers: 2, stock: 1, moves: moves.into() }
    }

    #[test]
    fn an_undo_is_not_further_on_the_same_way() {
        let subject = wanted("").subject();
        assert!(wanted("ABB").is_after(&subject, "AB") && wanted("AB").is_after(&subject, "AB"));
        assert!(!wanted("A").is_after(&subject, "AB") && !wanted("BAB").is_after(&subject, "AB"));
        assert!(!Wanted { stock: 2, ..wanted("AB") }.is_after(&subject, "AB"));
        assert_eq!((wanted("AB").next("A"), wanted("AB").next("AB"), wanted("AB").next("B")), (Some(1), None, None));
    }

    #[test]
    fn what_cannot_be_played_is_refused() {
        wanted("ABBA").check().unwrap();
        let refused = |wanted: Wanted| wanted.check().unwrap_err().to_string();
        assert!(refused(wanted("ABC")).contains("moves are buyers"));
        assert!(refused(wanted(&"A".repeat(MOST_MOVES + 1))).contains("moves are buyers"));
        assert!(refused(Wanted { buyers: 4, ..wanted("") }).contains("two or three"));
        assert!(refused(Wanted { stock: 0, ..wanted("") }).contains("units"));
        assert!(refused(Wanted { version: Version::V5, ..wanted("") }).contains("v1, v2 and v3 only"));
        assert!(refused(Wanted { variant: Some(Variant::NoRetry), ..wanted("") }).contains("has no variant"));
    }
}
