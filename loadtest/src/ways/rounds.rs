//! The rounds that a way plays: its rates, its calls, one and several processes, a restart, and a pause.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{bail, ensure};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    audit::Audit,
    load::{Clients, Counts, Load, Told},
    way::{Entry, Gap, Kit, Opened, Sold, Stock},
    worker::{Part, Said, Worker},
};
use crate::{
    lab::servers::{Server, Services},
    record::ways::{Calls, Contention, Pause, Rate},
    verdict::latency::Latency,
};

/// How long a rate is measured at most. A slow way then sells a part of the stock only.
const MEASURED: Duration = Duration::from_secs(1);
/// How long the other sales may take. They end with their buyers, within seconds, unless the whole machine is paused.
const LONG_ENOUGH: Duration = Duration::from_secs(3600);
/// How long a holder is paused if the others only wait. Every lease and every session of a way is shorter.
const PAUSED: Duration = Duration::from_secs(10);
/// Buyers for each unit.
const BUYERS: i64 = 10;
/// The clients where their number does not matter.
const CLIENTS: usize = 16;
/// The clients who count calls under contention.
const CROWD: usize = 64;

/// The servers, on which one way is played at a time.
pub struct Rounds {
    /// The `loadtest` program, which runs again as a worker.
    loadtest: PathBuf,
    services: Arc<Mutex<Services>>,
    contention: Contention,
}

impl Rounds {
    /// Rounds on these servers.
    pub fn new(loadtest: PathBuf, services: Services, contention: Contention) -> Rounds {
        Rounds { loadtest, services: Arc::new(Mutex::new(services)), contention }
    }

    /// The kit for one selling process, with the URLs of the way's servers.
    pub fn kit(&self, entry: &Entry, stock: Stock) -> Kit {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let urls = entry.servers.iter().filter_map(|server| Some((*server, services.url(*server)?.clone()))).collect();
        Kit { urls, stock, process: 0, processes: 1, gap: Gap::default() }
    }

    /// Opens the way and puts the stock on sale.
    async fn on_sale(&self, entry: &Entry, stock: Stock) -> anyhow::Result<(Arc<dyn Opened>, Clients)> {
        let way = entry.open(&self.kit(entry, stock)).await?;
        way.set_up().await?;
        Ok((way.clone(), Clients::of(way, stock)))
    }

    /// The rate at each number of clients.
    ///
    /// # Errors
    /// A server fails.
    pub async fn rates(&self, entry: &Entry, clients: &[usize], round: u32) -> anyhow::Result<Vec<Rate>> {
        let stock = self.contention.stock();
        let way = entry.open(&self.kit(entry, stock)).await?;
        let (mut all, mut rates) = (Clients::of(way.clone(), stock), Vec::new());
        for &clients in clients {
            way.set_up().await?;
            all.connect(clients).await?;
            let load = Load::new(clients, stock.items * stock.units * BUYERS, MEASURED);
            let told = all.play(load, &Arc::default()).await?;
            if let Some(why) = told.failed {
                bail!(why);
            }
            let audit = Audit::of(stock, &told, &way.sold().await?);
            let units = told.taken.len() as f64;
            rates.push(Rate {
                round,
                clients,
                per_second: if units > 0.0 { units / told.selling.as_secs_f64() } else { 0.0 },
                again: told.again as f64 / units.max(1.0),
                latency_ms: Latency::of_samples(told.waited),
                audit,
            });
        }
        Ok(rates)
    }

    /// The calls for each unit, without buyers who are refused.
    ///
    /// # Errors
    /// A server fails.
    pub async fn calls(&self, entry: &Entry) -> anyhow::Result<Calls> {
        let stock = self.contention.small_stock();
        let mut calls = [0.0; 2];
        for (calls, clients) in calls.iter_mut().zip([1, CROWD]) {
            let (way, mut all) = self.on_sale(entry, stock).await?;
            all.connect(clients).await?;
            let (first, before) = (way.calls().await?, way.calls().await?);
            let told = all.play(Load::new(clients, stock.items * stock.units, LONG_ENOUGH), &Arc::default()).await?;
            let after = way.calls().await?;
            ensure!(!told.taken.is_empty(), "nothing was sold: {}", told.failed.unwrap_or_default());
            let of_counting = before - first;
            *calls = (after - before).saturating_sub(of_counting) as f64 / told.taken.len() as f64;
        }
        let [alone, crowd] = calls;
        Ok(Calls { alone, crowd })
    }

    /// A sale by this number of processes. One process is this one.
    ///
    /// # Errors
    /// A server fails, or a process does not start.
    pub async fn sale(&self, entry: &Entry, processes: i64) -> anyhow::Result<Audit> {
        let stock = self.contention.small_stock();
        let (way, mut clients) = self.on_sale(entry, stock).await?;
        let load = Load::new(CLIENTS, stock.items * stock.units * BUYERS, LONG_ENOUGH);
        if processes == 1 {
            let told = clients.play(load, &Arc::default()).await?;
            return audit(stock, &told, &way.sold().await?);
        }
        let mut workers = Vec::new();
        for process in 0..processes {
            let load = Load { attempts: load.attempts / processes, first: process, step: processes, ..load };
            workers.push(self.worker(entry, stock, (process, processes), load).await?);
        }
        for worker in &mut workers {
            worker.go().await?;
        }
        let (mut told, mut sold) = (Told::default(), Sold::default());
        for worker in &mut workers {
            let (its_told, its_sold) = worker.done().await?;
            told.add(its_told);
            for (item, units) in its_sold.units {
                *sold.units.entry(item).or_default() += units;
            }
        }
        if !entry.servers.is_empty() {
            sold = way.sold().await?;
        }
        audit(stock, &told, &sold)
    }

