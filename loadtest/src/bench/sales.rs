//! Sales with a unit for every buyer: `sell`, `confirmed`, the orders of chapters 1 to 5, and a sale with many held reservations.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;
use v1_naive::shop::sales::Sale;

use super::{
    SALE,
    cost::Meter,
    load::{self, Load, Loaded, Wanted},
};
use crate::{
    buyer::{
        crowd::{self, Buyer, Crowd},
        progress::Progress,
    },
    lab::{Lab, deployment::Deployment, observe},
    record::bench::Cost,
    render::text::thousands,
    scenario::{Stage, plan::Plan},
    verdict::latency::Latency,
    version::Version,
};

/// Buyers who come before those who are measured. They open the shop's connections to the database and prepare its statements.
pub const WARM_UP: usize = 200;
/// No buyer of the warm-up asks after this time.
const WARM_UP_LASTS: Duration = Duration::from_secs(1);
/// How long reservations may take to become orders after the last answer.
const TO_BE_CONFIRMED: Duration = Duration::from_secs(60);
/// Connections on which the buyers get their purchase URLs before the load.
const PREPARING: usize = 64;

/// Sales with a unit for each buyer, in a shop and a database of their own.
pub(super) struct Market {
    pub(super) deployment: Deployment,
    pub(super) buyers: Arc<[Buyer]>,
    /// The ids of the sales: [`SALE`] and the next ones.
    sales: Vec<i64>,
}

/// How the buyers of a sale ask.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// Connections that they share.
    pub connections: usize,
    /// No buyer asks after this time.
    pub lasts: Duration,
    /// Buyers per second of an open loop; `None` for a closed loop.
    pub rate: Option<f64>,
}

/// The result of a sale.
#[derive(Debug)]
pub struct Sold {
    /// The answers. Those that count promise a unit.
    pub loaded: Loaded,
    /// Orders for which a unit was taken: rows, but no more than `sold` grew by. An order of a lost update took none.
    pub orders: u64,
    /// Orders per second. Chapter 6's count until the last row, the others' until the end of the load.
    pub per_second: f64,
    /// From the reservation to the row; `None` without reservations.
    pub to_confirmed: Option<Latency>,
    /// What an order cost; `None` without orders.
    pub cost: Option<Cost>,
    /// Why this was no sale to everybody; `None` if it was.
    pub wrong: Option<String>,
}

/// The plan of a sale with a unit for each of the buyers. No limit of the shop has an effect.
pub fn plan(version: Version, buyers: usize, seed: u64) -> Plan {
    let mut shop_args = version.wide_limits();
    if version.needs_stores() {
        shop_args.push("--frequency-buyers=10000000"); // more than can come in one window
    }
    let shop_args = shop_args.into_iter().map(str::to_owned).collect();
    Plan { buyers, stock: buyers as i64, seed, shop_args, ..Plan::stampede(version, None) }
}

/// Puts up the sale of a plan, gives each buyer a purchase URL, and sells. The first [`WARM_UP`] buyers come before the others and do
/// not count.
///
/// # Errors
/// The shop does not start or stops answering, or a server fails.
pub async fn sell(lab: &Lab, plan: &Plan, asking: Asking) -> anyhow::Result<Sold> {
    let market = Market::open(lab, plan).await?;
    let (first, others) = market.buyers.split_at(WARM_UP.min(market.buyers.len()));
    let sold = match market.sell(lab, first.into(), Asking { rate: None, lasts: WARM_UP_LASTS, ..asking }).await {
        Ok(_) => market.sell(lab, others.into(), asking).await,
        Err(error) => Err(error),
    };
    market.close(lab).await?;
    sold
}

impl Market {
    pub(super) async fn open(lab: &Lab, plan: &Plan) -> anyhow::Result<Market> {
        let deployment = Deployment::build(lab, plan).await?;
        let shops: Vec<_> = deployment.shops.iter().map(|shop| shop.address).collect();
        let Deployment { database, stores, pool, .. } = &deployment;
        let (stores, progress) = (stores.as_ref(), Progress::default());
        let stage = Stage { shops: &shops, pool, database: &database.url, stores, plan, sale: SALE, progress };
        let sales: Vec<i64> = (SALE..).take(plan.sales).collect();
        let open: Vec<_> = sales.iter().map(|sale| Sale::open(*sale, plan.stock)).collect();
        stage.put_up(&open).await?;
        let (buyers, seed) = (plan.buyers, plan.seed);
        let crowd = Crowd { shops, sales: sales.clone(), buyers, connections: PREPARING, seed, ..Crowd::default() };
        let buyers = crowd::prepare(&crowd).await?.into();
        Ok(Market { deployment, buyers, sales })
    }

