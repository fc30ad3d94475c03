use super::Rounds;
use crate::{
    buyer::schedule::Load,
    lab::machine::Machine,
    record::{Record, Run},
    render::text::thousands,
};

/// Conditions by name.
type Conditions<const N: usize> = [(&'static str, String); N];

/// The conditions that differ between the two files, such as `buyers 300 and 400`. Empty if a ratio of the two is fair.
pub fn differences(a: &Record, b: &Record, pairs: &[(Rounds, Rounds)]) -> Vec<String> {
    let mut differences = differing([of_machine(&a.machine)], [of_machine(&b.machine)]);
    for (a, b) in pairs {
        let of_runs = |rounds: &Rounds| rounds.all.iter().map(|run| of_run(run)).collect::<Vec<_>>();
        for difference in differing(of_runs(a), of_runs(b)) {
            if !differences.contains(&difference) {
                differences.push(difference);
            }
        }
    }
    differences
}

fn of_machine(machine: &Machine) -> Conditions<4> {
    [
        ("processor", machine.model.clone()),
        ("processors", machine.cores.to_string()),
        ("GiB of memory", machine.memory_gib.to_string()),
        ("system", machine.system.clone()),
    ]
}

fn of_run(run: &Run) -> Conditions<11> {
    let count = |n: usize| thousands(n as i64);
    // Random arrivals yield another number of buyers for each seed. The schedule says more exactly what was offered.
    let of_closed_loop = |n: String| if run.load == Load::Closed { n } else { "by the schedule".into() };
    let load = match &run.load {
        Load::Closed => run.load.to_string(),
        Load::Open(schedule) => {
            let points = schedule.stages.iter().map(|at| format!("{}/s at {} s", at.rate, at.second));
            format!("{} {:?}", points.collect::<Vec<_>>().join(", "), schedule.arrivals)
        }
    };
    [
        ("buyers", of_closed_loop(count(run.buyers))),
        ("stock", thousands(run.stock)),
        ("sales", count(run.sales)),
        ("connections", of_closed_loop(count(run.connections))),
        ("database connections", run.pool.map_or("unknown".into(), |pool| pool.to_string())),
        ("instances", count(run.instances)),
        ("database", run.database.map_or("unknown".into(), |database| database.to_string())),
        ("load", load),
        ("shop", run.url.clone().unwrap_or_else(|| "our own".into())),
        ("nginx", if run.nginx.is_some() { "in front" } else { "none" }.into()),
        ("arguments for the shop", if run.shop_args.is_empty() { "none".into() } else { run.shop_args.join(" ") }),
    ]
}

/// The conditions that do not have the same value in all of these.
fn differing<const N: usize>(
    a: impl IntoIterator<Item = Conditions<N>>,
    b: impl IntoIterator<Item = Conditions<N>>,
) -> Vec<String> {
    let [a, b] = [a.into_iter().collect::<Vec<_>>(), b.into_iter().collect()];
    let condition = |n: usize| {
        let mut values: Vec<&str> = Vec::new();
        for (_, value) in a.iter().chain(&b).map(|conditions| &conditions[n]) {
            if !values.contains(&value.as_str()) {
                values.push(value);
            }
        }
        (values.len() > 1).then(|| format!("{} {}", a[0][n].0, values.join(" and ")))
    };
    (0..N).filter_map(condition).collect()
}
