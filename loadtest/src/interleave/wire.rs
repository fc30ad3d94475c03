//! What is known of each buyer's wire, and of the buyer at its end: one value that all of them write and the scheduler
//! watches. It wakes when anything changes, so nobody has to sleep.

mod frames;
pub(super) mod proxy;
pub mod statement;

use tokio::sync::watch;

use self::statement::Statement;
use crate::verdict::history::Answer;

/// All wires, A's first.
pub(crate) type Wires = watch::Sender<Vec<Wire>>;

/// Which statements are held until they are let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hold {
    /// None: nothing is being played.
    #[default]
    Nothing,
    /// Those of the purchase but the commit, which follows by itself: for a schedule that names none.
    AllButCommits,
    /// Those of the purchase.
    All,
}

/// A buyer's wire.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// What is held here.
    pub(crate) hold: Hold,
    /// Counts the connections; what an older one says does not count any more.
    pub(crate) connection: u64,
    /// The database's process at the other end.
    pub(crate) pid: Option<i32>,
    /// A statement that is kept back.
    pub(crate) held: Option<Statement>,
    /// A statement that is with the database.
    pub(crate) running: Option<Statement>,
    /// Statements that have come back, and nobody has looked at yet.
    pub(crate) done: Vec<Done>,
    /// What the database was asked and has not answered.
    pub(crate) asked: usize,
    /// Whether a transaction is open.
    pub(crate) in_transaction: bool,
    /// The connection went while something was being played.
    pub(crate) lost: bool,
    /// What the buyer was told.
    pub(crate) answer: Option<Answer>,
}

/// A statement that has come back.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) statement: Statement,
    pub(crate) came: Came,
}

/// What the database said to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Came {
    /// Rows touched.
    pub(crate) rows: Option<u64>,
    /// The columns of the first row.
    pub(crate) columns: Vec<Option<i64>>,
    /// The error's code.
    pub(crate) error: Option<String>,
}

impl Wire {
    /// Whether this one is to be kept back.
    pub(crate) fn holds(&self, statement: &Statement) -> bool {
        match self.hold {
            Hold::Nothing => false,
            Hold::AllButCommits => statement.word != "commit",
            Hold::All => true,
        }
    }

    /// Lets the held statement go.
    pub(crate) fn let_go(&mut self) {
        if let Some(statement) = self.held.take() {
            self.pass(Some(statement));
        }
    }

    /// Something goes to the database, to be answered.
    pub(crate) fn pass(&mut self, statement: Option<Statement>) {
        self.asked += 1;
        if statement.is_some() {
            self.running = statement;
        }
    }

    /// The database is ready for the next.
    pub(crate) fn ready(&mut self, came: Came, in_transaction: bool) {
        self.asked = self.asked.saturating_sub(1);
        self.in_transaction = in_transaction;
        if let Some(statement) = self.running.take().filter(|_| self.hold != Hold::Nothing) {
            self.done.push(Done { statement, came });
        }
    }

    /// The connection is gone.
    pub(crate) fn gone(&mut self) {
        let lost = self.hold != Hold::Nothing;
        let (hold, connection, answer) = (self.hold, self.connection, self.answer.take());
        *self = Wire { hold, connection, lost, answer, ..Wire::default() };
    }

    /// The buyer knows, and the database has nothing more to do for it.
    pub(crate) fn is_finished(&self) -> bool {
        self.answer.is_some() && self.asked == 0 && !self.in_transaction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(sql: &str) -> Statement {
        Statement::new(sql, Vec::new()).unwrap()
    }

    #[test]
    fn a_statement_is_held_let_go_and_done() {
        let mut wire = Wire { hold: Hold::AllButCommits, ..Wire::default() };
        assert!(wire.holds(&statement("select 1")) && !wire.holds(&statement("commit")));
        wire.held = Some(statement("select 1"));
        wire.let_go();
        assert!(wire.held.is_none() && wire.running.is_some() && wire.asked == 1);
        wire.ready(Came::default(), true);
        assert!(wire.running.is_none() && wire.done.len() == 1 && wire.asked == 0 && wire.in_transaction);
        wire.let_go();
        assert_eq!(wire.asked, 0, "nothing was held");
        wire.hold = Hold::Nothing;
        wire.pass(Some(statement("select 1")));
        wire.ready(Came::default(), false);
        assert_eq!(wire.done.len(), 1, "nothing is being played");
    }

    #[test]
    fn an_answer_alone_is_not_the_end() {
        let mut wire = Wire { answer: Some(Answer::Unknown), in_transaction: true, ..Wire::default() };
        assert!(!wire.is_finished(), "the rollback of a dropped transaction comes after the answer");
        wire.pass(None);
        assert!(!wire.is_finished());
        wire.ready(Came::default(), false);
        assert!(wire.is_finished());
    }

    #[test]
    fn a_connection_is_lost_only_while_something_is_played() {
        for (hold, lost) in [(Hold::Nothing, false), (Hold::All, true)] {
            let mut wire = Wire { hold, asked: 3, pid: Some(1), connection: 2, ..Wire::default() };
            wire.gone();
            assert_eq!((wire.lost, wire.asked, wire.pid, wire.connection), (lost, 0, None, 2));
        }
    }
}
