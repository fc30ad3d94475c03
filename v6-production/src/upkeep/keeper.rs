use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Upkeep, Why, reconcile::Findings};
use crate::{catalogue::Catalogue, lease::Lease, supervise, transport::Link};

/// How often the leader looks whether Redis has every sale.
const EVERY: Duration = Duration::from_millis(250);
/// Looks in a row that find Redis wrong, until it is believed: longer than the catalogue takes to know of a change.
const LOOKS: u32 = 4;
/// How often the others ask whether there is a leader.
const STAND_BY: Duration = Duration::from_millis(500);
/// Sales that are rebuilt at the same time.
const AT_ONCE: usize = 4;

impl Upkeep {
    /// Keeps Redis in line with SQL until `stop`: rebuilds what it has lost, and compares.
    ///
    /// One instance of all does, the holder of a lease, so that they do not do everything several times. What must not be done
    /// twice at once is guarded by the lease of each sale.
    pub(crate) async fn run(self, catalogue: Arc<Catalogue>, stop: CancellationToken) {
        let (this, catalogue, stop) = (&self, &catalogue, &stop);
        supervise::keep("upkeep", stop, || async move {
            while !stop.is_cancelled() {
                if let Some(lease) = Lease::take(&this.sql, "upkeep").await? {
                    let kept = lease.while_held(this.keep(catalogue, stop)).await;
                    lease.release().await;
                    return kept;
                }
                let _ = stop.run_until_cancelled(sleep(STAND_BY)).await;
            }
            Ok(())
        })
        .await;
    }

    async fn keep(&self, catalogue: &Catalogue, stop: &CancellationToken) -> anyhow::Result<()> {
        tracing::info!("this instance keeps Redis in line with SQL");
        let (mut compared, mut said, mut wrong) = (Instant::now(), HashMap::new(), HashMap::new());
        while !stop.is_cancelled() {
            let known = catalogue.all();
            let sales: Vec<i64> = known.keys().copied().collect();
            let made = self.redis.made(&sales).await?;
            let mut lost = Vec::new();
            for (sale_id, made) in sales.iter().zip(made) {
                let sale = &known[sale_id];
                if sale.epoch != made.epoch {
                    lost.push(*sale_id);
                } else if !sale.is_as_in(&made) {
                    self.tell_terms(sale).await?;
                }
            }
            // Broken off, it leaves nothing that the next leader could not begin anew.
            let _ = stop.run_until_cancelled(self.rebuild_all(lost)).await;
            let is_time = compared.elapsed() >= self.reconcile_every;
            let to_compare: Vec<i64> = match is_time {
                true => sales,
                false => wrong.keys().copied().collect(),
            };
            if is_time {
                compared = Instant::now();
            }
            if !to_compare.is_empty() {
                let link = self.link().await; // or its queues are not counted
                for sale_id in to_compare {
                    self.compare(link.as_ref(), sale_id, &mut said, &mut wrong).await?;
                }
            }
            let _ = stop.run_until_cancelled(sleep(EVERY)).await;
        }
        Ok(())
    }

    /// Side by side: one that has to wait keeps no other sale closed.
    async fn rebuild_all(&self, lost: Vec<i64>) {
        let rebuilding = lost.into_iter().map(|sale_id| self.rebuild(sale_id, Why::Lost));
        let mut rebuilding = stream::iter(rebuilding).buffer_unordered(AT_ONCE);
        while let Some(rebuilt) = rebuilding.next().await {
            match rebuilt {
                Ok(Some(rebuilt)) => tracing::warn!("Redis had lost it: {rebuilt}"),
                Ok(None) => {}
                Err(error) => tracing::warn!("{error:#}; trying again"),
            }
        }
    }

    /// A difference is said once, and has to be there for some looks in a row before the sale is rebuilt for it: a change of window or
    /// stock is told meanwhile.
    async fn compare(
        &self,
        link: Option<&Link>,
        sale_id: i64,
        said: &mut HashMap<i64, Findings>,
        wrong: &mut HashMap<i64, u32>,
    ) -> anyhow::Result<()> {
        let found = self.reconcile(link, sale_id).await?;
        if found.differ() && said.get(&sale_id) != Some(&found) {
            tracing::warn!("{found}");
            said.insert(sale_id, found.clone());
        }
        if found.left.is_none() || !found.is_wrong() {
            wrong.remove(&sale_id);
            return Ok(());
        }
        let looks = wrong.entry(sale_id).or_default();
        *looks += 1;
        if *looks >= LOOKS {
            wrong.remove(&sale_id);
            if let Some(rebuilt) = self.rebuild(sale_id, Why::Asked).await? {
                tracing::warn!("Redis was wrong: {rebuilt}");
            }
        }
        Ok(())
    }
}
