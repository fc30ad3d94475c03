use loadtest::scenario::plan::Plan;

#[derive(clap::Args)]
pub(crate) struct Rounds {
    /// Draws the order of the buyers; each round adds one
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Times to play it; then a summary of all rounds
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
}

impl Rounds {
    /// These plans in each round, so that all versions meet the same moods of the machine.
    pub(crate) fn of(&self, plans: &[Plan]) -> Vec<Plan> {
        let seeds = (0..u64::from(self.rounds)).map(|round| self.seed.wrapping_add(round));
        seeds
            .flat_map(|seed| plans.iter().map(move |plan| Plan { seed, ..plan.clone() }.under(plan.load.clone())))
            .collect()
    }
}
