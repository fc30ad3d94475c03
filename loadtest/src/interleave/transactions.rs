//! Follows the buyers' transactions from step to step, and says what each step touches.
//!
//! A statement of a transaction takes locks. Its changes become visible, and its locks free, in the step that ends the
//! transaction. So that step touches again whatever the transaction has touched.

use super::{
    footprint::{Access, Footprint, Key, Mode, Row},
    keys::Keys,
    wire::{Done, Wire, statement::Statement},
};

/// The transactions of all buyers.
pub(crate) struct Transactions<'a> {
    keys: &'a Keys,
    open: Vec<Open>,
}

/// What a buyer's open transaction has touched.
#[derive(Debug, Clone, Default)]
struct Open {
    /// The number of the transaction on its wire.
    number: u64,
    touched: Vec<Access>,
    /// The locks that it certainly holds.
    locked: Vec<Access>,
    isolated: bool,
    anything: bool,
}

impl<'a> Transactions<'a> {
    /// The transactions of this number of buyers before the first step: none has touched anything.
    pub(crate) fn new(buyers: usize, keys: &'a Keys) -> Transactions<'a> {
        Transactions { keys, open: vec![Open::default(); buyers] }
    }

    /// What the step touches that released the statement of buyer `released`. All buyers have stopped again.
    pub(crate) fn step(&mut self, released: usize, wires: &[Wire]) -> Footprint {
        let mut footprint = Footprint { buyers: vec![released], ..Footprint::default() };
        for (n, (wire, open)) in wires.iter().zip(&mut self.open).enumerate() {
            footprint.anything |= wire.unnamed;
            if n != released && !wire.done.is_empty() {
                footprint.buyers.push(n);
            }
            for done in &wire.done {
                open.ended_statement(n, done, wire, self.keys, &mut footprint);
            }
            // A statement that waits has asked for its locks. One of an earlier step asks for nothing new.
            if let Some(waiting) = wire.running.as_ref().filter(|_| n == released) {
                let accesses = open.accesses(n, waiting, wire, self.keys);
                footprint.add(accesses.map(|accesses| open.visible(accesses, true)));
            }
            // A rollback is no statement of its own: it is part of the step that led to it.
            if !wire.in_transaction || wire.transactions != open.number {
                open.end(false, &mut footprint);
            }
        }
        footprint
    }
}

impl Open {
    /// Adds a statement that the database has finished.
    fn ended_statement(&mut self, n: usize, done: &Done, wire: &Wire, keys: &Keys, footprint: &mut Footprint) {
        let accesses = self.accesses(n, &done.statement, wire, keys);
        self.anything |= accesses.is_none();
        let accesses = accesses.unwrap_or_default();
        footprint.add(Some(self.visible(accesses.clone(), done.in_transaction)));
        footprint.anything |= self.anything;
        self.touched.extend(accesses.iter().cloned());
        self.number = done.transaction;
        if done.in_transaction && done.came.error.is_none() && done.came.rows.is_some_and(|rows| rows > 0) {
            self.locked.extend(accesses);
        }
        if !done.in_transaction {
            self.end(true, footprint);
        }
    }

    /// Without the writes that others do not see before the commit. Other isolation levels than read committed watch them.
    fn visible(&self, mut accesses: Vec<Access>, in_transaction: bool) -> Vec<Access> {
        accesses.retain(|access| access.mode != Mode::Write || !in_transaction || self.isolated);
        accesses
    }

    /// What a statement touches that its transaction has not locked already. Other isolation levels than read committed
    /// read from one snapshot: there, the first statement reads all tables as they are.
    fn accesses(&mut self, n: usize, statement: &Statement, wire: &Wire, keys: &Keys) -> Option<Vec<Access>> {
        let mut accesses = statement.accesses(n, keys)?;
        self.isolated |= wire.isolated;
        if self.isolated {
            if self.touched.is_empty() {
                accesses.push(Access { row: Row { table: None, key: Key::Any }, mode: Mode::Read });
            }
            return Some(accesses);
        }
        let held = |access: &Access| {
            let covers = |lock: &Access| lock.row == access.row && lock.mode.includes(access.mode);
            access.row.key != Key::Any && self.locked.iter().any(covers)
        };
        accesses.retain(|access| !held(access));
        Some(accesses)
    }

