//! Plays every mutant in every scenario.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::Mutant;
use crate::{
    lab::Lab,
    record::mutants::{Cell, Colour},
    scenario::{SCENARIOS, Scenario, plan::Plan},
    verdict::promise::Promise,
    version::Version,
};

/// Cells that are played at the same time, where no clock is looked at.
const SIDE_BY_SIDE: usize = 4;
/// A cell that comes out other than it has to is played again that often: a crowd is chance, and the machine may be busy.
const AGAIN: usize = 2;

/// Plays these mutants in every scenario; `done` is told of each cell.
///
/// # Errors
/// A shop does not start.
pub async fn play(lab: &Lab, mutants: &[Mutant], done: impl Fn(&Cell)) -> anyhow::Result<Vec<Cell>> {
    let cells = mutants.iter().flat_map(|&mutant| SCENARIOS.map(|scenario| (mutant, scenario)));
    let (slow, quick): (Vec<_>, Vec<_>) = cells.partition(|(mutant, _)| *mutant == Mutant::Slow);
    let (timed, crowds): (Vec<_>, Vec<_>) = quick.into_iter().partition(|(_, scenario)| scenario.is_about_time());
    let play = async |(mutant, scenario)| {
        let cell = cell(lab, mutant, scenario).await;
        cell.inspect(|cell| done(cell))
    };
    // The slow shop does nothing but wait, so all that can be asked of it is asked at once, beside the others.
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

/// Held to what a version has to do that holds.
async fn once(lab: &Lab, mutant: Mutant, scenario: Scenario) -> anyhow::Result<Cell> {
    let run = crate::run::run(lab, &plan(mutant, scenario), Default::default()).await?;
    let colour = if Promise::Holds.kept(&run.evidence()) { Colour::Green } else { Colour::Red };
    Ok(Cell { mutant, scenario, colour, noticed: run.evidence().findings() })
}

/// Small crowds, and one connection for each buyer, so that a slow shop is waited for once.
fn plan(mutant: Mutant, scenario: Scenario) -> Plan {
    let plan = Plan::new(Version::V5, None, scenario);
    // An office of fifty shares an IP address and makes a hundred requests in a second; a flood of thousands does not get far.
    let shop_args = ["--client-rate=50", "--client-burst=60", "--request-timeout=120"].map(str::to_owned);
    let buyers = if scenario.is_a_crowd() { 400 } else { plan.buyers };
    Plan {
        mutant: Some(mutant),
        buyers,
        connections: buyers,
        lasts: Duration::from_secs(1),
        shop_args: shop_args.into(),
        ..plan
    }
}
