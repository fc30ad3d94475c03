//! The state of each buyer's wire and of its buyer. The proxies write it, and the scheduler watches it, so no task has to sleep
//! and poll.

mod access;
mod frames;
pub(super) mod proxy;
pub mod statement;

use tokio::sync::watch;

use self::statement::Statement;
use crate::verdict::history::Answer;

/// The wires of all buyers, A's first.
pub(crate) type Wires = watch::Sender<Vec<Wire>>;

/// The statements that are held until they are released.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hold {
    /// None: no interleaving is being played.
    #[default]
    Nothing,
    /// All statements of a purchase except commits, which pass at once. For a schedule without commits.
    AllButCommits,
    /// All statements of a purchase.
    All,
}

/// The wire of one buyer: its proxied database connection.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Which statements are held on this wire.
    pub(crate) hold: Hold,
    /// The number of this wire's connections so far; reports of earlier connections are ignored.
    pub(crate) connection: u64,
    /// The PostgreSQL process id of the session.
    pub(crate) pid: Option<i32>,
    /// The statement that is held at the moment.
    pub(crate) held: Option<Statement>,
    /// The statement that the database is executing.
    pub(crate) running: Option<Statement>,
    /// Finished statements that the scheduler has not yet seen.
    pub(crate) done: Vec<Done>,
    /// The number of requests that the database has not answered.
    pub(crate) asked: usize,
    /// Whether a transaction is open.
    pub(crate) in_transaction: bool,
    /// The number of transactions so far.
    pub(crate) transactions: u64,
    /// Whether the transaction has an isolation level of its own, and not the default, read committed.
    pub(crate) isolated: bool,
    /// Whether the instance has sent a statement that is never held, and that could touch rows.
    pub(crate) unnamed: bool,
    /// Whether the connection was lost while an interleaving was being played.
    pub(crate) lost: bool,
    /// The buyer's answer.
    pub(crate) answer: Option<Answer>,
}

/// The SQLSTATE code of a statement that was ended because of a deadlock.
pub(crate) const DEADLOCK: &str = "40P01";

/// A finished statement.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) statement: Statement,
    pub(crate) came: Came,
    /// Whether a transaction is open after it.
    pub(crate) in_transaction: bool,
    /// The number of transactions on the wire so far, with this one.
    pub(crate) transaction: u64,
}

impl Done {
    /// Whether the database has ended it because of a deadlock.
    pub(crate) fn is_deadlock(&self) -> bool {
        self.came.error.as_deref() == Some(DEADLOCK)
    }
}

/// The database's response to a statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Came {
    /// The number of rows.
    pub(crate) rows: Option<u64>,
    /// The columns of the first row.
    pub(crate) columns: Vec<Option<i64>>,
    /// The SQLSTATE code of an error.
    pub(crate) error: Option<String>,
}

impl Wire {
    /// Whether this statement has to be held.
    pub(crate) fn holds(&self, statement: &Statement) -> bool {
        match self.hold {
            Hold::Nothing => false,
            Hold::AllButCommits => statement.word != "commit",
            Hold::All => true,
        }
    }

    /// Releases the held statement.
    pub(crate) fn let_go(&mut self) {
        if let Some(statement) = self.held.take() {
            self.pass(Some(statement));
        }
    }

    /// Records a request to the database.
    pub(crate) fn pass(&mut self, statement: Option<Statement>) {
        self.asked += 1;
        if statement.is_some() {
            self.running = statement;
        }
    }

    /// Records a statement that is never held.
    pub(crate) fn unheld(&mut self, sql: &str) {
        let sql = sql.to_lowercase();
        match sql.split_whitespace().next().unwrap_or_default() {
            "begin" | "start" => self.isolated = sql.contains("isolation"),
            "set" => self.isolated |= sql.contains("isolation"),
            "rollback" if sql.split_whitespace().count() == 1 => {}
            _ => self.unnamed = true,
        }
    }

    /// Records that the database is ready for the next request.
    pub(crate) fn ready(&mut self, came: Came, in_transaction: bool) {
        self.asked = self.asked.saturating_sub(1);
        self.transactions += u64::from(in_transaction && !self.in_transaction);
        self.in_transaction = in_transaction;
        if let Some(statement) = self.running.take().filter(|_| self.hold != Hold::Nothing) {
            self.done.push(Done { statement, came, in_transaction, transaction: self.transactions });
        }
    }

    /// Records that the connection is closed.
    pub(crate) fn gone(&mut self) {
        let lost = self.hold != Hold::Nothing;
        let (hold, connection, answer) = (self.hold, self.connection, self.answer.take());
        *self = Wire { hold, connection, lost, answer, ..Wire::default() };
    }

    /// Whether the buyer has its answer and the database has nothing left to do for it.
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
    fn transactions_are_counted_and_their_isolation_is_known() {
        let mut wire = Wire::default();
        wire.unheld("BEGIN");
        [true, true, false, true].into_iter().for_each(|open| wire.ready(Came::default(), open));
        assert_eq!((wire.transactions, wire.isolated, wire.unnamed), (2, false, false));
        wire.unheld("begin isolation level serializable");
        assert!(wire.isolated && !wire.unnamed);
        wire.unheld("begin");
        wire.unheld("set lock_timeout = 1");
        assert!(!wire.isolated);
        wire.unheld("set transaction isolation level repeatable read");
        wire.unheld("ROLLBACK");
        assert!(wire.isolated && !wire.unnamed);
        for sql in ["rollback to savepoint x", "delete from orders", "with x as (select 1) select 1"] {
            let mut wire = Wire::default();
            wire.unheld(sql);
            assert!(wire.unnamed, "{sql}");
        }
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
