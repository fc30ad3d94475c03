//! What the second tab shows of a position: the buyers in their code, the row, the locks as PostgreSQL reports them, and the steps.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::code;
use crate::{
    interleave::{
        explain::explain,
        play::{Played, Scene},
        scheduler::{Scheduler, Subject},
        settle::Place,
        step::{Mark, Row, Step, letter},
    },
    render::picture::{notice, says},
    version::title,
};

/// The moves of a play so far.
#[derive(Default)]
pub(super) struct Seen {
    /// The buyers in their order: `ABBA`.
    pub(super) moves: String,
    /// Their statements: `A select`.
    pub(super) steps: Vec<String>,
    /// Why the last wish could not be played.
    pub(super) note: Option<String>,
}

impl Seen {
    pub(super) fn add(&mut self, buyer: usize, word: &str) {
        self.moves += &letter(buyer);
        self.steps.push(format!("{} {word}", letter(buyer)));
        self.note = None;
    }
}

pub(super) fn subject(subject: &Subject) -> Value {
    let Subject { version, variant, buyers, stock } = subject;
    let title = title(*version, *variant);
    json!({ "version": version, "variant": variant, "buyers": buyers, "stock": stock, "title": title })
}

/// A position in which a buyer can move.
pub(super) async fn open(scheduler: &Scheduler, seen: &Seen, scene: &Scene<'_>) -> anyhow::Result<Value> {
    let mut state = common(&scheduler.subject, seen, scheduler.row().await?, scene.steps);
    let source = code::of(scheduler.subject.version, scheduler.subject.variant);
    let sql: Vec<Option<String>> = {
        let wires = scheduler.wires.borrow();
        let now = |wire: &crate::interleave::wire::Wire| {
            wire.held.as_ref().or(wire.running.as_ref()).map(|now| now.sql().into())
        };
        wires.iter().map(now).collect()
    };
    let buyer = |(n, place): (usize, &Place)| {
        let (is, word, told, waits_for) = match place {
            Place::Held(word) => ("held", Some(*word), None, Vec::new()),
            Place::Waits(word, by) => ("waits", Some(*word), None, by.iter().copied().map(letter).collect()),
            Place::Finished(answer) => ("finished", None, Some(answer.kind().to_owned()), Vec::new()),
        };
        let line = sql[n].as_ref().filter(|_| word.is_some()).and_then(|sql| code::line_of(source, sql));
        let sql = sql[n].as_ref().filter(|_| word.is_some());
        json!({ "name": letter(n), "is": is, "word": word, "sql": sql, "line": line, "waits_for": waits_for, "told": told })
    };
    state["buyers"] = scene.places.iter().enumerate().map(buyer).collect();
    state["locks"] = locks(scheduler).await?;
    Ok(state)
}

/// The end of an interleaving.
pub(super) fn finished(subject: &Subject, seen: &Seen, played: &Played) -> Value {
    let row = played.steps.last().map(|step| step.row).unwrap_or_default();
    let mut state = common(subject, seen, row, &played.steps);
    let buyer = |(name, told): (&String, &String)| json!({ "name": name, "is": "finished", "told": told });
    state["buyers"] = played.told.iter().map(buyer).collect();
    state["locks"] = json!([]);
    state["finished"] = json!({
        "outcome": played.outcome(),
        "oversold": played.audit.oversold,
        "undersold": played.audit.undersold,
        "deadlocks": played.count(Mark::Deadlock),
        "anomaly": anomaly(played),
        "explains": explain(&played.steps),
        "schedule": played.order.join(" · "),
    });
    state
}

fn common(of: &Subject, seen: &Seen, row: Row, steps: &[Step]) -> Value {
    json!({
        "phase": "open",
        "subject": subject(of),
        "moves": seen.moves,
        "note": seen.note,
        "code": code::of(of.version, of.variant),
        "row": row,
        "steps": steps.iter().map(shown).collect::<Vec<_>>(),
    })
}

fn shown(step: &Step) -> Value {
    json!({ "buyer": step.buyer, "says": says(step), "notice": notice(step), "mark": step.mark, "told": step.told, "row": step.row })
}

/// The anomaly's name in textbooks.
fn anomaly(played: &Played) -> &'static str {
    match () {
        () if played.count(Mark::LostUpdate) > 0 => "lost update",
        () if played.count(Mark::Deadlock) > 0 => "deadlock",
        () if played.count(Mark::StaleRead) == 0 => "no anomaly",
        () if played.audit.undersold > 0 => "stale read, noticed, and the buyer is refused",
        () => "stale read, noticed before it did harm",
    }
}

/// The locks of the buyers' sessions, as PostgreSQL reports them. A row's lock is in the row itself: who waits for it waits for the
/// other transaction's id.
async fn locks(scheduler: &Scheduler) -> anyhow::Result<Value> {
    let pids: Vec<i32> = scheduler.pids().into_iter().map(Option::unwrap_or_default).collect();
    let these: Vec<_> = pids.iter().map(i32::to_string).collect();
    let select = format!(
        "select l.pid, l.locktype, coalesce(c.relname::text, ''), l.mode, l.granted
         from pg_locks l left join pg_class c on c.oid = l.relation
         where l.pid in ({}) and l.locktype in ('relation', 'tuple', 'transactionid')
           and coalesce(c.relkind::text, 'r') = 'r' and coalesce(c.relname::text, '') not like 'pg\\_%'
         order by l.pid, l.granted desc, 3, l.locktype, l.mode",
        these.join(", ")
    );
    let locks: Vec<(i32, String, String, String, bool)> =
        sqlx::query_as(AssertSqlSafe(select)).fetch_all(&scheduler.pool).await?;
    let shown = |(pid, kind, table, mode, granted): (i32, String, String, String, bool)| {
        let buyer = pids.iter().position(|one| *one == pid).map(letter);
        json!({ "buyer": buyer, "kind": kind, "table": table, "mode": mode, "granted": granted })
    };
    Ok(locks.into_iter().map(shown).collect())
}
