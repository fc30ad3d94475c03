//! What a step touches. Two steps *conflict* if their order can matter; if they do not, swapping them changes nothing.
//!
//! The relation follows PostgreSQL: a read sees what is committed, so it conflicts with the commit of a write and not with the
//! write itself. Row locks conflict as in the [table of its manual], when they are asked for and when they are released.
//!
//! [table of its manual]: https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-ROWS

/// The rows of a step and the buyers whose statements it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// The buyer whose statement was released, and then those whose statements waited and ended.
    pub(crate) buyers: Vec<usize>,
    /// The rows, each with how it is touched.
    pub(crate) accesses: Vec<Access>,
    /// Whether a statement was not recognised. Then the step conflicts with all steps.
    pub(crate) anything: bool,
}

/// One row and how it is touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) row: Row,
    pub(crate) mode: Mode,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The table; `None` for any table.
    pub(crate) table: Option<String>,
    pub(crate) key: Key,
}

/// Which row of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// Any row.
    Any,
    /// The row with this primary key.
    Id(i64),
    /// A row that this buyer inserts.
    New(usize),
}

/// How a row is touched: read, locked (the modes are PostgreSQL's), or changed for others to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
    /// Others see a change of the row from now on.
    Write,
}

impl Footprint {
    /// The buyer whose statement was released.
    pub(crate) fn buyer(&self) -> usize {
        self.buyers.first().copied().unwrap_or_default()
    }

    /// Whether the order of these two steps can matter: both belong to one buyer, or they touch a row in ways that conflict.
    pub fn conflicts(&self, other: &Footprint) -> bool {
        let buyer = self.buyers.iter().any(|buyer| other.buyers.contains(buyer));
        let row = || self.accesses.iter().any(|one| other.accesses.iter().any(|two| one.conflicts(two)));
        self.anything || other.anything || buyer || row()
    }

    /// Adds accesses; `None` stands for anything.
    pub(crate) fn add(&mut self, accesses: Option<Vec<Access>>) {
        self.anything |= accesses.is_none();
        self.accesses.extend(accesses.unwrap_or_default());
    }
}

impl Access {
    fn conflicts(&self, other: &Access) -> bool {
        self.mode.conflicts(other.mode) && self.row.may_be(&other.row)
    }
}

impl Row {
    /// Whether the two can be the same row.
    pub(crate) fn may_be(&self, other: &Row) -> bool {
        let tables = self.table.is_none() || other.table.is_none() || self.table == other.table;
        tables
            && match (self.key, other.key) {
                (Key::Id(one), Key::Id(other)) => one == other,
                (Key::New(one), Key::New(other)) => one == other,
                // Another buyer can find a new row by any key once it is committed.
                (Key::Any | Key::Id(_) | Key::New(_), _) => true,
            }
    }
}

impl Mode {
    /// Whether the order of these two matters on one row.
    fn conflicts(self, other: Mode) -> bool {
        use Mode::{KeyShare, NoKeyUpdate, Read, Share, Update, Write};
        match self {
            Read => other == Write,
            Write => matches!(other, Read | Write),
            KeyShare => other == Update,
            Share => matches!(other, NoKeyUpdate | Update),
            NoKeyUpdate => matches!(other, Share | NoKeyUpdate | Update),
            Update => matches!(other, KeyShare | Share | NoKeyUpdate | Update),
        }
    }

    /// Whether a transaction that holds this lock has `other`, too.
    pub(crate) fn includes(self, other: Mode) -> bool {
        let strength =
            |mode| [Mode::KeyShare, Mode::Share, Mode::NoKeyUpdate, Mode::Update].iter().position(|m| *m == mode);
        strength(other).is_some() && strength(self) >= strength(other)
    }
}

#[cfg(test)]
mod tests {
    use super::{Mode::*, *};

    const ALL: [Mode; 6] = [Read, KeyShare, Share, NoKeyUpdate, Update, Write];

    fn on(key: Key, mode: Mode) -> Access {
        Access { row: Row { table: Some("sales".into()), key }, mode }
    }

    fn step(buyer: usize, accesses: Vec<Access>) -> Footprint {
        Footprint { buyers: vec![buyer], accesses, anything: false }
    }

    #[test]
    fn modes_conflict_as_in_the_manual_and_in_both_directions() {
        let conflicting: Vec<_> = ALL
            .iter()
            .enumerate()
            .flat_map(|(n, one)| ALL[n..].iter().map(move |two| (*one, *two)))
            .filter(|(one, two)| one.conflicts(*two))
            .collect();
        let expected = [
            (Read, Write),
            (KeyShare, Update),
            (Share, NoKeyUpdate),
            (Share, Update),
            (NoKeyUpdate, NoKeyUpdate),
            (NoKeyUpdate, Update),
            (Update, Update),
            (Write, Write),
        ];
        assert_eq!(conflicting, expected);
        for (one, two) in ALL.iter().flat_map(|one| ALL.iter().map(move |two| (*one, *two))) {
            assert_eq!(one.conflicts(two), two.conflicts(one), "{one:?} {two:?}");
        }
    }

    #[test]
    fn a_lock_includes_the_weaker_ones() {
        assert!(Update.includes(KeyShare) && NoKeyUpdate.includes(NoKeyUpdate));
        assert!(!KeyShare.includes(Update));
        for mode in ALL {
            assert!(!mode.includes(Read) && !mode.includes(Write), "{mode:?} is no read and no write");
            assert!(!Read.includes(mode) && !Write.includes(mode), "{mode:?}");
        }
    }

    #[test]
    fn only_the_same_row_conflicts() {
        let conflict = |one, two| step(0, vec![on(one, Read)]).conflicts(&step(1, vec![on(two, Write)]));
        assert!(conflict(Key::Id(2), Key::Id(2)) && !conflict(Key::Id(2), Key::Id(3)));
        assert!(conflict(Key::Any, Key::Id(3)) && conflict(Key::Id(3), Key::New(1)) && conflict(Key::Any, Key::New(1)));
        assert!(!conflict(Key::New(0), Key::New(1)), "each buyer inserts a row of its own");
        let elsewhere = Access { row: Row { table: Some("orders".into()), key: Key::Any }, mode: Write };
        assert!(!step(0, vec![on(Key::Any, Read)]).conflicts(&step(1, vec![elsewhere.clone()])));
        let any_table = Access { row: Row { table: None, key: Key::Any }, mode: Read };
        assert!(step(0, vec![any_table]).conflicts(&step(1, vec![elsewhere])));
    }

    #[test]
    fn steps_of_one_buyer_and_unknown_steps_conflict() {
        assert!(step(0, Vec::new()).conflicts(&step(0, Vec::new())));
        let ends_another = Footprint { buyers: vec![0, 1], ..Footprint::default() };
        assert!(ends_another.conflicts(&step(1, Vec::new())), "its commit ended the wait of the other");
        assert!(!step(0, Vec::new()).conflicts(&step(1, Vec::new())));
        let mut unknown = step(0, Vec::new());
        unknown.add(None);
        assert!(unknown.conflicts(&step(1, Vec::new())) && step(1, Vec::new()).conflicts(&unknown));
    }
}
