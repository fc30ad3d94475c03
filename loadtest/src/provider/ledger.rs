use std::path::Path;

use anyhow::Context;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Mutex;

/// The state of an authorisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum State {
    /// The bank has not decided yet.
    Pending,
    /// The amount is held on the card.
    Authorised,
    /// The card was declined; nothing was held.
    Declined,
    /// The amount was charged.
    Captured,
    /// The capture failed, because the card's bank has changed its mind; the hold was released.
    Refused,
    /// The hold was released.
    Voided,
    /// The charge was refunded.
    Refunded,
}

/// A seeded bug of the provider. The audit has to notice each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mutant {
    /// Charges the amount again on every capture
    CapturesTwice,
    /// Answers that it released a hold, but keeps it
    NeverVoids,
    /// Answers that it charged the amount, but does not record it
    AnswersFirst,
}

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Entry {
    /// The authorisation's reference.
    pub reference: String,
    /// The order that it pays for.
    pub order_id: i64,
    /// The state after this entry.
    pub state: State,
    /// The amount in cents.
    pub amount_cents: i64,
}

/// The entries in a SQLite file. An entry is on disk before any caller learns of it. Entries are only added; the last one of an
/// authorisation is its state.
#[derive(Clone)]
pub struct Ledger {
    pool: SqlitePool,
    /// Serializes read and write, so that the same request sent twice at once has one effect.
    alone: std::sync::Arc<Mutex<()>>,
    mutant: Option<Mutant>,
}

impl Ledger {
    pub(super) async fn open(file: &Path, mutant: Option<Mutant>) -> anyhow::Result<Ledger> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new().connect_with(options).await;
        let pool = pool.with_context(|| format!("the ledger {}", file.display()))?;
        let table = "create table if not exists entries (
            id integer primary key,
            reference text not null,
            order_id integer not null,
            state text not null,
            amount_cents integer not null,
            refuses_capture bool not null
        )";
        sqlx::query(table).execute(&pool).await?;
        sqlx::query("create index if not exists by_reference on entries (reference)").execute(&pool).await?;
        Ok(Ledger { pool, alone: Default::default(), mutant })
    }

    /// All entries, oldest first.
    pub(super) async fn entries(&self) -> sqlx::Result<Vec<Entry>> {
        let query = "select reference, order_id, state, amount_cents from entries order by id";
        sqlx::query_as(query).fetch_all(&self.pool).await
    }

    /// The state of an authorisation; `None` if the reference is unknown.
    pub(super) async fn standing(&self, reference: &str) -> sqlx::Result<Option<State>> {
        Ok(self.last(reference).await?.map(|(entry, _)| entry.state))
    }

    /// Records an authorisation, unless the reference already exists. Returns its state.
    pub(super) async fn authorise(
        &self,
        reference: &str,
        order_id: i64,
        amount_cents: i64,
        state: State,
        refuses_capture: bool,
    ) -> sqlx::Result<State> {
        let _alone = self.alone.lock().await;
        if let Some((known, _)) = self.last(reference).await? {
            return Ok(known.state);
        }
        let entry = Entry { reference: reference.into(), order_id, state, amount_cents };
        self.add(&entry, refuses_capture).await?;
        Ok(state)
    }

    /// Captures, voids or refunds, if the state allows it. Returns the state afterwards. Voiding an unknown reference records it
    /// as voided, so that a delayed request to authorise it is refused.
    pub(super) async fn change(&self, reference: &str, wanted: State) -> sqlx::Result<State> {
        let _alone = self.alone.lock().await;
        let none = Entry { reference: reference.into(), order_id: 0, state: State::Voided, amount_cents: 0 };
        let (mut entry, refuses_capture) = match self.last(reference).await? {
            Some(known) => known,
            None if wanted == State::Voided => {
                self.add(&none, false).await?;
                return Ok(State::Voided);
            }
            None => return Ok(State::Declined),
        };
        let becomes = match (entry.state, wanted) {
            (State::Authorised, State::Captured) if refuses_capture => State::Refused,
            (State::Authorised, State::Captured)
            | (State::Pending | State::Authorised, State::Voided)
            | (State::Captured, State::Refunded)
            | (State::Pending, State::Authorised | State::Declined) => wanted,
            (State::Captured, State::Captured) if self.mutant == Some(Mutant::CapturesTwice) => wanted,
            (stands, _) => return Ok(stands),
        };
        entry.state = becomes;
        let lies = matches!(
            (self.mutant, becomes),
            (Some(Mutant::NeverVoids), State::Voided) | (Some(Mutant::AnswersFirst), State::Captured)
        );
        if !lies {
            self.add(&entry, refuses_capture).await?;
        }
        Ok(becomes)
    }

    /// Decides authorisations that an earlier process left pending.
    pub(super) async fn decide_what_is_pending(&self) -> sqlx::Result<()> {
        let query = "select reference from entries group by reference having count(*) = 1 and min(state) = 'pending'";
        for reference in sqlx::query_scalar::<_, String>(query).fetch_all(&self.pool).await? {
            self.change(&reference, State::Authorised).await?;
        }
        Ok(())
    }

    async fn last(&self, reference: &str) -> sqlx::Result<Option<(Entry, bool)>> {
        #[derive(sqlx::FromRow)]
        struct Row {
            #[sqlx(flatten)]
            entry: Entry,
            refuses_capture: bool,
        }
        let query = "select * from entries where reference = $1 order by id desc limit 1";
        let row: Option<Row> = sqlx::query_as(query).bind(reference).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| (row.entry, row.refuses_capture)))
    }

    async fn add(&self, entry: &Entry, refuses_capture: bool) -> sqlx::Result<()> {
        let insert = "insert into entries (reference, order_id, state, amount_cents, refuses_capture)
                      values ($1, $2, $3, $4, $5)";
        let insert = sqlx::query(insert).bind(&entry.reference).bind(entry.order_id).bind(entry.state);
        insert.bind(entry.amount_cents).bind(refuses_capture).execute(&self.pool).await.map(drop)
    }
}

