//! A script that buys before the opening and after the close.

use std::time::Instant;

use v1_naive::shop::sales::{Sale, now_ms};

use super::{
    Played, Stage,
    honest::{buy_beside, few_tries},
    plan::Plan,
    rules::Rules,
    stage::{LONGEST, at_once},
};
use crate::{
    buyer::{
        click::{buy, open_sale},
        client::Connection,
    },
    record::{Measure, Run},
    verdict::history::Told,
};

const HOUR_MS: i64 = 3_600_000;
/// Units of the open sale: more than the honest buyers need.
const FOR_THE_HONEST: i64 = 100;
/// The script's connections.
const CONNECTIONS: usize = 20;

/// Half of the script's requests go to a sale that opens in one hour, half to one that closed an hour ago. The figure is the
/// number of orders. Meanwhile honest buyers must each get a unit of a third, open sale.
///
/// # Errors
/// The database fails, or the shop does not answer.
pub async fn play(stage: &Stage<'_>) -> anyhow::Result<Played> {
    let (early, late, open, now) = (stage.sale, stage.sale + 1, stage.sale + 2, now_ms());
    let stock = stage.plan.buyers as i64;
    let opens_later = Sale { opens_at: now + HOUR_MS, closes_at: now + 2 * HOUR_MS, ..Sale::open(early, stock) };
    let closed = Sale { opens_at: now - 2 * HOUR_MS, closes_at: now - HOUR_MS, ..Sale::open(late, stock) };
    stage.put_up(&[opens_later, closed, Sale::open(open, FOR_THE_HONEST)]).await?;

    let (start, buyers) = (Instant::now(), stage.plan.buyers);
    let script = async |n: usize| {
        let mut connection = Connection::open(stage.shops[n % stage.shops.len()]).await?;
        let links = [open_sale(&mut connection, early).await?, open_sale(&mut connection, late).await?];
        let (mut history, mut requests) = (Vec::new(), 0);
        for buyer in (n..buyers).step_by(CONNECTIONS).take_while(|_| start.elapsed() < LONGEST) {
            let buyer_id = buyer as i64 + 1;
            let wanted = start.elapsed();
            let (answer, steps) = buy(&mut connection, &links[buyer % 2], buyer_id).await;
            requests += steps;
            let sale_id = [early, late][buyer % 2];
            history.push(Told { buyer_id, sale_id, wanted, sent: wanted, answered: start.elapsed(), answer });
        }
        anyhow::Ok((history, requests))
    };
    let tries = at_once(CONNECTIONS, script);
    let ((history, requests), beside) = tokio::try_join!(tries, buy_beside(stage.shops, open, start, None))?;
    // Counted in the database: an order whose buyer got no answer is an order, too.
    let orders = stage.ledger(&[early, late]).await?.orders.len();
    let measure = Measure::none_of("orders outside the window", orders);
    let invalid = few_tries(history.len(), buyers);
    Ok(Played { invalid, ..beside.played(history, requests, start, vec![early, late, open], measure) })
}

/// A script that buys before the opening and after the close.
pub(crate) struct EarlyBirdRules;

impl Rules for EarlyBirdRules {
    fn plan(&self, stampede: Plan) -> Plan {
        Plan { buyers: 200, ..stampede }
    }

    fn who(&self, plan: &Plan) -> String {
        plan.counted("try outside the window", "tries outside the window")
    }

    fn contended(&self, _plan: &Plan) -> bool {
        true
    }

    fn figure(&self, run: &Run) -> String {
        format!("{} orders", run.measured())
    }
}