    /// Sells to these buyers and waits until the database has their orders.
    pub(super) async fn sell(&self, lab: &Lab, buyers: Arc<[Buyer]>, asking: Asking) -> anyhow::Result<Sold> {
        let Asking { connections, lasts, rate } = asking;
        let shop = self.deployment.shops[0].address;
        let load = Load { shop, connections, buyers, repeats: false, lasts, rate, wanted: Wanted::Unit };
        let before = self.orders().await?;
        let meter = Meter::begin(lab, &self.deployment).await;
        let loaded = load::run(load).await?;
        let has_stores = self.deployment.stores.is_some();
        if has_stores {
            self.wait_until_sold(before.sold + loaded.counted).await?;
        }
        // What is read below is no cost of an order.
        let cost = meter.end(lab, &self.deployment).await;
        let now = self.orders().await?;
        let (rows, sold) = (now.rows - before.rows, now.sold.saturating_sub(before.sold));
        let orders = rows.min(sold);
        let cost = cost.and_then(|cost| cost.each(orders));
        let times = match has_stores {
            true => observe::reservations(&self.deployment.pool, &self.sales, Some(loaded.began_at)).await?,
            false => None,
        };
        let last = times.as_ref().and_then(|times| times.last_commit_ms);
        let per_second = match last {
            Some(ms) => orders as f64 * 1e3 / ms.max(1) as f64,
            None => loaded.per_second() * orders as f64 / loaded.counted.max(1) as f64,
        };
        let wrong = wrong(&loaded, rows);
        let to_confirmed = times.map(|times| times.to_confirmed_ms);
        Ok(Sold { orders, per_second, to_confirmed, cost, wrong, loaded })
    }

    pub(super) async fn close(mut self, lab: &Lab) -> anyhow::Result<()> {
        self.deployment.stop_shops().await;
        self.deployment.remove(lab).await
    }

    /// Waits until the database has counted this many units as sold, at most a minute.
    async fn wait_until_sold(&self, units: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.sold().await? < units && begun.elapsed() < TO_BE_CONFIRMED {
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn sold(&self) -> anyhow::Result<u64> {
        let query = sqlx::query_scalar("select cast(sum(sold) as bigint) from sales where id >= $1").bind(SALE);
        let sold: i64 = query.fetch_one(&self.deployment.pool).await?;
        Ok(sold as u64)
    }

    async fn orders(&self) -> anyhow::Result<Orders> {
        let query = "select count(*) from orders where sale_id >= $1 and status in ('confirmed', 'paid')";
        let rows: i64 = sqlx::query_scalar(query).bind(SALE).fetch_one(&self.deployment.pool).await?;
        Ok(Orders { rows: rows as u64, sold: self.sold().await? })
    }
}

/// What the database has of the sales.
struct Orders {
    rows: u64,
    sold: u64,
}

/// Why this was no sale to everybody; `None` if it was. There is a unit for each buyer, so `sold-out` is false, and each yes has a
/// row. A buyer without an answer may have one.
fn wrong(loaded: &Loaded, rows: u64) -> Option<String> {
    let (yes, [unknown, sold_out]) = (loaded.counted, ["unknown", "sold-out"].map(|kind| loaded.others.get(kind)));
    let most = yes + unknown.copied().unwrap_or_default();
    if yes == 0 || sold_out.is_some() {
        return Some(format!("there is a unit for each buyer, and the answers are: {}", loaded.says()));
    }
    let [told, rows_in_words] = [yes, rows].map(|n| thousands(n as i64));
    (!(yes..=most).contains(&rows))
        .then(|| format!("{told} buyers were promised a unit, and {rows_in_words} have a row"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(counted: u64, others: &[(&str, u64)]) -> Loaded {
        let others = others.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect();
        Loaded { counted, others, ..Loaded::default() }
    }

    #[test]
    fn a_yes_needs_a_row_and_a_refusal_none() {
        assert_eq!(wrong(&loaded(10, &[]), 10), None);
        assert_eq!(wrong(&loaded(10, &[("conflict", 3), ("overloaded", 2)]), 10), None);
        assert_eq!(wrong(&loaded(10, &[("unknown", 2)]), 12), None);
        for (loaded, rows) in [
            (loaded(0, &[("sold-out", 10)]), 0),
            (loaded(0, &[]), 0),
            (loaded(9, &[("sold-out", 1)]), 9),
            (loaded(10, &[]), 9),
            (loaded(10, &[("conflict", 3)]), 11),
            (loaded(10, &[("unknown", 2)]), 13),
        ] {
            assert!(wrong(&loaded, rows).is_some(), "{loaded:?}, {rows} rows");
        }
    }
}
