//! The danger gauge: of the interleavings that are left at a point, how many oversell, undersell or deadlock.
//!
//! The counts are exact. One interleaving of each class is played once, and kept. The others of its class end alike, and their
//! number follows from the class.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OnceCell};

use super::{
    scheduler::{Scheduler, Subject},
    search::classes,
};
use crate::{
    lab::Lab,
    record::interleavings::{Explored, OrderOfEvents},
};

/// The most classes of a tree.
const MOST: usize = 10_000;

/// How the interleavings end that begin with the same steps. One that deadlocks can also undersell, and counts as both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauge {
    /// The number of interleavings; 0 if none begins with these steps.
    pub interleavings: u64,
    /// Those with more orders than stock.
    pub oversell: u64,
    /// Those that leave stock although a buyer was refused.
    pub undersell: u64,
    /// Those in which the database aborts a statement in a deadlock.
    pub deadlock: u64,
    /// Those with none of these.
    pub clean: u64,
}

/// All interleavings of a version with its buyers and stock.
#[derive(Debug)]
pub struct Tree {
    classes: Vec<OrderOfEvents>,
}

impl Tree {
    /// Plays one interleaving of each class.
    ///
    /// # Errors
    /// As for [`classes`] and [`Tree::of`].
    pub async fn explore(scheduler: &Scheduler) -> anyhow::Result<Tree> {
        Tree::of(classes(scheduler, MOST, |_| ()).await?)
    }

    /// The tree of what [`classes`] has explored.
    ///
    /// # Errors
    /// Some classes were not played, or not to their end.
    pub fn of(explored: Explored) -> anyhow::Result<Tree> {
        ensure!(explored.is_whole(), "{}: too many interleavings to count how they end", explored.title());
        Ok(Tree { classes: explored.orders })
    }

    /// How the interleavings end that begin with these steps, for example `A select`, `B select`. Commits are steps.
    pub fn gauge(&self, steps: &[String]) -> Gauge {
        let mut gauge = Gauge::default();
        for order in &self.classes {
            gauge.add(order, order.class.beginning_with(steps));
        }
        gauge
    }

    /// The gauge after each of the steps that can be next, by its name.
    pub fn next(&self, steps: &[String]) -> BTreeMap<String, Gauge> {
        let names = self.classes.iter().flat_map(|order| order.class.next_after(steps));
        let names: BTreeSet<&str> = names.collect();
        let gauge = |name: &str| (name.to_owned(), self.gauge(&[steps, &[name.to_owned()]].concat()));
        names.into_iter().map(gauge).collect()
    }
}

impl Gauge {
    /// Adds interleavings that end like this one.
    fn add(&mut self, order: &OrderOfEvents, interleavings: u64) {
        let clean = order.oversold <= 0 && order.undersold <= 0 && order.deadlocks == 0;
        for (count, counts) in [
            (&mut self.interleavings, true),
            (&mut self.oversell, order.oversold > 0),
            (&mut self.undersell, order.undersold > 0),
            (&mut self.deadlock, order.deadlocks > 0),
            (&mut self.clean, clean),
        ] {
            *count = count.saturating_add(if counts { interleavings } else { 0 });
        }
    }
}

/// The trees that were explored so far. Each is explored once, also if several ask for it at the same time.
#[derive(Debug, Default)]
pub struct Trees {
    trees: Mutex<HashMap<Subject, Arc<OnceCell<Arc<Tree>>>>>,
}

impl Trees {
    /// The tree of a version with its buyers and stock. The first call for it starts instances of its own, explores and stops
    /// them.
    ///
    /// # Errors
    /// As for [`Scheduler::build`] and [`Tree::explore`]. The next call tries again.
    pub async fn tree(&self, lab: &Lab, subject: &Subject) -> anyhow::Result<Arc<Tree>> {
        let cell = Arc::clone(self.trees.lock().await.entry(subject.clone()).or_default());
        let tree = cell.get_or_try_init(async || {
            let scheduler = Scheduler::build(lab, subject).await?;
            let tree = Tree::explore(&scheduler).await;
            scheduler.close(lab).await?;
            tree.map(Arc::new)
        });
        tree.await.map(Arc::clone)
    }
}
