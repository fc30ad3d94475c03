//! The default plan of each scenario, the checks before a run, and the promise.

use std::time::Duration;

use anyhow::ensure;

use super::{
    Scenario,
    plan::{Plan, SEED},
};
use crate::{
    buyer::schedule::Load,
    gates::{self, Gate},
    lab::{database::Database, servers::nginx},
    render::text::thousands,
    verdict::{
        ledger::SaleRow,
        promise::{Conditions, Promise, promise},
    },
    version::{Variant, Version},
};

impl Plan {
    /// The default plan of a scenario. A stampede has 10,000 buyers, 100 units and 1,000 connections.
    pub fn new(version: Version, variant: Option<Variant>, scenario: Scenario) -> Plan {
        scenario.rules().plan(Plan {
            version,
            variant,
            scenario,
            buyers: 10_000,
            stock: 100,
            sales: 1,
            instances: 1,
            nginx: false,
            load: Load::Closed,
            connections: 1000,
            pool: 16,
            lasts: Duration::from_secs(3),
            seed: SEED,
            shop_args: Vec::new(),
            mutant: None,
            exhibit: None,
            without: Vec::new(),
            fail_if: Vec::new(),
            abort_early: false,
        })
    }

    /// [`Plan::new`] for a stampede.
    pub fn stampede(version: Version, variant: Option<Variant>) -> Plan {
        Plan::new(version, variant, Scenario::Stampede)
    }

    /// Checks that the plan can run.
    ///
    /// # Errors
    /// The version lacks what the scenario attacks, or the numbers do not fit the scenario.
    pub fn check(&self) -> anyhow::Result<()> {
        self.scenario.rules().check(self)?;
        let misplaced = self.without.iter().find(|gate| !Gate::of(self.version).contains(gate));
        ensure!(misplaced.is_none(), "{} has no such gate: {}", self.version, gates::names(&self.without));
        let one_sale = self.sales == 1 || self.scenario.is_a_crowd();
        ensure!(one_sale, "{} is about one sale; --sales is for crowds", self.scenario);
        let no_loop = self.load == Load::Closed || self.scenario == Scenario::Stampede;
        ensure!(no_loop, "{} has a load of its own; --rate and --stages are for the stampede", self.scenario);
        ensure!(!self.nginx || self.version.needs_stores(), "nginx is part of chapter 6; {} has none", self.version);
        ensure!(!self.nginx || nginx::is_installed(), "nginx is not installed; `make services` installs it");
        Ok(())
    }

    /// The buyers in words: `10,000 buyers`.
    pub fn who(&self) -> String {
        self.scenario.rules().who(self)
    }

    /// The plan in a sentence.
    pub fn describe(&self) -> String {
        let each = if self.sales > 1 { format!(" in each of {} sales", self.sales) } else { String::new() };
        let (stock, pool) = (thousands(self.stock), self.pool);
        self.describe_with(&format!("{stock} units{each}"), &format!(", {pool} database connections per instance"))
    }

    /// The plan in a sentence, for a shop that already runs: its units are those of its sale, and its database is unknown.
    pub fn describe_against(&self, sale: &SaleRow) -> String {
        let [left, stock] = [sale.left(), sale.stock].map(thousands);
        self.describe_with(&format!("{left} of {stock} units left"), "")
    }

    fn describe_with(&self, units: &str, database: &str) -> String {
        let (connections, load) = match self.scenario.is_a_crowd() {
            true => {
                let connections = thousands(self.connections.min(self.buyers) as i64);
                (format!(", {connections} connections"), format!("{}; ", self.load))
            }
            false => Default::default(),
        };
        let from = match self.load {
            Load::Closed => "the start",
            Load::Open(_) => "when each buyer was due",
        };
        format!("{}, {units}{connections}{database}; {load}milliseconds from {from}", self.who())
    }

    /// The plan with this load. The schedule of an open loop decides the number of buyers.
    pub fn under(self, load: Load) -> Plan {
        let buyers = match &load {
            Load::Closed => self.buyers,
            Load::Open(schedule) => schedule.due(self.seed).count(),
        };
        Plan { buyers, load, ..self }
    }

    /// The most sockets that are open at the same time.
    pub fn sockets(&self) -> usize {
        self.scenario.rules().sockets(self)
    }

    /// The shop's arguments: those of the scenario, and the user's own, which replace them.
    pub(crate) fn further_args(&self) -> Vec<String> {
        let flag = |arg: &str| arg.split('=').next().map(str::to_owned);
        let asked_for = |arg: &&str| self.shop_args.iter().any(|own| flag(own) == flag(arg));
        let scenarios = self.scenario.shop_args(self.version).into_iter().filter(|arg| !asked_for(arg));
        scenarios.map(str::to_owned).chain(self.shop_args.clone()).collect()
    }

    /// The promise for this plan. A mutant and an exhibit are judged like a correct shop. Without one of its gates, a shop promises
    /// nothing.
    pub(crate) fn promised(&self, database: Database) -> Promise {
        if self.mutant.is_some() || self.exhibit.is_some() {
            return Promise::Holds;
        }
        if !self.without.is_empty() {
            return Promise::MayBreak;
        }
        promise(Conditions {
            version: self.version,
            variant: self.variant,
            scenario: self.scenario,
            instances: self.instances,
            database,
            contended: self.scenario.rules().contended(self),
            crowded: self.crowded(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_argument_is_given_twice() {
        let shop_args = ["--path-ttl", "1", "--global-rate=7"].map(str::to_owned).to_vec();
        let plan = Plan { shop_args, ..Plan::new(Version::V5, None, Scenario::Forger) };
        let args = plan.further_args();
        let times = |flag: &str| args.iter().filter(|arg| arg.split('=').next() == Some(flag)).count();
        assert_eq!(["--path-ttl", "--global-rate", "--global-burst", "--retries"].map(times), [1, 1, 1, 1], "{args:?}");
        assert!(args.contains(&"--global-rate=7".to_owned()));
    }
}