impl State {
    /// The answer for an authorisation.
    pub(super) fn status(self) -> StatusCode {
        match self {
            State::Pending => StatusCode::ACCEPTED,
            State::Authorised | State::Captured => StatusCode::CREATED,
            State::Declined | State::Refused | State::Voided | State::Refunded => StatusCode::PAYMENT_REQUIRED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(mutant: Option<Mutant>) -> (tempfile::TempDir, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), mutant).await.unwrap();
        (folder, ledger)
    }

    async fn states(ledger: &Ledger) -> Vec<State> {
        ledger.entries().await.unwrap().iter().map(|entry| entry.state).collect()
    }

    #[tokio::test]
    async fn a_repeated_request_has_one_effect() {
        use State::*;
        let (_folder, ledger) = open(None).await;
        for _ in 0..2 {
            assert_eq!(ledger.authorise("a", 1, 100, Authorised, false).await.unwrap(), Authorised);
        }
        for wanted in [Captured, Captured, Refunded, Refunded] {
            assert_eq!(ledger.change("a", wanted).await.unwrap(), wanted);
        }
        assert_eq!(ledger.change("a", Captured).await.unwrap(), Refunded, "too late");
        assert_eq!(states(&ledger).await, [Authorised, Captured, Refunded]);
    }

    #[tokio::test]
    async fn an_impossible_change_is_refused_with_the_current_state() {
        use State::*;
        let (_folder, ledger) = open(None).await;
        assert_eq!(ledger.change("unknown", Captured).await.unwrap(), Declined);
        assert_eq!(ledger.change("late", Voided).await.unwrap(), Voided);
        assert_eq!(
            ledger.authorise("late", 1, 100, Authorised, false).await.unwrap(),
            Voided,
            "the request to authorise comes too late"
        );
        ledger.authorise("bank", 2, 100, Authorised, true).await.unwrap();
        for _ in 0..2 {
            assert_eq!(ledger.change("bank", Captured).await.unwrap(), Refused);
        }
        ledger.authorise("slow", 3, 100, Pending, false).await.unwrap();
        assert_eq!(ledger.change("slow", Captured).await.unwrap(), Pending);
        assert_eq!(states(&ledger).await, [Voided, Authorised, Refused, Pending]);
    }

    #[tokio::test]
    async fn each_mutant_has_its_bug() {
        use State::*;
        for (mutant, expected) in [
            (Mutant::CapturesTwice, &[Authorised, Captured, Captured, Authorised, Voided][..]),
            (Mutant::NeverVoids, &[Authorised, Captured, Authorised]),
            (Mutant::AnswersFirst, &[Authorised, Authorised, Voided]),
        ] {
            let (_folder, ledger) = open(Some(mutant)).await;
            ledger.authorise("a", 1, 100, Authorised, false).await.unwrap();
            for _ in 0..2 {
                assert_eq!(ledger.change("a", Captured).await.unwrap(), Captured);
            }
            ledger.authorise("b", 2, 100, Authorised, false).await.unwrap();
            assert_eq!(ledger.change("b", Voided).await.unwrap(), Voided);
            assert_eq!(states(&ledger).await, expected, "{mutant:?}");
        }
    }
}
