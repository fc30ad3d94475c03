//! What an order costs while there are many of something: units held, connections, sales, or old orders.

use std::{fs, net::SocketAddr, ops::Range, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use tokio::time::sleep;

use super::{
    FREQUENCY_WINDOW, LONGEST,
    sales::{Asking, Market, Sold, plan},
    sampler::Sampler,
};
use crate::{
    buyer::{client::Connection, crowd::Buyer},
    record::bench::{Many, Sample, Subject},
    scenario::plan::Plan,
    version::Version,
};

/// Connections where it is not their number that grows.
pub(super) const CONNECTIONS: usize = 64;

/// How many of each there are.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    /// Units that are held.
    pub held: &'static [usize],
    /// Connections.
    pub connections: &'static [usize],
    /// Sales at a time.
    pub sales: &'static [usize],
    /// Old orders.
    pub old_orders: &'static [usize],
    /// Buyers of a load.
    pub buyers: usize,
    /// Loads with each number.
    pub loads: u32,
    /// How long the servers rest after many orders, before a load.
    pub settles: Duration,
}

impl Growth {
    /// Takes about seven minutes.
    pub const FULL: Growth = Growth {
        held: &[1000, 10_000, 100_000, 1_000_000],
        connections: &[16, 64, 256, 1000, 10_000],
        sales: &[1, 10, 100, 1000],
        old_orders: &[0, 1_000_000],
        buyers: 10_000,
        loads: 5,
        settles: FREQUENCY_WINDOW,
    };

    /// Takes seconds.
    pub const QUICK: Growth = Growth {
        held: &[100, 1000],
        connections: &[16, 64],
        sales: &[1, 10],
        old_orders: &[0, 1000],
        buyers: 200,
        loads: 1,
        settles: Duration::ZERO,
    };
}

impl<S: FnMut(&Sample)> Sampler<'_, S> {
    /// Measures all growth, and what durability costs.
    pub(super) async fn growth(&mut self, growth: &Growth) -> anyhow::Result<()> {
        self.among_held(growth).await?;
        self.among_connections(growth).await?;
        for &sales in growth.sales {
            self.among_sales(growth, sales).await?;
        }
        self.among_old_orders(growth).await?;
        self.durability(growth.loads, growth.buyers).await
    }

    async fn among_connections(&mut self, growth: &Growth) -> anyhow::Result<()> {
        let market = self.open(growth.connections.len() * growth.loads as usize * growth.buyers, 1).await?;
        let most = growth.connections.last().copied().unwrap_or_default();
        let bytes = bytes_of_connections(&market, most).await?;
        let mut next = Buyers::of(&market);
        for round in 1..=growth.loads {
            for &connections in growth.connections {
                let sold = self.sell(&market, next.take(growth.buyers), connections).await?;
                let bytes = bytes.filter(|_| connections == most);
                self.grown(round, connections, Many::Connections, connections, sold, bytes);
            }
        }
        market.close(self.lab).await
    }

    async fn among_sales(&mut self, growth: &Growth, sales: usize) -> anyhow::Result<()> {
        let market = self.open(growth.loads as usize * growth.buyers, sales).await?;
        let mut next = Buyers::of(&market);
        for round in 1..=growth.loads {
            let sold = self.sell(&market, next.take(growth.buyers), CONNECTIONS).await?;
            self.grown(round, sales, Many::Sales, CONNECTIONS, sold, None);
        }
        market.close(self.lab).await
    }

    async fn among_old_orders(&mut self, growth: &Growth) -> anyhow::Result<()> {
        let steps = growth.old_orders.len() * growth.loads as usize;
        let market = self.open(steps * growth.buyers, 1).await?;
        let (mut next, mut old) = (Buyers::of(&market), 0);
        for &orders in growth.old_orders {
            insert_old_orders(&market, old..orders).await?;
            self.settle(&[&market], growth).await?;
            old = orders;
            for round in 1..=growth.loads {
                let sold = self.sell(&market, next.take(growth.buyers), CONNECTIONS).await?;
                self.grown(round, orders, Many::OldOrders, CONNECTIONS, sold, None);
            }
        }
        market.close(self.lab).await
    }

    /// Ends the work that many orders leave to the servers: freeing the counts of attempts, autovacuum, a checkpoint. Otherwise they
    /// would do it in the middle of a load that did not cause it.
    pub(super) async fn settle(&self, markets: &[&Market], growth: &Growth) -> anyhow::Result<()> {
        sleep(growth.settles).await;
        for market in markets {
            sqlx::query("vacuum analyze orders").execute(&market.deployment.pool).await?;
        }
        let admin = self.lab.admin().context("the benchmark runs on PostgreSQL")?;
        sqlx::query("checkpoint").execute(admin).await?;
        Ok(())
    }

    pub(super) async fn open(&self, buyers: usize, sales: usize) -> anyhow::Result<Market> {
        let stock = buyers.div_ceil(sales) as i64;
        Market::open(self.lab, &Plan { stock, sales, ..plan(Version::V6, buyers, self.seed) }).await
    }

    pub(super) async fn sell(&self, market: &Market, buyers: Arc<[Buyer]>, connections: usize) -> anyhow::Result<Sold> {
        market.sell(self.lab, buyers, Asking { connections, lasts: LONGEST, rate: None }).await
    }

    pub(super) fn grown(
        &mut self,
        round: u32,
        n: usize,
        many: Many,
        connections: usize,
        sold: Sold,
        bytes: Option<f64>,
    ) {
        self.round = round;
        let Sold { loaded, cost, to_confirmed: to_confirmed_ms, wrong, .. } = sold;
        let (latency_ms, connection_bytes) = (loaded.latency, bytes);
        let more = |sample| Sample { latency_ms, to_confirmed_ms, cost, connection_bytes, wrong, ..sample };
        self.add(Subject::Among(n, many), connections, loaded.per_second(), more);
    }
}

