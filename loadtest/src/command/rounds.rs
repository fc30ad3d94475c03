use loadtest::scenario::plan::{Plan, SEED};

#[derive(clap::Args)]
pub(crate) struct Rounds {
    /// The seed that shuffles the buyers; each round adds one
    #[arg(long, default_value_t = SEED)]
    pub(crate) seed: u64,

    /// How many rounds to play; several end with a summary
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
}

impl Rounds {
    /// All plans of the first round, then all of the second, and so on. The versions take turns, so a slow minute of the machine hits all of
    /// them.
    pub(crate) fn of(&self, plans: &[Plan]) -> Vec<Plan> {
        let seeds = (0..u64::from(self.rounds)).map(|round| self.seed.wrapping_add(round));
        seeds
            .flat_map(|seed| plans.iter().map(move |plan| Plan { seed, ..plan.clone() }.under(plan.load.clone())))
            .collect()
    }
}
