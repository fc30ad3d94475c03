//! The first tab: runs, played by the code of `cargo loadtest run`, and their numbers while they play.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use v1_naive::shop::sales::now_ms;

use super::{Page, Shown, ask::Ask, rows::Rows};
use crate::{
    buyer::{
        ending::Ending,
        progress::{Counts, Progress},
    },
    lab::open_files,
    record::{Record, Run, Runs},
    run,
    scenario::plan::{Plan, SEED},
    verdict::Verdict,
};

/// The time between two pictures.
const EVERY: Duration = Duration::from_millis(100);
/// The most runs that are asked for at once: two, side by side.
const SIDE_BY_SIDE: usize = 2;

/// The runs of the first tab. One is played at a time, whatever number of browsers asks.
pub(super) struct Stampedes {
    pub(super) shown: Shown,
    asked: watch::Sender<Vec<Ask>>,
    /// Ends the runs that play; `None` if none plays.
    ending: Mutex<Option<Ending>>,
    /// The runs so far, and the file that they are written to.
    runs: Mutex<Vec<Run>>,
    json: Option<PathBuf>,
}

impl Stampedes {
    pub(super) fn new(json: Option<PathBuf>) -> Stampedes {
        let shown = watch::Sender::new(json!({ "lanes": [], "plays": false }));
        Stampedes { shown, asked: watch::Sender::default(), ending: Mutex::default(), runs: Mutex::default(), json }
    }

    /// Starts one run, or two that are shown side by side.
    ///
    /// # Errors
    /// A run is under way, or cannot be played.
    pub(super) fn start(&self, asks: Vec<Ask>) -> anyhow::Result<()> {
        ensure!((1..=SIDE_BY_SIDE).contains(&asks.len()), "one run or two can be asked for");
        asks.iter().try_for_each(|ask| ask.plan().map(drop))?;
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(ending.is_none(), "a run is under way: stop it, or wait for its audit");
        *ending = Some(Ending::default());
        self.asked.send_replace(asks);
        Ok(())
    }

    /// Whether a run is under way.
    pub(super) fn plays(&self) -> bool {
        self.ending().is_some()
    }

    /// Ends the run that is under way, if there is one. Its audit follows.
    pub(super) fn stop(&self) {
        if let Some(ending) = self.ending() {
            ending.request();
        }
    }

    fn ending(&self) -> Option<Ending> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The figures of the runs so far, as `cargo loadtest report` reads them.
    pub(super) fn record(&self) -> Record {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Record::new(Runs { seed: SEED, runs })
    }

    /// Writes the run to the file, and then shows it: a run that is shown is in the file.
    fn keep(&self, n: usize, run: Run) -> anyhow::Result<()> {
        let shown = result(&run);
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        runs.push(run);
        if let Some(file) = &self.json {
            Record::new(Runs { seed: SEED, runs: runs.clone() }).write(file)?;
        }
        *self.runs.lock().unwrap_or_else(PoisonError::into_inner) = runs;
        self.lane(n, shown);
        Ok(())
    }

    /// Plays what browsers ask for, one after the other.
    ///
    /// # Errors
    /// The file of figures cannot be written.
    pub(super) async fn work(&self, page: &Page) -> anyhow::Result<()> {
        let mut asked = self.asked.subscribe();
        if !asked.borrow().is_empty() {
            asked.mark_changed(); // a browser was faster than this task
        }
        while asked.changed().await.is_ok() {
            let asks = asked.borrow_and_update().clone();
            let ending = self.ending().unwrap_or_default();
            let lanes: Vec<_> = asks.iter().map(|ask| json!({ "ask": ask, "phase": "waiting" })).collect();
            self.shown.send_replace(json!({ "lanes": lanes, "plays": true }));
            for (n, ask) in asks.iter().enumerate() {
                let played = self.play(page, n, ask, &ending).await;
                match played {
                    Ok(Some(run)) => self.keep(n, run)?,
                    Ok(None) => self.lane(n, json!({ "phase": "ended" })),
                    Err(why) => self.lane(n, json!({ "phase": "failed", "why": format!("{why:#}") })),
                }
            }
            *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.shown.send_modify(|shown| shown["plays"] = false.into());
        }
        Ok(())
    }