    /// A sale during which the server that decides is killed and restarted; without a server, the process.
    ///
    /// # Errors
    /// The server does not restart.
    pub async fn restart(&self, entry: &Entry) -> anyhow::Result<Audit> {
        let stock = self.contention.small_stock();
        let units = stock.items * stock.units;
        let first = Load::new(CLIENTS, units / 2, LONG_ENOUGH);
        // The buyers of `during` ask while the server is killed, if they are not faster.
        let during = Load { first: units / 2, attempts: units / 4, outlasts_errors: true, ..first };
        let rest = Load { first: units, attempts: units * BUYERS, ..during };
        let Some(server) = entry.servers.first() else {
            let mut before = self.worker(entry, stock, (0, 1), first).await?;
            before.go().await?;
            let (mut told, _) = before.done().await?;
            before.kill().await?;
            let mut after = self.worker(entry, stock, (0, 1), rest).await?;
            after.go().await?;
            let (its_told, sold) = after.done().await?;
            let is_answered = its_told.is_answered();
            told.add(its_told);
            return audit_of_restart(stock, &told, &sold, is_answered);
        };
        let (way, mut clients) = self.on_sale(entry, stock).await?;
        let mut told = clients.play(first, &Arc::default()).await?;
        let counts = Arc::default();
        let (asked, struck) = tokio::join!(clients.play(during, &counts), self.strike(*server));
        struck?;
        told.add(asked?);
        let its_told = clients.play(rest, &Arc::default()).await?;
        let is_answered = its_told.is_answered();
        told.add(its_told);
        audit_of_restart(stock, &told, &way.sold().await?, is_answered)
    }

    /// Kills a server and restarts it.
    async fn strike(&self, server: Server) -> anyhow::Result<()> {
        let services = self.services.clone();
        spawn_blocking(move || {
            let mut services = services.lock().unwrap_or_else(PoisonError::into_inner);
            services.kill(server)?;
            services.start_again(server)
        })
        .await?
    }

    /// A sale of two units during which the process of a holder is paused between check and act.
    ///
    /// # Errors
    /// A server fails, or the way has no gap.
    pub async fn pause(&self, entry: &Entry) -> anyhow::Result<Pause> {
        let stock = Stock { items: 1, units: 2 };
        let (way, mut clients) = self.on_sale(entry, stock).await?;
        // A connection that is lost on a busy machine costs one buyer, and there are several for each unit.
        let others = Load { outlasts_errors: true, ..Load::new(4, 8, PAUSED * 2) };
        let load = Load { first: others.attempts, ..Load::new(1, 1, LONG_ENOUGH) };
        let mut holder = self.worker_that(entry, stock, (0, 2), load, true).await?;
        holder.go().await?;
        ensure!(matches!(holder.next().await?, Said::InGap), "{} has no gap between check and act", entry.name);

        holder.signal(SIGSTOP)?;
        let counts: Arc<Counts> = Arc::default();
        let mut play = std::pin::pin!(clients.play(others, &counts));
        let mut told = timeout(PAUSED, &mut play).await; // others who wait for the holder wait longer
        if told.is_err() && counts.taken.available_permits() > 0 {
            told = Ok(play.as_mut().await); // they do not wait for the holder, and are only slow
        }
        let meanwhile = counts.taken.available_permits();
        holder.signal(SIGCONT)?;
        holder.go().await?;
        let (mut all, _) = holder.done().await?;
        all.add(match told {
            Ok(told) => told?,
            Err(_) => play.await?,
        });
        Ok(Pause { meanwhile, audit: audit(stock, &all, &way.sold().await?)? })
    }

    async fn worker(&self, entry: &Entry, stock: Stock, which: (i64, i64), load: Load) -> anyhow::Result<Worker> {
        self.worker_that(entry, stock, which, load, false).await
    }

    async fn worker_that(
        &self,
        entry: &Entry,
        stock: Stock,
        (process, processes): (i64, i64),
        load: Load,
        stops_in_gap: bool,
    ) -> anyhow::Result<Worker> {
        let (way, urls) = (entry.name.to_owned(), self.kit(entry, stock).urls);
        let part = Part { way, urls, stock, process, processes, load, stops_in_gap };
        Worker::start(&self.loadtest, &part).await
    }
}

/// The audit of a load that did not end early.
fn audit(stock: Stock, told: &Told, sold: &Sold) -> anyhow::Result<Audit> {
    match &told.failed {
        Some(why) => bail!("{why}"),
        None => Ok(Audit::of(stock, told, sold)),
    }
}

/// The audit of a sale with a restart. Without any answer after it, only a mistake counts: a way that decides no more does not hold.
fn audit_of_restart(stock: Stock, told: &Told, sold: &Sold, is_answered: bool) -> anyhow::Result<Audit> {
    let audit = audit(stock, told, sold)?;
    ensure!(is_answered || !audit.holds(), "no buyer got an answer after the restart");
    Ok(audit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_after_which_nobody_is_answered_does_not_hold() {
        let stock = Stock { items: 1, units: 2 };
        let told = Told { taken: vec![(1, 7)], ..Told::default() };
        let kept = Sold::orders(told.taken.clone());
        assert!(audit_of_restart(stock, &told, &kept, true).unwrap().holds());
        assert!(audit_of_restart(stock, &told, &kept, false).is_err(), "its data are right, and it decides no more");
        let forgotten = Sold::orders(Vec::new());
        assert_eq!(audit_of_restart(stock, &told, &forgotten, false).unwrap().lost, 1, "a mistake counts anyway");
    }
}
