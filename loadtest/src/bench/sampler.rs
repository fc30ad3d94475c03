//! The samples of a round.

use std::sync::Arc;

use anyhow::Context;
use tokio::time::sleep;

use super::{
    CONNECTIONS, FREQUENCY_WINDOW, LONGEST, PACED, Size, WHILE_HELD,
    cost::cost,
    layers::{CALLS, cached, reserve},
    load::{self, Load, Wanted},
    refusals::{Refused, SoldOut, mixed},
    sales::{Asking, Market, Sold, WARM_UP, plan, sell},
    wrk,
};
use crate::{
    lab::{Lab, observe, shop_process::ShopProcess, usage::Processors},
    record::{
        Consumer,
        bench::{Sample, Subject},
    },
    version::{VERSIONS, Version},
};

/// Takes the samples, one after the other.
pub(super) struct Sampler<'a, S> {
    pub(super) lab: &'a Lab,
    pub(super) size: Size,
    pub(super) seed: u64,
    /// Gets each sample.
    pub(super) show: S,
    /// The number of the round, from 1.
    pub(super) round: u32,
    pub(super) samples: Vec<Sample>,
}

impl<S: FnMut(&Sample)> Sampler<'_, S> {
    pub(super) fn add(
        &mut self,
        subject: Subject,
        connections: usize,
        per_second: f64,
        more: impl FnOnce(Sample) -> Sample,
    ) {
        let sample = more(Sample::new(self.round, subject, connections, per_second));
        (self.show)(&sample);
        self.samples.push(sample);
    }

    /// The no-op or bare hyper, with the requests that the sold-out shop refuses.
    pub(super) async fn nothing(
        &mut self,
        subject: Subject,
        shop: &ShopProcess,
        sold_out: &SoldOut,
        connections: usize,
    ) -> anyhow::Result<()> {
        let (buyers, lasts) = (sold_out.market.buyers.clone(), self.size.lasts);
        let pids: Vec<u32> = shop.pid().into_iter().collect();
        let before = Processors::read(&pids);
        let (shop, wanted) = (shop.address, Wanted::Unit);
        let loaded = load::run(Load { shop, connections, buyers, repeats: true, lasts, rate: None, wanted }).await?;
        let cost = cost(&before, &pids, loaded.counted, &[Consumer::Shop, Consumer::Generator]);
        self.refused(subject, connections, Refused { cost, wrong: mixed(&loaded), loaded });
        Ok(())
    }

    pub(super) async fn by_wrk(
        &mut self,
        no_op: &ShopProcess,
        sold_out: &SoldOut,
        connections: usize,
    ) -> anyhow::Result<()> {
        if wrk::is_installed() {
            let script = wrk::script(&sold_out.market.buyers[0])?;
            let seconds = self.size.lasts.as_secs().max(1);
            let url = format!("http://{}", no_op.address);
            let rate = wrk::wrk(1, connections, seconds, &script, &url).await?;
            self.add(Subject::Wrk, connections, rate, |sample| sample);
        }
        Ok(())
    }

    pub(super) async fn refusals(&mut self, sold_out: &SoldOut, connections: usize) -> anyhow::Result<()> {
        let refused = sold_out.refuse(self.lab, connections, self.size.lasts).await?;
        self.refused(Subject::Refuse, connections, refused);
        let refused = sold_out.path(self.lab, connections, self.size.lasts).await?;
        self.refused(Subject::Path, connections, refused);
        Ok(())
    }

    fn refused(&mut self, subject: Subject, connections: usize, Refused { loaded, cost, wrong }: Refused) {
        let more = |sample| Sample { latency_ms: loaded.latency, cost, wrong, ..sample };
        self.add(subject, connections, loaded.per_second(), more);
    }

    /// One sale of each version.
    pub(super) async fn sales(&mut self, connections: usize) -> anyhow::Result<()> {
        let seed = self.seed + u64::from(self.round) - 1;
        for version in VERSIONS {
            let (buyers, lasts) = match version {
                Version::V6 => (self.size.buyers, LONGEST),
                Version::V1 | Version::V2 | Version::V3 | Version::V4 | Version::V5 => {
                    (self.size.buyers_of_others, self.size.lasts)
                }
            };
            let asking = Asking { connections, lasts, rate: None };
            let mut sold = sell(self.lab, &plan(version, WARM_UP + buyers, seed), asking).await?;
            if version == Version::V6 {
                // The answers and their cost are `sell`, the rows `confirmed`.
                let (latency_ms, cost, wrong) = (sold.loaded.latency.take(), sold.cost.take(), sold.wrong.clone());
                let more = |sample| Sample { latency_ms, cost, wrong, ..sample };
                self.add(Subject::Sell, connections, sold.loaded.per_second(), more);
            }
            self.sold(Subject::Orders(version), connections, sold);
        }
        Ok(())
    }

    fn sold(&mut self, subject: Subject, connections: usize, sold: Sold) {
        let Sold { loaded, per_second, to_confirmed, cost, wrong, .. } = sold;
        let (latency_ms, to_confirmed_ms) = (loaded.latency, to_confirmed);
        let more = |sample| Sample { latency_ms, to_confirmed_ms, cost, wrong, ..sample };
        self.add(subject, connections, per_second, more);
    }

    /// An open loop at half of the rate that chapter 6 confirmed in this round.
    pub(super) async fn paced(&mut self) -> anyhow::Result<()> {
        let confirmed = Subject::Orders(Version::V6);
        let last = self.samples.iter().rfind(|one| one.subject == confirmed && one.per_second > 0.0);
        let Some(rate) = last.map(|one| one.per_second / 2.0) else { return Ok(()) };
        let buyers = (rate * self.size.paced.as_secs_f64()).ceil() as usize;
        let asking = Asking { connections: PACED, lasts: LONGEST, rate: Some(rate) };
        let sold = sell(self.lab, &plan(Version::V6, WARM_UP + buyers, self.seed), asking).await?;
        self.sold(Subject::Paced, PACED, sold);
        Ok(())
    }

    pub(super) async fn layers(&mut self, sold_out: &SoldOut) -> anyhow::Result<()> {
        let [_, connections] = CONNECTIONS;
        if let Some(loaded) = cached(sold_out, connections, self.size.lasts).await? {
            self.refused(Subject::EdgeCache, connections, Refused { cost: None, wrong: mixed(&loaded), loaded });
        }
        let stores = sold_out.market.deployment.stores.as_ref().context("chapter 6 has stores")?;
        for (subject, per_call) in [(Subject::ReserveSingly, 1), (Subject::ReserveInBatches, 32)] {
            let rate = reserve(stores, self.size.attempts, per_call).await?;
            self.add(subject, CALLS, rate, |sample| sample);
        }
        Ok(())
    }

    /// Sells many units, and then a few more while they are held.
    pub(super) async fn held(&mut self, held: usize) -> anyhow::Result<()> {
        let (loads, buyers) = WHILE_HELD;
        let market = Market::open(self.lab, &plan(Version::V6, held + loads as usize * buyers, self.seed)).await?;
        let stores = market.deployment.stores.as_ref().context("chapter 6 has stores")?;
        let memory = async || anyhow::Ok(observe::redis(stores).await?.memory as f64);
        let before = memory().await?;
        let (first, others) = market.buyers.split_at(held);
        let [connections, many] = CONNECTIONS;
        let asking = Asking { connections: many, lasts: 2 * LONGEST, rate: None };
        let filled = market.sell(self.lab, first.into(), asking).await?;
        sleep(FREQUENCY_WINDOW).await;
        let bytes = (memory().await? - before) / filled.orders.max(1) as f64;
        for (round, buyers) in (1..).zip(others.chunks(buyers)) {
            self.round = round;
            let asking = Asking { connections, ..asking };
            let Sold { loaded, cost, wrong, .. } = market.sell(self.lab, Arc::from(buyers), asking).await?;
            let too_few = || format!("{} of {held} units were held: {}", filled.orders, filled.loaded.says());
            let wrong = wrong.or_else(|| (filled.orders < held as u64).then(too_few));
            let reservation_bytes = Some(bytes);
            let more = |sample| Sample { latency_ms: loaded.latency, cost, reservation_bytes, wrong, ..sample };
            self.add(Subject::Held, connections, loaded.per_second(), more);
        }
        market.close(self.lab).await
    }
}
