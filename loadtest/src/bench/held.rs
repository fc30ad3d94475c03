//! What an order costs in sales with few units held, and with many.

use super::{
    LONGEST,
    growth::{Buyers, CONNECTIONS, Growth},
    sales::{Asking, Market},
    sampler::Sampler,
};
use crate::record::bench::{Many, Sample};

/// Connections that fill a sale until enough units are held.
const FILLING: usize = 256;

/// A sale with units held, in a shop of its own.
struct HeldSale {
    held: usize,
    market: Market,
    next: Buyers,
    /// Why fewer are held; `None` if there are as many.
    wrong: Option<String>,
}

impl<S: FnMut(&Sample)> Sampler<'_, S> {
    /// Sells in all sales in turns, so that a slow moment of the machine is no difference between them. The smaller sales are new in
    /// each round, because each load adds to what is held.
    pub(super) async fn among_held(&mut self, growth: &Growth) -> anyhow::Result<()> {
        let Some((&most, fewer)) = growth.held.split_last() else { return Ok(()) };
        let mut largest = self.fill(most, growth.loads as usize * growth.buyers).await?;
        for round in 1..=growth.loads {
            let mut sales = Vec::new();
            for &held in fewer {
                sales.push(self.fill(held, growth.buyers).await?);
            }
            let markets: Vec<_> = sales.iter().chain([&largest]).map(|sale| &sale.market).collect();
            self.settle(&markets, growth).await?;
            for sale in sales.iter_mut().chain([&mut largest]) {
                let mut sold = self.sell(&sale.market, sale.next.take(growth.buyers), CONNECTIONS).await?;
                sold.wrong = sold.wrong.or_else(|| sale.wrong.clone());
                self.grown(round, sale.held, Many::Held, CONNECTIONS, sold, None);
            }
            for sale in sales {
                sale.market.close(self.lab).await?;
            }
        }
        largest.market.close(self.lab).await
    }

    /// A sale with this many units held, and buyers for `more`.
    async fn fill(&self, held: usize, more: usize) -> anyhow::Result<HeldSale> {
        let market = self.open(held + more, 1).await?;
        let mut next = Buyers::of(&market);
        let asking = Asking { connections: FILLING, lasts: 6 * LONGEST, rate: None };
        let filled = market.sell(self.lab, next.take(held), asking).await?;
        let too_few = || format!("{} of {held} units were held: {}", filled.orders, filled.loaded.says());
        let wrong = (filled.orders < held as u64).then(too_few);
        Ok(HeldSale { held, market, next, wrong })
    }
}
