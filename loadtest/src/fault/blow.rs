//! What a round strikes: single servers, or three machines. Both have the same steps.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use clap::{ValueEnum, builder::PossibleValue};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use url::Url;

use super::{Fault, MachineFault, links::Links, machines, strike};
use crate::lab::{deployment::Deployment, machines::Machines, servers::Services, stores::Stores};

/// A fault of single servers or of three machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AnyFault {
    /// A fault of single servers or of an instance.
    Servers(Fault),
    /// A fault of three machines.
    Machines(MachineFault),
}

impl AnyFault {
    /// All faults of single servers, or all of three machines.
    pub fn all(on_machines: bool) -> Vec<AnyFault> {
        match on_machines {
            false => Fault::value_variants().iter().copied().map(AnyFault::Servers).collect(),
            true => MachineFault::value_variants().iter().copied().map(AnyFault::Machines).collect(),
        }
    }

    /// Whether reservations can be lost that no other server has, so that a `queued` order may fail.
    pub fn loses_reservations(self) -> bool {
        match self {
            AnyFault::Servers(fault) => fault.loses_reservations(),
            AnyFault::Machines(fault) => fault.loses_reservations(),
        }
    }

    /// How buyers pay; `None` if they do not. On three machines they always do, and most of them: an outage takes longer there, and
    /// its length must not decide which orders are paid.
    pub(super) fn payments(self) -> Option<Payments> {
        match self {
            AnyFault::Servers(fault) => fault.is_about_money().then_some(Payments { within: 8, one_of: 4 }),
            AnyFault::Machines(_) => Some(Payments { within: 30, one_of: 10 }),
        }
    }

    /// The time between two buyers during the fault; `None` if they come at once. A quarter of a thousand units lasts for a minute.
    pub(super) fn pace(self) -> Option<Duration> {
        match self {
            AnyFault::Servers(_) => None,
            AnyFault::Machines(_) => Some(Duration::from_millis(200)),
        }
    }
}

/// How buyers pay in a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payments {
    /// How many seconds an order may stay unpaid.
    pub(super) within: u32,
    /// Of this number of buyers, one cancels the order and one lets it expire. All others pay.
    pub(super) one_of: i64,
}

impl From<Fault> for AnyFault {
    fn from(fault: Fault) -> Self {
        AnyFault::Servers(fault)
    }
}

impl From<MachineFault> for AnyFault {
    fn from(fault: MachineFault) -> Self {
        AnyFault::Machines(fault)
    }
}

impl ValueEnum for AnyFault {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: std::sync::LazyLock<Vec<AnyFault>> =
            std::sync::LazyLock::new(|| [AnyFault::all(false), AnyFault::all(true)].concat());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            AnyFault::Servers(fault) => fault.to_possible_value(),
            AnyFault::Machines(fault) => fault.to_possible_value(),
        }
    }
}

impl fmt::Display for AnyFault {
    /// The name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            AnyFault::Servers(fault) => fault.fmt(f),
            AnyFault::Machines(fault) => fault.fmt(f),
        }
    }
}

/// Where a round is played, and what strikes there.
pub(super) enum Ground<'a> {
    Servers(Fault, &'a Path, &'a mut Services),
    Machines(MachineFault, Arc<Machines>),
}

impl<'a> Ground<'a> {
    pub(super) fn fault(&self) -> AnyFault {
        match self {
            Ground::Servers(fault, ..) => (*fault).into(),
            Ground::Machines(fault, _) => (*fault).into(),
        }
    }

    /// Collects what the fault acts on. `let_in` lets buyers in, and how many until the fault is in place.
    pub(super) async fn blow(
        self,
        deployment: &'a mut Deployment,
        links: &'a [Links],
        sale: (i64, u64),
        let_in: (&'a watch::Sender<usize>, usize),
    ) -> anyhow::Result<Blow<'a>> {
        Ok(match self {
            Ground::Servers(fault, loadtest, services) => {
                let target = strike::Target::new((loadtest, services), deployment, links, sale, let_in).await?;
                Blow::Servers(fault, Box::new(target))
            }
            Ground::Machines(fault, machines) => {
                Blow::Machines(fault, machines::Target::new(machines, deployment, sale, let_in)?)
            }
        })
    }
}

/// A fault with what it acts on.
pub(super) enum Blow<'a> {
    Servers(Fault, Box<strike::Target<'a>>),
    Machines(MachineFault, machines::Target<'a>),
}

impl<'a> Blow<'a> {
    pub(super) fn stores(&self) -> &'a Stores {
        match self {
            Blow::Servers(_, target) => target.stores,
            Blow::Machines(_, target) => target.stores,
        }
    }

    pub(super) fn database(&self) -> &'a Url {
        match self {
            Blow::Servers(_, target) => target.database,
            Blow::Machines(_, target) => target.database,
        }
    }

    /// What was struck and what the check saw.
    pub(super) fn seen(&self) -> String {
        match self {
            Blow::Servers(_, target) => target.seen.clone(),
            Blow::Machines(_, target) => target.seen.clone(),
        }
    }

    pub(super) async fn prepare(&mut self) -> anyhow::Result<()> {
        match self {
            Blow::Servers(fault, target) => fault.prepare(target).await,
            Blow::Machines(fault, target) => fault.prepare(target).await,
        }
    }

    pub(super) async fn arm(&mut self) -> anyhow::Result<()> {
        match self {
            Blow::Servers(fault, target) => fault.arm(target).await,
            Blow::Machines(fault, target) => fault.arm(target).await,
        }
    }

    pub(super) async fn strike(&mut self) -> anyhow::Result<()> {
        match self {
            Blow::Servers(fault, target) => fault.strike(target).await,
            Blow::Machines(fault, target) => fault.strike(target).await,
        }
    }

    pub(super) async fn comes_into_place(&mut self) -> anyhow::Result<bool> {
        match self {
            Blow::Servers(fault, target) => fault.comes_into_place(target).await,
            Blow::Machines(fault, target) => fault.comes_into_place(target).await,
        }
    }

    pub(super) async fn mend(&mut self) -> anyhow::Result<()> {
        match self {
            Blow::Servers(fault, target) => fault.mend(target).await,
            Blow::Machines(fault, target) => fault.mend(target).await,
        }
    }

    pub(super) async fn bring_back(&mut self) -> anyhow::Result<Option<()>> {
        match self {
            Blow::Servers(fault, target) => fault.bring_back(target).await,
            Blow::Machines(fault, target) => fault.bring_back(target).await,
        }
    }
}
