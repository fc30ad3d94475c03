use std::time::Duration;

use sqlx::AnyPool;
use tokio::{sync::watch, task::JoinHandle, time::sleep};
use v1_naive::shop::sales::Sale;

use super::{
    Stage,
    open_loop::{Coming, Visitors},
};
use crate::{
    audit::audit,
    history::{Latency, Told, outcomes},
    ledger::Ledger,
    observe,
    record::Bystander,
};

/// The times by which a bystander's p99 grows before we say that it starves.
pub const STARVES: f64 = 5.0;
/// More than bystanders can buy.
const PLENTY: i64 = 1_000_000;
/// Bystanders a second.
const RATE: f64 = 100.0;
/// Connections they may have open.
const CONNECTIONS: usize = 5000;
/// How long they have had the page open when they click.
const READS: Duration = Duration::from_secs(1);
/// They stay until they know.
const PATIENCE: Duration = Duration::from_secs(60);

/// The other sale during a stampede: its buyers, and the locks that are waited for.
pub struct Beside {
    sale: i64,
    alone: Vec<Told>,
    stop: watch::Sender<bool>,
    beside: Coming,
    lock_waiters: Option<JoinHandle<i64>>,
}

impl Beside {
    /// Puts the sale up, lets bystanders come alone for as long as the plan says, and has the next ones coming. `server` is
    /// where to ask for waiting locks, and the name of the database.
    ///
    /// # Errors
    /// The database's, or the shop's when it does not answer.
    pub async fn begin(stage: &Stage<'_>, server: Option<(AnyPool, String)>) -> anyhow::Result<Beside> {
        let plan = stage.plan;
        let sale = stage.sale + plan.sales as i64;
        let first_buyer = plan.buyers as i64 + 1;
        stage.put_up(&[Sale::open(sale, PLENTY)]).await?;
        let (stop, stopped) = watch::channel(false);
        let visitors = Visitors {
            shops: stage.shops.to_vec(),
            sale_id: sale,
            first_buyer,
            rate: RATE,
            from: Vec::new(),
            connections: CONNECTIONS,
            reads: READS,
            patience: PATIENCE,
        };
        let coming = visitors.clone().come_apart(stopped)?;
        sleep(READS + plan.lasts).await;
        stop.send_replace(true);
        let alone = coming.await??;

        let (stop, stopped) = watch::channel(false);
        let visitors = Visitors { first_buyer: after(first_buyer, &alone), ..visitors };
        let beside = visitors.come_apart(stopped.clone())?;
        sleep(READS).await; // now they click
        let lock_waiters = server.map(|(admin, name)| tokio::spawn(observe::lock_waiters(admin, name, stopped)));
        Ok(Beside { sale, alone, stop, beside, lock_waiters })
    }

    /// Lets no more come, and compares.
    ///
    /// # Errors
    /// The database's, or the shop's when it does not answer.
    pub async fn end(self, stage: &Stage<'_>) -> anyhow::Result<Bystander> {
        self.stop.send_replace(true);
        let beside = self.beside.await??;
        let lock_waiters = match self.lock_waiters {
            Some(waiters) => Some(waiters.await?),
            None => None,
        };
        // A quick `come back later` is no service.
        let latency = |history: &[Told]| Latency::of(history.iter().filter(|told| told.is_decided()), |_| true);
        if let Some(stores) = stage.stores {
            stores.wait_until_quiet(&[self.sale]).await?;
        }
        let (before, after) = (latency(&self.alone), latency(&beside));
        let outcomes = outcomes(&beside);
        let all: Vec<Told> = self.alone.into_iter().chain(beside).collect();
        Ok(Bystander {
            p99_ratio: before.zip(after).map(|(before, after)| after.p99 / before.p99),
            alone: before,
            beside: after,
            outcomes,
            lock_waiters,
            audit: audit(&all, &Ledger::read(stage.pool, stage.stores, &[self.sale]).await?),
        })
    }
}

/// The first buyer who is none of those who came. Some numbers are missing: who had not clicked when the last one came went away.
fn after(first_buyer: i64, came: &[Told]) -> i64 {
    came.iter().map(|told| told.buyer_id + 1).max().unwrap_or(first_buyer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Answer;

    #[test]
    fn no_bystander_comes_twice() {
        let (wanted, answered, answer) = (Duration::ZERO, Duration::ZERO, Answer::Unknown);
        let told = |buyer_id| Told { buyer_id, sale_id: 1, wanted, answered, answer: answer.clone() };
        assert_eq!(after(11, &[told(11), told(14), told(12)]), 15);
        assert_eq!(after(11, &[]), 11);
    }
}
