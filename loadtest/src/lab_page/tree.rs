//! All interleavings of the second tab's buyers, counted: how many go wrong from a position, and how few moves that takes.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::levels::Goal;
use crate::{
    interleave::{
        gauge,
        scheduler::{Scheduler, Subject},
        search::classes,
    },
    lab::Lab,
    record::interleavings::OrderOfEvents,
    version::title,
};

/// The most equivalence classes of a tree.
const MOST: usize = 10_000;

/// All interleavings of a subject, with their ends.
pub(super) struct Tree {
    tree: gauge::Tree,
    pars: Value,
}

impl Tree {
    /// Plays one interleaving of each equivalence class. Calls `shown` with the number of interleavings that are known so far.
    ///
    /// # Errors
    /// The instances do not start, the database fails, or there are too many interleavings.
    pub(super) async fn explore(lab: &Lab, subject: &Subject, shown: impl Fn(usize)) -> anyhow::Result<Tree> {
        let scheduler = Scheduler::build(lab, subject).await?;
        let explored = classes(&scheduler, MOST, |so_far| shown(so_far.orders_of_events)).await;
        scheduler.close(lab).await?;
        let explored = explored?;
        let pars = pars(&explored.orders);
        Ok(Tree { tree: gauge::Tree::of(explored)?, pars })
    }

    /// How the interleavings end that begin with these steps, all interleavings, and those after each statement that can be next;
    /// and the fewest moves to each goal.
    pub(super) fn shown(&self, steps: &[String]) -> Value {
        let Tree { tree, pars } = self;
        json!({ "all": tree.gauge(&[]), "from_here": tree.gauge(steps), "next": tree.next(steps), "pars": pars })
    }
}

/// The fewest moves to each goal; null if no interleaving reaches it. All interleavings of a class have the same number of moves.
fn pars(orders: &[OrderOfEvents]) -> Value {
    let reach = |goal: Goal| orders.iter().filter(move |order| goal.is_reached(order));
    let fewest = |goal| reach(goal).map(|order| order.order.len()).min();
    json!({
        "oversell": fewest(Goal::Oversell),
        "undersell": fewest(Goal::Undersell),
        "deadlock": fewest(Goal::Deadlock),
    })
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