    /// Plays one run. `None` if it was ended before its first buyer came.
    async fn play(&self, page: &Page, n: usize, ask: &Ask, ending: &Ending) -> anyhow::Result<Option<Run>> {
        if ending.requested_at().is_some() {
            return Ok(None);
        }
        let plan = ask.plan()?;
        self.lane(n, json!({ "phase": "starting", "title": plan.title(), "describes": plan.describe() }));
        let progress = Counts::ended_by(ending);
        let run = async {
            let lab = page.labs.open().await?;
            if let Some(lacks) = lab.lacks_for(plan.version) {
                anyhow::bail!(lacks);
            }
            open_files::allow(plan.sockets())?;
            Box::pin(run::run(&lab, &plan, progress.clone())).await.context(plan.title())
        };
        tokio::select! {
            biased;
            run = progress.unless_ended(run) => run,
            () = self.show(n, &plan, &progress) => unreachable!("it shows until the run is over"),
            () = Box::pin(async { page.unwatched().await; ending.request(); std::future::pending().await }) => {
                unreachable!("it only ends the run")
            }
        }
    }

    /// Shows the run's numbers again and again.
    async fn show(&self, n: usize, plan: &Plan, progress: &Progress) {
        let rows = Arc::new(Rows::default());
        let mut reading = JoinSet::new();
        reading.spawn(rows.clone().read(progress.clone()));
        loop {
            self.lane(n, numbers(plan, progress, &rows));
            sleep(EVERY).await;
        }
    }

    /// Changes some fields of a lane.
    fn lane(&self, n: usize, fields: Value) {
        self.shown.send_modify(|shown| {
            if let (Some(Value::Object(lane)), Value::Object(fields)) = (shown["lanes"].get_mut(n), fields) {
                lane.extend(fields);
            }
        });
    }
}

/// The numbers of a run at this moment.
fn numbers(plan: &Plan, progress: &Progress, rows: &Rows) -> Value {
    let began = progress.began_at();
    let served = progress.served.load(Relaxed);
    let phase = match began {
        _ if progress.ending.requested_at().is_some() => "ending",
        None => "starting",
        Some(_) if plan.scenario.is_a_crowd() && served >= plan.buyers && progress.unconfirmed() == 0 => "auditing",
        Some(_) => "selling",
    };
    let mut told: Vec<_> = progress.tally.kinds();
    told.extend(Some(("still queued", progress.unconfirmed() as u64)).filter(|(_, queued)| *queued > 0));
    json!({
        "phase": phase,
        "ms": began.map(|began| began.elapsed().as_millis() as u64),
        "stock": plan.stock * plan.sales as i64,
        "buyers": plan.buyers,
        "is_a_crowd": plan.scenario.is_a_crowd(),
        "yes": progress.yes.load(Relaxed),
        "orders": rows.orders(),
        "sold": rows.sold(),
        "told": told.iter().map(|(kind, count)| json!([kind, count])).collect::<Vec<_>>(),
        "latency": progress.tally.latency(),
    })
}

/// The result of a run, as the page shows and remembers it.
fn result(run: &Run) -> Value {
    let class = match &run.verdict {
        Verdict::Invalid(_) => "invalid",
        _ if run.is_broken() => "bad",
        _ => "good",
    };
    json!({
        "phase": "done",
        "id": now_ms(),
        "title": run.title(),
        "result": {
            "outcome": run.outcome(),
            "class": class,
            "why": run.verdict.invalid(),
            "figure": run.figure(),
            "database": run.database,
            "stock": run.stock,
            "told_yes": run.told_yes(),
            "told": run.outcomes,
            "audit": run.audit,
            "per_second": run.requests_per_second,
            "seconds": run.seconds,
            "latency": run.latency_ms,
            "oversold_after_ms": run.oversold_after_ms,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Backend;

    #[tokio::test]
    async fn a_run_that_is_asked_for_before_the_work_begins_is_played() {
        let page = Page::new("/no/such/program".into(), Some(Backend::Sqlite), None);
        let ask = serde_json::from_str(r#"{"version": "v1-naive", "buyers": 1}"#).unwrap();
        page.stampedes.start(vec![ask]).unwrap();
        let mut shown = page.stampedes.shown.subscribe();
        let played = shown.wait_for(|shown| shown["lanes"][0]["phase"] == "failed"); // there is no such program
        tokio::select! {
            played = played => drop(played.unwrap()),
            ended = page.stampedes.work(&page) => panic!("it works for ever: {ended:?}"),
            () = sleep(Duration::from_secs(20)) => panic!("nothing is played"),
        }
    }
}
