//! Plays one interleaving, from the clicks of all buyers to the audit.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::timeout};

use super::{
    footprint::Footprint,
    queue::{OutOfTurn, is_overtaken, is_pair},
    scheduler::{SALE, Scheduler},
    settle::{Place, Still},
    step::{Event, Mark, Row, Step, letter, mark},
    transactions::Transactions,
    wire::{Done, Hold, Wire},
};
use crate::{
    buyer::{click::buy, client::Connection},
    verdict::{
        audit::{Audit, audit},
        history::{Answer, Told},
        ledger::Ledger,
    },
};

/// The most statements of one interleaving. A longer one is cut off and counted as such.
pub const MOST_STEPS: usize = 100;

/// The outcome of one interleaving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Played {
    /// The released statements in their order, for example `A select`.
    pub order: Vec<String>,
    /// The steps with their results.
    pub steps: Vec<Step>,
    /// Each buyer's answer.
    pub told: BTreeMap<String, String>,
    /// The audit of the answers and the database.
    pub audit: Audit,
    /// Whether it took too many steps. From that point on, no statement was held.
    #[serde(default)]
    pub cut_off: bool,
    /// What each of the released statements touched. A file does not have it.
    #[serde(skip)]
    pub footprints: Vec<Footprint>,
}

/// The state when all buyers have stopped.
pub struct Scene<'a> {
    /// Where each buyer has stopped.
    pub places: &'a [Place],
    /// The steps so far.
    pub steps: &'a [Step],
    /// What each of the statements touched that were released so far.
    pub footprints: &'a [Footprint],
}

impl Played {
    /// The number of steps with this mark.
    pub fn count(&self, mark: Mark) -> usize {
        self.steps.iter().filter(|step| step.mark == Some(mark)).count()
    }

    /// The number of statements that waited for a lock.
    pub fn blocked(&self) -> usize {
        self.steps.iter().filter(|step| step.event == Event::Waits).count()
    }
}

/// An interleaving that is being played.
struct Play<'a> {
    scheduler: &'a Scheduler,
    before: Row,
    order: Vec<String>,
    steps: Vec<Step>,
    waiting: Vec<bool>,
    transactions: Transactions<'a>,
    footprints: Vec<Footprint>,
}

