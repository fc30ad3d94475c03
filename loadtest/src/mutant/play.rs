//! Plays every mutant in every scenario.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::Mutant;
use crate::{
    lab::Lab,
    record::mutants::{Cell, Colour},
    scenario::{SCENARIOS, Scenario, plan::Plan},
    version::Version,
};

/// Cells that are played at the same time in scenarios that do not measure time.
const SIDE_BY_SIDE: usize = 4;
/// How often a cell is repeated after an unexpected result: a crowd is random, and the machine may be busy.
const AGAIN: usize = 2;

/// Plays these mutants in every scenario; `done` is called for each cell.
///
/// # Errors
/// A shop does not start, or a run fails.
pub async fn play(lab: &Lab, mutants: &[Mutant], done: impl Fn(&Cell)) -> anyhow::Result<Vec<Cell>> {
    let cells = mutants.iter().flat_map(|&mutant| SCENARIOS.map(|scenario| (mutant, scenario)));
    let (slow, quick): (Vec<_>, Vec<_>) = cells.partition(|(mutant, _)| *mutant == Mutant::Slow);
    let (timed, crowds): (Vec<_>, Vec<_>) = quick.into_iter().partition(|(_, scenario)| scenario.is_about_time());
    let play = async |(mutant, scenario)| {
        let cell = cell(lab, mutant, scenario).await;
        cell.inspect(|cell| done(cell))
    };
    // The slow shop only waits, so all of its cells run at once, beside the others.
    let slow = stream::iter(slow).map(&play).buffer_unordered(SCENARIOS.len()).collect::<Vec<_>>();
    let others = async {
        let mut cells: Vec<_> = stream::iter(crowds).map(&play).buffer_unordered(SIDE_BY_SIDE).collect().await;
        for one in timed {
            cells.push(play(one).await);
        }
        cells
    };
    let (slow, others) = tokio::join!(slow, others);
    let mut cells = slow.into_iter().chain(others).collect::<anyhow::Result<Vec<Cell>>>()?;
    cells.sort_by_key(|cell| (cell.mutant as usize, cell.scenario));
    Ok(cells)
}

async fn cell(lab: &Lab, mutant: Mutant, scenario: Scenario) -> anyhow::Result<Cell> {
    let mut cell = once(lab, mutant, scenario).await?;
    for _ in 0..AGAIN {
        if cell.is_expected() {
            break;
        }
        cell = once(lab, mutant, scenario).await?;
    }
    Ok(cell)
}

/// Judges a run as if it promised to hold, valid or not: that a run is invalid says nothing of the shop.
async fn once(lab: &Lab, mutant: Mutant, scenario: Scenario) -> anyhow::Result<Cell> {
    let run = crate::run::run(lab, &plan(mutant, scenario), Default::default()).await?;
    let colour = if run.is_broken() { Colour::Red } else { Colour::Green };
    Ok(Cell { mutant, scenario, colour, noticed: run.evidence().findings() })
}

/// Small crowds with one connection for each buyer, so that the slow shop delays a run only once. Beside bystanders, other shops
/// have a tenth of the connections: their answers take a millisecond, and 400 requests at once would make that five.
fn plan(mutant: Mutant, scenario: Scenario) -> Plan {
    let plan = Plan::new(Version::V5, None, scenario);
    // These limits admit an office of fifty, which shares one IP address and sends a hundred requests in a second. A flood of
    // thousands is mostly refused.
    let shop_args = ["--client-rate=50", "--client-burst=60", "--request-timeout=120"].map(str::to_owned);
    let buyers = if scenario.is_a_crowd() { 400 } else { plan.buyers };
    Plan {
        mutant: Some(mutant),
        buyers,
        connections: if scenario == Scenario::Bystander && mutant != Mutant::Slow { buyers / 10 } else { buyers },
        lasts: Duration::from_secs(1),
        shop_args: shop_args.into(),
        ..plan
    }
}
