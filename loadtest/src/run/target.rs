//! A run against a shop that already runs. Its database cannot be read, so the verdict uses the buyers' answers and what the shop says of the
//! sale.

use std::collections::BTreeMap;

use super::{GENERATOR_SHARE, Watched, judged};
use crate::{
    buyer::{crowd::Crowd, progress::Progress},
    lab::{database::Database, target::Target, usage::Processors},
    record::Run,
    scenario::{Played, plan::Plan, stampede},
    verdict::{history::bought, ledger::SaleRow, outside},
};

/// Plays a stampede of the plan's buyers at a shop that already runs, for the units that it has left. The plan's version says what the
/// shop promises.
///
/// # Errors
/// The shop does not answer before the load as the contract says. A shop that goes away later makes the run invalid.
pub async fn against(target: &Target, plan: &Plan, progress: Progress) -> anyhow::Result<Run> {
    let before = target.sale().await?;
    let plan = &Plan { stock: before.left(), ..plan.clone() };
    let crowd = Crowd {
        shops: vec![target.address],
        sales: vec![target.sale],
        buyers: plan.buyers,
        connections: plan.connections,
        seed: plan.seed,
        early: plan.early(),
        ..Crowd::default()
    };
    let mut before_load = Processors::read(&[]);
    let at_barrier = async || before_load = Processors::read(&[]);
    let (stampede, open_loop) = stampede::come(plan, &crowd, progress, at_barrier).await?;
    let generator_share = before_load.own_share_until(&Processors::read(&[]));
    let (after, is_gone) = match target.sale().await {
        Ok(after) => (after, None),
        // What buyers were told then stands in for its `sold`.
        Err(why) => {
            let sold = before.sold + bought(&stampede.history) as i64;
            (SaleRow { sold, ..before }, Some(format!("after the load, {why:#}")))
        }
    };
    let audit = outside::audit(&stampede.history, before, after);
    let came = open_loop.as_ref().and_then(|came| came.invalid());
    let invalid = came.or_else(|| outside::shows_nothing(&stampede.history, before, &audit));
    let watched = Watched {
        failover: None,
        played: Played {
            history: stampede.history,
            sales: crowd.sales,
            requests: stampede.requests,
            elapsed: stampede.elapsed,
            began_at: Some(stampede.began_at),
            stopped: stampede.stopped.or(is_gone),
            invalid,
            open_loop,
            ..Played::default()
        },
        counters: BTreeMap::new(),
        nginx: None,
        statements: None,
        generator_share,
        usage: None,
        is_bottleneck: !target.shares_process && generator_share > GENERATOR_SHARE,
    };
    let url = Some(target.url.to_string());
    // Without a variant, no promise depends on the database.
    Ok(Run { url, pool: None, shop_args: Vec::new(), ..judged(plan, watched, audit, Database::Postgres) })
}
