use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{AsyncCommands, RedisResult};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Upkeep, findings::Findings, rebuild::Why, walk::Walk};
use crate::{
    catalogue::{Catalogue, SaleRow},
    lease::Lease,
    shop::sales::now_ms,
    sql::in_time,
    supervise,
    transport::Link,
};

/// How often the leader checks that Redis has every sale.
const EVERY: Duration = Duration::from_millis(250);
/// Comparisons in a row that must find Redis wrong before it is rebuilt. They take longer than the catalogue takes to see a change.
const LOOKS: u32 = 4;
/// How often other instances try to become the leader.
const STAND_BY: Duration = Duration::from_millis(500);
/// How many sales are rebuilt at the same time.
const AT_ONCE: usize = 4;

impl Upkeep {
    /// Keeps Redis consistent with SQL until `stop`: rebuilds lost sales, and compares the others.
    ///
    /// One instance, the leader, does this. It holds the lease `upkeep`, which only avoids duplicate work. The lease of each sale
    /// protects what must not be done twice at the same time.
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
        let (mut compared, mut watched) = (Instant::now(), HashMap::<i64, Watched>::new());
        while !stop.is_cancelled() {
            let known = catalogue.all();
            let sales: Vec<i64> = known.keys().copied().collect();
            // While one primary of a cluster is away, the sales of the others are kept.
            let made = self.redis.made(&sales).await?;
            let mut lost = Vec::new();
            for (sale_id, made) in &made {
                let sale = &known[sale_id];
                if sale.epoch != made.epoch {
                    lost.push(*sale_id);
                } else if !sale.is_as_in(made) {
                    self.tell_terms(sale).await?;
                }
            }
            // If it is cancelled, the next leader can start it again.
            let _ = stop.run_until_cancelled(self.rebuild_all(&known, lost)).await;
            let is_time = compared.elapsed() >= self.reconcile_every;
            if is_time {
                compared = Instant::now();
                watched.retain(|sale_id, _| known.contains_key(sale_id));
            }
            let is_due = |sale_id: &i64| is_time || watched.get(sale_id).is_some_and(|sale| sale.wrong > 0);
            let due: Vec<i64> = made.into_keys().filter(is_due).collect();
            if !due.is_empty() {
                let link = self.link().await; // without a connection, the queues are not counted
                for sale_id in due {
                    self.compare(link.as_ref(), sale_id, watched.entry(sale_id).or_default()).await?;
                }
            }
            let _ = stop.run_until_cancelled(sleep(EVERY)).await;
        }
        Ok(())
    }

    /// Rebuilds sales concurrently, so that one that has to wait does not keep the others closed. The queue is drained once for all
    /// of them: a lost sale adds nothing to it.
    async fn rebuild_all(&self, catalogue: &HashMap<i64, Arc<SaleRow>>, mut lost: Vec<i64>) {
        self.forget_found(&mut lost).await;
        if lost.is_empty() {
            return;
        }
        self.drain().await;
        let mut rebuilding = FuturesUnordered::new();
        loop {
            while rebuilding.len() < AT_ONCE && !lost.is_empty() {
                let missed = self.missed().await;
                lost.sort_by_cached_key(|sale_id| Reverse(turn(&catalogue[sale_id], &missed, now_ms())));
                rebuilding.extend(lost.pop().map(|sale_id| {
                    tracing::info!("rebuilding sale {sale_id}");
                    self.rebuild(sale_id, Why::Lost)
                }));
            }
            let Some(rebuilt) = rebuilding.next().await else { return };
            match rebuilt {
                Ok(Some(rebuilt)) => tracing::warn!("Redis had lost it: {rebuilt}"),
                Ok(None) => {}
                Err(error) => tracing::warn!("{error:#}; trying again"),
            }
        }
    }

    /// Removes sales from `lost` that were rebuilt after the catalogue was read.
    async fn forget_found(&self, lost: &mut Vec<i64>) {
        if lost.is_empty() {
            return;
        }
        let query = sqlx::query_as("select id, epoch from sales where id = any($1)").bind(&lost[..]);
        let Ok(rows) = in_time(query.fetch_all(&self.sql)).await else { return };
        let rows: Vec<(i64, i64)> = rows;
        let ids: Vec<i64> = rows.iter().map(|(id, _)| *id).collect();
        let Ok(made) = self.redis.made(&ids).await else { return };
        let is_found = |id, epoch| made.get(&id).is_some_and(|sale| sale.epoch == epoch);
        let found: HashSet<i64> =
            rows.into_iter().filter(|&(id, epoch)| is_found(id, epoch)).map(|(id, _)| id).collect();
        lost.retain(|sale_id| !found.contains(sale_id));
    }

    /// The closed sales that buyers have asked for recently.
    async fn missed(&self) -> HashSet<i64> {
        let missed = self.redis.missed();
        let read: RedisResult<HashSet<i64>> = self.redis.with(&missed).smembers(&missed).await;
        read.unwrap_or_default() // without the set, the order is by time
    }

    /// Compares a sale. A difference is logged once. The sale is rebuilt only after several comparisons in a row, because a changed
    /// window or stock is copied to Redis meanwhile.
    async fn compare(&self, link: Option<&Link>, sale_id: i64, sale: &mut Watched) -> anyhow::Result<()> {
        let mut walk = sale.walk.clone();
        let found = self.reconcile(link, sale_id, &mut walk, false).await?;
        if found.differ() && sale.said.as_ref() != Some(&found) {
            tracing::warn!("{found}");
            sale.said = Some(found.clone());
        }
        if found.left.is_none() || !found.is_wrong() {
            (sale.walk, sale.wrong) = (walk, 0);
            return Ok(());
        }
        sale.wrong += 1; // the same part is compared again
        if sale.wrong >= LOOKS {
            sale.wrong = 0;
            if let Some(rebuilt) = self.rebuild(sale_id, Why::Asked).await? {
                tracing::warn!("Redis was wrong: {rebuilt}");
            }
        }
        Ok(())
    }
}

/// What the leader remembers about a sale.
#[derive(Default)]
struct Watched {
    /// How far the sale has been compared.
    walk: Walk,
    /// The findings that were logged last.
    said: Option<Findings>,
    /// Comparisons in a row that have found Redis wrong.
    wrong: u32,
}

/// The order of rebuilds, lowest first: open sales that buyers ask for, other open sales, then the rest by opening time.
fn turn(sale: &SaleRow, missed: &HashSet<i64>, now: i64) -> (bool, bool, i64) {
    let is_open = (sale.opens_at..sale.closes_at).contains(&now);
    (!is_open, !missed.contains(&sale.id), sale.opens_at)
}
