//! A sold-out sale of chapter 6: `refuse` and `path`.

use std::{sync::Arc, time::Duration};

use hyper::Method;
use tokio::{
    task::JoinSet,
    time::{interval, sleep},
};

use super::{
    SALE,
    cost::Meter,
    load::{self, Load, Loaded, Wanted},
    sales::{Market, plan},
};
use crate::{
    buyer::{
        click::ask,
        client::{Connection, Link},
        crowd::Buyer,
    },
    lab::Lab,
    record::bench::Cost,
    scenario::plan::Plan,
    version::Version,
};

/// Buyers whose requests are sent again and again.
const BUYERS: usize = 1000;
/// How often one buyer asks Redis for a unit. The sold-out flag of an instance lapses after a second without such an attempt.
const REFRESH: Duration = Duration::from_millis(300);
/// The least share of the answers that must be of the kind that is measured.
const MOSTLY: f64 = 0.999;

/// A sale whose only unit is sold, behind nginx if that is installed.
pub(super) struct SoldOut {
    pub(super) market: Market,
    /// Asks for a unit while this value lives.
    _refresher: JoinSet<()>,
}

/// The answers to a load of refusals.
pub(super) struct Refused {
    pub(super) loaded: Loaded,
    pub(super) cost: Option<Cost>,
    /// Why the answers were not what was to be measured; `None` if they were.
    pub(super) wrong: Option<String>,
}

impl SoldOut {
    pub(super) async fn open(lab: &Lab, nginx: bool, seed: u64) -> anyhow::Result<SoldOut> {
        let plan = Plan { stock: 1, nginx, ..plan(Version::V6, BUYERS, seed) };
        let market = Market::open(lab, &plan).await?;
        let shop = market.deployment.shops[0].address;
        let [first, second] = [0, 1].map(|n| market.buyers[n].clone());
        let mut connection = Connection::open(shop).await?;
        ask(&mut connection, &first.link, first.id).await; // takes the unit; otherwise the answers are mixed
        let mut refresher = JoinSet::new();
        refresher.spawn(refresh(connection, second));
        sleep(REFRESH).await;
        Ok(SoldOut { market, _refresher: refresher })
    }

    /// Purchases of the sold-out sale.
    pub(super) async fn refuse(&self, lab: &Lab, connections: usize, lasts: Duration) -> anyhow::Result<Refused> {
        self.answer(lab, self.market.buyers.clone(), connections, lasts).await
    }

    /// Requests for a purchase URL of the sold-out sale.
    pub(super) async fn path(&self, lab: &Lab, connections: usize, lasts: Duration) -> anyhow::Result<Refused> {
        let link = Link::new(Method::POST, &format!("/sales/{SALE}/path"))?;
        let buyers = self.market.buyers.iter().map(|buyer| Buyer { link: link.clone(), ..*buyer }).collect();
        self.answer(lab, buyers, connections, lasts).await
    }

    async fn answer(
        &self,
        lab: &Lab,
        buyers: Arc<[Buyer]>,
        connections: usize,
        lasts: Duration,
    ) -> anyhow::Result<Refused> {
        let shop = self.market.deployment.shops[0].address;
        let load = Load { shop, connections, buyers, repeats: true, lasts, rate: None, wanted: Wanted::SoldOut };
        let meter = Meter::begin(lab, &self.market.deployment).await;
        let loaded = load::run(load).await?;
        let cost = meter.end(lab, &self.market.deployment).await.and_then(|cost| cost.each(loaded.counted));
        Ok(Refused { cost, wrong: mixed(&loaded), loaded })
    }
}

/// Why these answers are not mostly of one kind; `None` if they are.
pub(super) fn mixed(loaded: &Loaded) -> Option<String> {
    let all = loaded.counted + loaded.others.values().sum::<u64>();
    (loaded.counted == 0 || (loaded.counted as f64) < MOSTLY * all as f64)
        .then(|| format!("the answers are mixed: {}", loaded.says()))
}

/// Asks for a unit again and again. A request with an `Idempotency-Key` passes the flag and reaches Redis, whose answer sets the flag.
async fn refresh(mut connection: Connection, buyer: Buyer) {
    let mut ticks = interval(REFRESH);
    for n in 0_u64.. {
        ticks.tick().await;
        connection.key = Some(format!("bench-{n}"));
        let _ = ask(&mut connection, &buyer.link, buyer.id).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_in_a_thousand_may_be_another() {
        let loaded = |counted, other| {
            let others = [("link".to_owned(), other)].into_iter().filter(|other| other.1 > 0).collect();
            Loaded { counted, others, ..Loaded::default() }
        };
        assert!(mixed(&loaded(1000, 0)).is_none() && mixed(&loaded(1000, 1)).is_none());
        assert!(
            mixed(&loaded(1000, 2)).is_some() && mixed(&loaded(30, 970)).is_some() && mixed(&loaded(0, 0)).is_some()
        );
    }
}
