//! What is to be run: a version, what it is put through, and how large.

use std::time::Duration;

use anyhow::ensure;

use super::Scenario;
use crate::{
    lab::{FreshDatabase, servers::nginx, stores::Stores},
    mutant::Mutant,
    text::thousands,
    verdict::promise::{Conditions, Promise, promise},
    version::{Variant, Version, title},
};

/// Fewer buyers at once are no crowd: whether they meet is chance.
const CROWD: usize = 10;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The version.
    pub version: Version,
    /// Its variant.
    pub variant: Option<Variant>,
    /// What it is put through.
    pub scenario: Scenario,
    /// Buyers, each of whom asks once; or the tries of whoever is not honest.
    pub buyers: usize,
    /// Units of each sale.
    pub stock: i64,
    /// Sales the buyers are spread over.
    pub sales: usize,
    /// Instances of the shop.
    pub instances: usize,
    /// Whether nginx is in front of them.
    pub nginx: bool,
    /// Connections the buyers share.
    pub connections: usize,
    /// Database connections of each instance.
    pub pool: u32,
    /// How long bystanders are alone, and how long a flood lasts.
    pub lasts: Duration,
    /// Decides the order of the buyers.
    pub seed: u64,
    /// Further arguments for the shop.
    pub shop_args: Vec<String>,
    /// A shop that is wrong in this way, in the place of the version.
    pub mutant: Option<Mutant>,
}

impl Plan {
    /// A scenario as the book has it: of a stampede, 10,000 buyers, 100 units, 1,000 connections.
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
            connections: 1000,
            pool: 16,
            lasts: Duration::from_secs(3),
            seed: 1,
            shop_args: Vec::new(),
            mutant: None,
        })
    }

    /// [`Plan::new`] for a stampede.
    pub fn stampede(version: Version, variant: Option<Variant>) -> Plan {
        Plan::new(version, variant, Scenario::Stampede)
    }

    /// Whether it can be carried out at all.
    ///
    /// # Errors
    /// The version has nothing that the scenario could attack, or the scenario has no second instance.
    pub fn check(&self) -> anyhow::Result<()> {
        self.scenario.rules().check(self)?;
        let one_sale = self.sales == 1 || self.scenario.is_a_crowd();
        ensure!(one_sale, "{} is about one sale; --sales is for crowds", self.scenario);
        ensure!(!self.nginx || self.version.needs_stores(), "nginx is part of chapter 6; {} has none", self.version);
        ensure!(!self.nginx || nginx::is_installed(), "nginx is not installed; `make services` installs it");
        Ok(())
    }

    /// `v2-pessimistic process-lock`, and the scenario if it is no stampede.
    pub fn title(&self) -> String {
        let scenario = if self.scenario == Scenario::Stampede { String::new() } else { format!(" {}", self.scenario) };
        format!("{}{scenario}", title(self.version, self.variant))
    }

    /// `10,000 buyers`, or whoever it is.
    pub fn who(&self) -> String {
        self.scenario.rules().who(self)
    }

    /// As many as the plan has of these: `10,000 buyers`, `1 buyer`.
    pub(crate) fn counted(&self, one: &str, many: &str) -> String {
        format!("{} {}", thousands(self.buyers as i64), if self.buyers == 1 { one } else { many })
    }

    /// What happens, in a sentence.
    pub fn describe(&self) -> String {
        let count = |n: usize| thousands(n as i64);
        let each = if self.sales > 1 { format!(" in each of {} sales", self.sales) } else { String::new() };
        let connections = match self.scenario.is_a_crowd() {
            true => format!(" {} connections,", count(self.connections.min(self.buyers))),
            false => String::new(),
        };
        format!(
            "{}, {} units{each},{connections} {} database connections per instance; milliseconds from the start",
            self.who(),
            thousands(self.stock),
            self.pool
        )
    }

    /// Sockets that this needs at the same time.
    pub fn sockets(&self) -> usize {
        self.scenario.rules().sockets(self)
    }

    pub(crate) fn sockets_of_a_crowd(&self) -> usize {
        let doors = if self.nginx { 1 } else { self.instances };
        self.connections.min(self.buyers) * doors
    }

    /// Units of all sales together.
    pub(crate) fn units(&self) -> i64 {
        self.stock * self.sales as i64
    }

    /// Whether so many come at once that they meet.
    pub(crate) fn crowded(&self) -> bool {
        self.stock > 0 && self.connections.min(self.buyers) >= CROWD
    }

    pub(crate) fn shop_args(&self, database: &FreshDatabase, stores: Option<&Stores>) -> Vec<String> {
        let owned = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>();
        let mut args = owned(&["--database-url", database.url.as_str(), "--pool-size", &self.pool.to_string()]);
        if self.version.counts_clients() {
            args.extend(owned(&["--trusted-proxies", "127.0.0.1"]));
        }
        args.extend(stores.iter().flat_map(|stores| stores.shop_args()));
        args.extend(self.variant.iter().flat_map(|variant| ["--variant".into(), variant.to_string()]));
        args.extend(self.further_args());
        args
    }

    /// What the scenario tells the shop, unless somebody has asked for something else.
    pub(crate) fn further_args(&self) -> Vec<String> {
        let flag = |arg: &str| arg.split('=').next().map(str::to_owned);
        let asked_for = |arg: &&str| self.shop_args.iter().any(|own| flag(own) == flag(arg));
        let scenarios = self.scenario.shop_args(self.version).into_iter().filter(|arg| !asked_for(arg));
        scenarios.map(str::to_owned).chain(self.shop_args.clone()).collect()
    }

    /// What is to come out. A mutant is held to what a shop has to do that is right.
    pub(crate) fn promised(&self, database: &FreshDatabase) -> Promise {
        if self.mutant.is_some() {
            return Promise::Holds;
        }
        promise(Conditions {
            version: self.version,
            variant: self.variant,
            scenario: self.scenario,
            instances: self.instances,
            database: database.kind,
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