/// Hands out the buyers of a market, each once.
pub(super) struct Buyers {
    all: Arc<[Buyer]>,
    next: usize,
}

impl Buyers {
    pub(super) fn of(market: &Market) -> Self {
        Buyers { all: market.buyers.clone(), next: 0 }
    }

    /// The next `n`.
    pub(super) fn take(&mut self, n: usize) -> Arc<[Buyer]> {
        let first = self.next;
        self.next = (first + n).min(self.all.len());
        self.all[first..self.next].into()
    }
}

/// Bytes of the shop's memory for each of `n` open connections that have sent one request; `None` without `/proc`.
async fn bytes_of_connections(market: &Market, n: usize) -> anyhow::Result<Option<f64>> {
    let shop = &market.deployment.shops[0];
    let Some((pid, before)) = shop.pid().and_then(|pid| Some((pid, resident_bytes(pid)?))) else { return Ok(None) };
    let mut open = Vec::new();
    for _ in 0..n {
        open.push(ask_for_nothing(shop.address).await?);
    }
    Ok(resident_bytes(pid).map(|now| (now - before) / n as f64))
}

async fn ask_for_nothing(shop: SocketAddr) -> anyhow::Result<Connection> {
    let mut connection = Connection::open(shop).await?;
    connection.get("/healthz", None).await?;
    Ok(connection)
}

/// The memory of a process that is in main memory; `None` without `/proc`.
fn resident_bytes(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"))?;
    kib.trim().parse::<f64>().ok().map(|kib| kib * 1024.0)
}

/// Inserts orders of a sale that has ended: paid ones, and expired ones whose units were given back.
async fn insert_old_orders(market: &Market, numbers: Range<usize>) -> anyhow::Result<()> {
    let pool = &market.deployment.pool;
    let sale = "insert into sales (id, name, price_cents, stock, sold, opens_at, closes_at)
                values (1, 'an earlier sale', 100, $1, 0, 0, 1) on conflict do nothing";
    let orders = "insert into orders (id, sale_id, buyer_id, status, path, request, reserved_at, confirmed_at, pay_by, given_back)
                  select n, 1, n, case when n % 2 = 0 then 'paid' else 'expired' end, n, n, 1, 1, 1, true
                  from generate_series($1, $2) n";
    let Range { start, end } = numbers;
    sqlx::query(sale).bind(end as i64).execute(pool).await.context("the earlier sale")?;
    let inserted =
        sqlx::query(orders).bind(start as i64 + 1).bind(end as i64).execute(pool).await.context("old orders")?;
    ensure!(inserted.rows_affected() == (end - start) as u64, "{} old orders were inserted", inserted.rows_affected());
    Ok(())
}