    /// The transaction ends: its locks are free, and its changes visible if it was committed.
    fn end(&mut self, committed: bool, footprint: &mut Footprint) {
        let Open { touched, isolated, anything, .. } = std::mem::take(self);
        let visible = |access: &Access| match access.mode {
            Mode::Read => isolated,
            Mode::Write => committed,
            Mode::KeyShare | Mode::Share | Mode::NoKeyUpdate | Mode::Update => true,
        };
        footprint.add(Some(touched.into_iter().filter(visible).collect()));
        footprint.anything |= anything;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interleave::wire::Came;

    const READ: &str = "select stock, sold from sales where id = $1";
    const LOCK: &str = "select stock, sold from sales where id = $1 for update";
    const UPDATE: &str = "update sales set sold = $2 where id = $1";
    const INSERT: &str = "insert into orders (sale_id, buyer_id) values ($1, $2)";

    fn statement(sql: &str) -> Statement {
        Statement::new(sql, vec![Some(2), Some(1)]).unwrap()
    }

    /// A wire whose statement has ended with so many rows, in transaction `transaction`, or in none if that is 0.
    fn done(sql: &str, rows: u64, transaction: u64) -> Wire {
        let came = Came { rows: Some(rows), ..Came::default() };
        let in_transaction = transaction > 0 && sql != "commit";
        let done = Done { statement: statement(sql), came, in_transaction, transaction };
        Wire { done: vec![done], in_transaction, transactions: transaction, ..Wire::default() }
    }

    /// A step of A, while B's wire is idle.
    fn step(transactions: &mut Transactions, wire: Wire) -> Footprint {
        transactions.step(0, &[wire, Wire::default()])
    }

    /// A statement of B outside a transaction, which nothing has touched before.
    fn of_b(sql: &str) -> Footprint {
        Transactions::new(2, &Keys::of_the_shop()).step(1, &[Wire::default(), done(sql, 1, 0)])
    }

    #[test]
    fn a_write_is_seen_from_the_commit_on_and_its_lock_from_the_start() {
        let keys = Keys::of_the_shop();
        let mut of_a = Transactions::new(2, &keys);
        let update = step(&mut of_a, done(UPDATE, 1, 1));
        assert!(!update.conflicts(&of_b(READ)) && update.conflicts(&of_b(UPDATE)) && update.conflicts(&of_b(LOCK)));
        let insert = step(&mut of_a, done(INSERT, 1, 1));
        assert!(
            ![READ, UPDATE, LOCK, INSERT].iter().any(|sql| insert.conflicts(&of_b(sql))),
            "the row is locked already"
        );
        let commit = step(&mut of_a, done("commit", 0, 1));
        assert!(commit.conflicts(&of_b(READ)) && commit.conflicts(&of_b(UPDATE)) && !commit.conflicts(&of_b(INSERT)));
        assert!(
            !step(&mut of_a, done("commit", 0, 2)).conflicts(&of_b(READ)),
            "the next transaction has touched nothing"
        );
    }

    #[test]
    fn a_statement_outside_a_transaction_is_seen_at_once() {
        let update = step(&mut Transactions::new(2, &Keys::of_the_shop()), done(UPDATE, 1, 0));
        assert!(update.conflicts(&of_b(READ)) && !update.conflicts(&of_b(INSERT)));
    }

    #[test]
    fn a_rollback_frees_the_locks_and_shows_no_write() {
        let keys = Keys::of_the_shop();
        let mut of_a = Transactions::new(2, &keys);
        step(&mut of_a, done(INSERT, 1, 1));
        // The select has led to a rollback, and the next transaction may be open already.
        for next in [Wire { in_transaction: false, ..done(READ, 1, 1) }, Wire { transactions: 2, ..done(READ, 1, 1) }] {
            let mut of_a = Transactions { keys: &keys, open: of_a.open.clone() };
            let ends = step(&mut of_a, next);
            assert!(ends.conflicts(&of_b(LOCK)), "the foreign key's lock is free");
            assert!(!ends.conflicts(&of_b("select id from orders where id = $1")) && of_a.open[0].touched.is_empty());
        }
    }

    #[test]
    fn an_update_without_a_row_holds_no_lock() {
        let keys = Keys::of_the_shop();
        let mut of_a = Transactions::new(2, &keys);
        step(&mut of_a, done(UPDATE, 0, 1));
        assert!(step(&mut of_a, done(UPDATE, 1, 1)).conflicts(&of_b(LOCK)));
    }

    #[test]
    fn a_statement_that_waits_asks_for_its_lock_and_ends_in_the_step_of_another() {
        let keys = Keys::of_the_shop();
        let mut both = Transactions::new(2, &keys);
        let waits = Wire { running: Some(statement(UPDATE)), in_transaction: true, transactions: 1, ..Wire::default() };
        let waits = both.step(1, &[Wire::default(), waits]);
        assert!(waits.conflicts(&step(&mut Transactions::new(1, &keys), done(UPDATE, 1, 0))));
        assert!(!waits.conflicts(&step(&mut Transactions::new(1, &keys), done(READ, 1, 0))));
        let ends = both.step(0, &[done("commit", 0, 1), done(UPDATE, 1, 1)]);
        assert_eq!((ends.buyer(), &ends.buyers[..]), (0, &[0, 1][..]));
    }

    #[test]
    fn a_serializable_transaction_is_seen_while_it_is_open() {
        let serializable = |sql| Wire { isolated: true, ..done(sql, 1, 1) };
        let keys = Keys::of_the_shop();
        assert!(step(&mut Transactions::new(2, &keys), serializable(UPDATE)).conflicts(&of_b(READ)));
        let first = step(&mut Transactions::new(2, &keys), serializable(READ));
        assert!(first.conflicts(&of_b(INSERT)), "its snapshot is of all tables");
    }

    #[test]
    fn a_statement_that_is_not_recognised_conflicts_with_all() {
        let unknown = step(&mut Transactions::new(2, &Keys::of_the_shop()), Wire { unnamed: true, ..done(READ, 1, 0) });
        assert!(unknown.conflicts(&of_b(READ)));
        let keys = Keys::of_the_shop();
        let mut of_a = Transactions::new(2, &keys);
        assert!(step(&mut of_a, done("select 1", 1, 1)).conflicts(&of_b(READ)));
        assert!(step(&mut of_a, done("commit", 0, 1)).conflicts(&of_b(READ)), "nor its commit");
    }
}
