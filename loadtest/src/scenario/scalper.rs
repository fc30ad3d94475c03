use std::{cell::Cell, net::Ipv4Addr, time::Instant};

use v1_naive::shop::sales::Sale;

use super::{Measure, Played, Stage, bought, told};
use crate::{
    buyer::{buy, open_sale},
    client::Connection,
    history::Told,
};

/// The buyer who wants everything.
const SCALPER: i64 = 666;
/// Its connections.
const CONNECTIONS: usize = 50;
/// The share of tries that may get as far as the database.
const AS_FAR_AS_SQL: f64 = 0.1;

/// One buyer tries as often as the plan has buyers, each time from another address: units it gets. Its tries are also not to
/// reach the database, which is what the frequency cap is for.
///
/// # Errors
/// The database's, or the shop's when it does not answer.
pub async fn play(stage: &Stage<'_>) -> anyhow::Result<Played> {
    let (sale_id, tries) = (stage.sale, stage.plan.buyers);
    Sale::open(sale_id, stage.plan.stock).insert(stage.pool).await?;
    let (next, start) = (Cell::new(0), Instant::now());
    let attack = async |n: usize, until: usize| {
        let mut connection = Connection::open(stage.shops[n % stage.shops.len()]).await?;
        let link = open_sale(&mut connection, sale_id).await?;
        let (mut history, mut requests) = (Vec::new(), 0);
        loop {
            let n = next.get();
            if n >= until {
                return anyhow::Ok((history, requests));
            }
            next.set(n + 1);
            connection.from = Some(Ipv4Addr::from_bits(0x0a00_0000 + n as u32));
            let wanted = start.elapsed();
            let (answer, steps) = buy(&mut connection, &link, SCALPER).await;
            requests += steps;
            history.push(Told { buyer_id: SCALPER, sale_id, wanted, answered: start.elapsed(), answer });
        }
    };
    // The first try alone, or the scalper would stand in its own way; then everything at once.
    let (mut history, mut requests) = attack(0, 1).await?;
    let rest = async |n: usize| attack(n, tries).await;
    let (more, sent) = super::at_once(CONNECTIONS.min(tries), rest).await?;
    history.extend(more);
    requests += sent;
    let units = bought(&history);
    let in_sql = units + told(&history, "limit-reached");
    let quiet = in_sql as f64 <= (tries as f64 * AS_FAR_AS_SQL).max(1.0);
    Ok(Played {
        sales: vec![sale_id],
        requests,
        elapsed: start.elapsed(),
        measure: Some(Measure::new("units that one buyer got", units as f64, units <= 1 && quiet)),
        bystander: None,
        flood: None,
        history,
    })
}
