//! Decides whether fault rounds can be added to an existing file.

use anyhow::{bail, ensure};

use crate::{
    lab::machine::{Machine, commit},
    record::{faults::Faults, file::SCHEMA},
    render::text::thousands,
    scenario::plan::Plan,
};

impl Faults {
    /// Whether rounds of this plan and seed can be added to the file: its rounds must have the same conditions, machine and
    /// commit.
    ///
    /// # Errors
    /// They differ. The message lists all differences in one line.
    pub fn check_resumes(&self, plan: &Plan, seed: u64) -> anyhow::Result<()> {
        ensure!(self.schema == SCHEMA, "it is of schema {}, this program writes {SCHEMA}", self.schema);
        let mut differs = Vec::new();
        let mut compare = |what: &str, file: String, here: String| {
            if file != here {
                differs.push(format!("{what} {file}, here {here}"));
            }
        };
        let count = |n: usize| thousands(n as i64);
        if let Some(round) = self.faults.iter().flat_map(|rounds| &rounds.rounds).next() {
            compare("stock", thousands(round.stock), thousands(plan.stock));
            compare("buyers", count(round.buyers), count(plan.buyers));
            compare("instances", count(round.instances), count(plan.instances));
        }
        compare("seed", self.seed.to_string(), seed.to_string());
        let words = |args: &[String]| if args.is_empty() { "none".into() } else { args.join(" ") };
        compare("arguments of the shop", words(&self.shop_args), words(&plan.shop_args));
        let named = |commit: &Option<String>| commit.clone().unwrap_or_else(|| "unknown".into());
        compare("commit", named(&self.commit), named(&commit()));
        let machine = |machine: &Machine| format!("{} with {} cores", machine.model, machine.cores);
        compare("machine", machine(&self.machine), machine(&Machine::this()));
        if !differs.is_empty() {
            bail!("it was made under other conditions: {}", differs.join("; "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        fault::Fault,
        record::faults::{Grid, Round, Strike, Verdict},
        verdict::audit::Audit,
        version::Version,
    };

    #[test]
    fn rounds_are_added_only_under_the_same_conditions() {
        let plan = Plan { buyers: 4000, stock: 1000, instances: 2, ..Plan::stampede(Version::V6, None) };
        let mut faults = Faults::new(Grid { seed: 7, shop_args: Vec::new(), faults: Vec::new() });
        faults.of(Fault::RedisKilled).rounds.push(Round {
            stock: 1000,
            buyers: 4000,
            instances: 2,
            seed: 7,
            verdict: Verdict::Clean,
            strike: Strike::default(),
            audit: Audit::default(),
            money: None,
            worse_answers: None,
            outcomes: BTreeMap::new(),
        });
        faults.check_resumes(&plan, 7).unwrap();
        let refused = |faults: &Faults, plan: &Plan, seed| faults.check_resumes(plan, seed).unwrap_err().to_string();
        assert_eq!(
            refused(&faults, &Plan { buyers: 400, instances: 3, ..plan.clone() }, 8),
            "it was made under other conditions: buyers 4,000, here 400; instances 2, here 3; seed 7, here 8"
        );
        assert!(refused(&faults, &Plan { stock: 10, ..plan.clone() }, 7).ends_with(": stock 1,000, here 10"));
        let shop_args = vec!["--redis-replicas".to_owned(), "1".into()];
        assert!(
            refused(&faults, &Plan { shop_args, ..plan.clone() }, 7)
                .ends_with(": arguments of the shop none, here --redis-replicas 1")
        );
        let elsewhere = Faults { commit: Some("abc".into()), ..faults };
        assert!(refused(&elsewhere, &plan, 7).contains("commit abc, here "));
        let old = Faults { schema: 1, ..elsewhere };
        assert_eq!(refused(&old, &plan, 7), "it is of schema 1, this program writes 3");
    }
}