impl Scheduler {
    /// Plays one interleaving. Whenever all buyers have stopped, `choose` picks the buyer whose held statement is released next.
    ///
    /// # Errors
    /// `choose` fails, something is [`OutOfTurn`], a server does not answer, or a connection is lost. The scheduler can still play
    /// other interleavings.
    pub async fn play(
        &self,
        hold: Hold,
        choose: impl AsyncFnMut(Scene<'_>) -> anyhow::Result<usize>,
    ) -> anyhow::Result<Played> {
        self.put_back(self.subject.stock).await?;
        self.begin(hold);
        let _buying = self.click().await?;
        let played = self.turns(choose).await;
        self.run_out().await?;
        played
    }

    async fn turns(&self, mut choose: impl AsyncFnMut(Scene<'_>) -> anyhow::Result<usize>) -> anyhow::Result<Played> {
        let before = self.row().await?;
        let (order, steps, waiting) = (Vec::new(), Vec::new(), vec![false; self.subject.buyers]);
        let transactions = Transactions::new(self.subject.buyers, &self.keys);
        let mut play = Play { scheduler: self, before, order, steps, waiting, transactions, footprints: Vec::new() };
        let (mut released, mut cut_off, mut places) = (None, false, Vec::new());
        let answers: Vec<Answer> = loop {
            let still = self.settle().await?;
            ensure!(!is_overtaken(&places, &still.places), OutOfTurn::Overtaken);
            let ended = released.is_some_and(|n: usize| self.wires.borrow()[n].done.iter().any(Done::is_deadlock));
            ensure!(!(ended && is_pair(&places)), OutOfTurn::LastOfDeadlock);
            let is_unseen = self.ends_a_deadlock() && still.circle.is_empty();
            ensure!(!(is_unseen && is_pair(&places)), OutOfTurn::Unseen);
            let answers: Vec<_> = still.places.iter().filter_map(Place::answer).collect();
            play.note(released, &still).await?;
            if answers.len() == self.subject.buyers {
                break answers;
            }
            if play.order.len() == MOST_STEPS {
                cut_off = true;
                break self.run_out().await?;
            }
            let Play { steps, footprints, .. } = &play;
            let next = choose(Scene { places: &still.places, steps, footprints }).await?;
            if let Place::Held(word) = still.places[next] {
                play.order.push(format!("{} {word}", letter(next)));
            }
            self.wires.send_modify(|wires| wires[next].let_go());
            (released, places) = (Some(next), still.places);
        };
        let Play { order, steps, footprints, .. } = play;
        let played = self.conclude(order, steps, &answers, cut_off).await?;
        Ok(Played { footprints, ..played })
    }

    /// Whether the database has ended a statement because of a deadlock since the last step.
    fn ends_a_deadlock(&self) -> bool {
        self.wires.borrow().iter().flat_map(|wire| &wire.done).any(Done::is_deadlock)
    }

    /// Starts to hold statements, and forgets all earlier results.
    fn begin(&self, hold: Hold) {
        self.wires.send_modify(|wires| {
            for wire in wires {
                (wire.hold, wire.lost, wire.answer, wire.unnamed) = (hold, false, None, false);
                wire.done.clear();
            }
        });
    }

    /// Stops holding statements, and waits until all buyers have their answers. Returns the answers.
    async fn run_out(&self) -> anyhow::Result<Vec<Answer>> {
        self.wires.send_modify(|wires| {
            for wire in wires {
                wire.hold = Hold::Nothing;
                wire.let_go();
            }
        });
        let mut wires = self.wires.subscribe();
        let all_know = wires.wait_for(|wires| wires.iter().all(Wire::is_finished));
        let wires = timeout(Duration::from_secs(90), all_know).await.context("a buyer got no answer within 90 s")??;
        Ok(wires.iter().filter_map(|wire| wire.answer.clone()).collect())
    }

    /// All buyers click, each at its own instance.
    async fn click(&self) -> anyhow::Result<JoinSet<()>> {
        let mut buying = JoinSet::new();
        for (n, shop) in self.shops.iter().enumerate() {
            let mut connection = Connection::open(shop.address).await?;
            let (link, wires) = (Arc::clone(&self.link), self.wires.clone());
            buying.spawn(async move {
                let (answer, _) = buy(&mut connection, &link, n as i64 + 1).await;
                wires.send_modify(|wires| wires[n].answer = Some(answer));
            });
        }
        Ok(buying)
    }

    async fn conclude(
        &self,
        order: Vec<String>,
        steps: Vec<Step>,
        answers: &[Answer],
        cut_off: bool,
    ) -> anyhow::Result<Played> {
        let history: Vec<_> = answers
            .iter()
            .enumerate()
            .map(|(n, answer)| Told {
                buyer_id: n as i64 + 1,
                sale_id: SALE,
                wanted: Duration::ZERO,
                sent: Duration::ZERO,
                answered: Duration::ZERO,
                answer: answer.clone(),
            })
            .collect();
        let audit = audit(&history, &Ledger::read(&self.pool, None, &[SALE]).await?);
        let told = answers.iter().enumerate().map(|(n, answer)| (letter(n), answer.kind().to_owned())).collect();
        Ok(Played { order, steps, told, audit, cut_off, footprints: Vec::new() })
    }
}

impl Play<'_> {
    /// Records what has happened since the statement of buyer `released` was released.
    async fn note(&mut self, released: Option<usize>, still: &Still) -> anyhow::Result<()> {
        let row = self.scheduler.row().await?;
        let met = self.steps.last().map_or(self.before, |step| step.row);
        if let Some(n) = released {
            self.footprints.push(self.transactions.step(n, &self.scheduler.wires.borrow()));
            let circle = still.circle.iter().find(|wait| wait.0 == n).map(|wait| &wait.1);
            let waits = match &still.places[n] {
                Place::Waits(_, by) => Some(by),
                Place::Held(_) | Place::Finished(_) => circle,
            };
            // A statement that closes a deadlock cycle also counts as waiting, even if the database has already resolved it.
            if let Some(by) = waits {
                self.waits(n, by, met);
            }
        }
        let first = released.filter(|n| !self.waiting[*n]);
        let others = (0..self.waiting.len()).filter(|n| Some(*n) != first);
        let mut all: Vec<_> = first.into_iter().chain(others).map(|n| (n, self.take(n))).collect();
        if !still.circle.is_empty() {
            // First the statement that the database aborted, because that released the others.
            all.sort_by_key(|(_, done)| !done.iter().any(|done| done.came.error.is_some()));
        }
        for (n, done) in all {
            for (at, one) in done.iter().enumerate() {
                let waited = std::mem::take(&mut self.waiting[n]);
                // A commit that is not held follows its statement at once. Only after it do others see the change.
                let commits_later = done[at + 1..].iter().any(|later| later.statement.word == "commit");
                self.steps.push(Step::done(n, one, waited, if commits_later { met } else { row }));
            }
            if let Some(answer) = still.places[n].answer() {
                let last = self.steps.iter_mut().rev().find(|step| step.buyer == letter(n));
                if let Some(last) = last.filter(|last| last.told.is_none()) {
                    last.told = Some(answer.kind().to_owned());
                }
            }
        }
        mark(&mut self.steps, self.before);
        Ok(())
    }

    fn waits(&mut self, n: usize, by: &[usize], row: Row) {
        let wires = self.scheduler.wires.borrow();
        let statement = wires[n].running.as_ref().or(wires[n].done.first().map(|done| &done.statement));
        let Some(statement) = statement else { return };
        self.steps.push(Step::waits(n, statement.shown(), statement.word, by, row));
        self.waiting[n] = true;
    }

    fn take(&self, n: usize) -> Vec<Done> {
        let mut done = Vec::new();
        self.scheduler.wires.send_modify(|wires| done = std::mem::take(&mut wires[n].done));
        done
    }
}

impl Place {
    /// The buyer's answer, if it has finished.
    pub fn answer(&self) -> Option<Answer> {
        match self {
            Place::Finished(answer) => Some(answer.clone()),
            Place::Held(_) | Place::Waits(..) => None,
        }
    }
}
