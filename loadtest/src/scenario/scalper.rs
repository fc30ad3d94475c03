//! One buyer who tries to get many units.

use std::{net::Ipv4Addr, time::Instant};

use v1_naive::shop::sales::Sale;

use super::{
    Played, Stage,
    honest::{buy_beside, few_tries},
    plan::Plan,
    rules::Rules,
    stage::LONGEST,
};
use crate::{
    buyer::{
        click::{buy, open_sale},
        client::Connection,
    },
    record::{Measure, Run},
    verdict::history::{Told, told},
};

/// The scalper's buyer id.
const SCALPER: i64 = 666;
/// The largest share of requests that may reach the database.
const AS_FAR_AS_SQL: f64 = 0.1;

/// One buyer tries to buy as often as the plan has buyers, each time from another IP address. The figure is the units it gets.
/// The frequency cap must also keep its requests away from the database. Meanwhile honest buyers of the same sale must each get a
/// unit.
///
/// # Errors
/// The database fails, or the shop does not answer.
pub async fn play(stage: &Stage<'_>) -> anyhow::Result<Played> {
    let sale_id = stage.sale;
    stage.put_up(&[Sale::open(sale_id, stage.plan.stock)]).await?;
    let start = Instant::now();
    let ((history, requests), beside) =
        tokio::try_join!(script(stage, start), buy_beside(stage.shops, sale_id, start, None))?;
    // Counted in the database: a unit whose buyer got no answer is a unit, too.
    let units = stage.ledger(&[sale_id]).await?.orders_of(SCALPER);
    // Without a store in front of it, the database itself refuses a buyer who has a unit.
    let refused_by_sql = if stage.stores.is_none() { told(&history, "limit-reached") } else { 0 };
    let in_sql = units + refused_by_sql;
    let quiet = in_sql as f64 <= (history.len() as f64 * AS_FAR_AS_SQL).max(1.0);
    let measure = Measure::new("units that one buyer got", units as f64, units <= 1 && quiet);
    let invalid = few_tries(history.len(), stage.plan.buyers);
    Ok(Played { invalid, ..beside.played(history, requests, start, vec![sale_id], measure) })
}

/// The scalper's requests, one after the other. Concurrent ones would invalidate each other's purchase URLs.
async fn script(stage: &Stage<'_>, start: Instant) -> anyhow::Result<(Vec<Told>, u64)> {
    let mut connections = Vec::new();
    for &shop in stage.shops {
        connections.push(Connection::open(shop).await?);
    }
    let link = open_sale(&mut connections[0], stage.sale).await?;
    let (mut history, mut requests) = (Vec::new(), 0);
    for n in (0..stage.plan.buyers).take_while(|_| start.elapsed() < LONGEST) {
        let instance = n % connections.len();
        let connection = &mut connections[instance];
        connection.from = Some(Ipv4Addr::from_bits(10 << 24 | n as u32));
        let wanted = start.elapsed();
        let (answer, steps) = buy(connection, &link, SCALPER).await;
        requests += steps;
        history.push(Told {
            buyer_id: SCALPER,
            sale_id: stage.sale,
            wanted,
            sent: wanted,
            answered: start.elapsed(),
            answer,
        });
    }
    Ok((history, requests))
}

/// One buyer who tries to get many units.
pub(crate) struct ScalperRules;

impl Rules for ScalperRules {
    fn plan(&self, stampede: Plan) -> Plan {
        Plan { buyers: 1000, ..stampede }
    }

    fn who(&self, plan: &Plan) -> String {
        format!("one buyer, {}", plan.counted("try", "tries"))
    }

    fn contended(&self, plan: &Plan) -> bool {
        plan.buyers > 1 && plan.stock > 1
    }

    fn figure(&self, run: &Run) -> String {
        let units = run.measured();
        format!("{units} unit{}", if units == 1.0 { "" } else { "s" })
    }
}
