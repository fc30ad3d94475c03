//! All interleavings of the second tab's buyers, counted: how many go wrong from a position, and how few moves that takes.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::levels::Goal;
use crate::{
    interleave::{
        scheduler::{Scheduler, Subject},
        search::search,
    },
    lab::Lab,
    record::interleavings::OrderOfEvents,
    version::title,
};

/// The most interleavings of a tree.
const MOST: usize = 20_000;

/// All interleavings of a subject, with their ends.
pub(super) struct Tree {
    orders: Vec<OrderOfEvents>,
}

impl Tree {
    /// Plays all interleavings. Calls `shown` with their number so far.
    ///
    /// # Errors
    /// The instances do not start, the database fails, or there are too many interleavings.
    pub(super) async fn explore(lab: &Lab, subject: &Subject, shown: impl Fn(usize)) -> anyhow::Result<Tree> {
        let scheduler = Scheduler::build(lab, subject).await?;
        let explored = search(&scheduler, MOST, |so_far| shown(so_far.orders_of_events)).await;
        scheduler.close(lab).await?;
        let explored = explored?;
        ensure!(explored.not_followed == 0, "there are more than {MOST} interleavings: too many to count");
        Ok(Tree { orders: explored.orders })
    }

    /// How the interleavings end that begin with these steps, for example `A select`, `B select`.
    fn gauge(&self, steps: &[String]) -> Value {
        let from_here: Vec<_> = self.orders.iter().filter(|order| order.order.starts_with(steps)).collect();
        let count = |ends: fn(&OrderOfEvents) -> bool| from_here.iter().filter(|order| ends(order)).count();
        json!({
            "interleavings": from_here.len(),
            "oversell": count(|order| Goal::Oversell.is_reached(order)),
            "undersell": count(|order| Goal::Undersell.is_reached(order)),
            "deadlock": count(|order| Goal::Deadlock.is_reached(order)),
        })
    }

    /// The counts from here on, from the start on, and after each statement that can be next; and the fewest moves to each goal.
    pub(super) fn shown(&self, steps: &[String]) -> Value {
        let from_here = self.orders.iter().filter(|order| order.order.starts_with(steps));
        let names: BTreeSet<_> = from_here.filter_map(|order| order.order.get(steps.len())).collect();
        let next = names.into_iter().map(|name| (name.clone(), self.gauge(&[steps, &[name.clone()]].concat())));
        let next: serde_json::Map<_, _> = next.collect();
        json!({ "all": self.gauge(&[]), "from_here": self.gauge(steps), "next": next, "pars": self.pars() })
    }

    /// The fewest moves to each goal; null if no interleaving reaches it.
    fn pars(&self) -> Value {
        let fewest =
            |goal: Goal| self.orders.iter().filter(|order| goal.is_reached(order)).map(|order| order.order.len()).min();
        json!({
            "oversell": fewest(Goal::Oversell),
            "undersell": fewest(Goal::Undersell),
            "deadlock": fewest(Goal::Deadlock),
        })
    }
}

/// What is known of a tree.
#[derive(Clone)]
pub(super) enum Known {
    /// This many interleavings have been played so far.
    Counting(usize),
    All(Arc<Tree>),
    /// Why it cannot be counted.
    Not(String),
}

/// The trees of all subjects that were looked at.
pub(super) type Trees = watch::Sender<HashMap<String, Known>>;

/// A subject's name among the trees.
pub(super) fn key(subject: &Subject) -> String {
    format!("{} {} {}", title(subject.version, subject.variant), subject.buyers, subject.stock)
}
