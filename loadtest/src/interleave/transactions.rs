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
