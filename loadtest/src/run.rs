//! One run from end to end: a fresh database, the shops, the crowd, the audit, the verdict.

use std::{net::SocketAddr, time::Duration};

use nix::sys::resource::{UsageWho, getrusage};
use sqlx::AnyPool;
use v1_naive::shop::sales::Sale;

use crate::{
    audit::audit,
    bystander::Watched,
    history::{Answer, Latency, outcomes, oversold_after, timeline},
    lab::{FreshDatabase, Lab},
    ledger::Ledger,
    observe,
    promise::{Conditions, Promise, promise},
    record::{Latencies, Run},
    shop_process::ShopProcess,
    stampede::{self, Crowd, Progress, Stampede},
    text::thousands,
    version::Version,
};

/// The first sale of a run. The shop's own, which nobody asked for, is below it.
const FIRST_SALE: i64 = 1001;
/// A generator that takes more of the machine than this measures itself.
const GENERATOR_SHARE: f64 = 0.5;
/// Shorter runs are over before shares of a processor mean anything.
const LONG_ENOUGH: Duration = Duration::from_millis(500);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The version.
    pub version: Version,
    /// Its variant.
    pub variant: Option<String>,
    /// Whether bystanders are to be measured, too.
    pub bystander: bool,
    /// Buyers; each asks once.
    pub buyers: usize,
    /// Units of each sale.
    pub stock: i64,
    /// Sales the buyers are spread over.
    pub sales: usize,
    /// Instances of the shop.
    pub instances: usize,
    /// Connections the buyers share.
    pub connections: usize,
    /// Database connections of each instance.
    pub pool: u32,
    /// Decides the order of the buyers.
    pub seed: u64,
    /// Further arguments for the shop.
    pub shop_args: Vec<String>,
}

impl Plan {
    /// The stampede of the book: 10,000 buyers, 100 units, 1,000 connections.
    pub fn stampede(version: Version, variant: Option<&str>) -> Plan {
        Plan {
            version,
            variant: variant.map(str::to_owned),
            bystander: false,
            buyers: 10_000,
            stock: 100,
            sales: 1,
            instances: 1,
            connections: 1000,
            pool: 16,
            seed: 1,
            shop_args: Vec::new(),
        }
    }

    /// `v2-pessimistic process-lock`.
    pub fn title(&self) -> String {
        let variant = self.variant.iter().map(|variant| format!(" {variant}")).collect::<String>();
        format!("{}{variant}", self.version)
    }

    /// The crowd in a sentence.
    pub fn describe(&self) -> String {
        let count = |n: usize| thousands(n as i64);
        let Plan { buyers, connections, sales, .. } = *self;
        let each = if sales > 1 { format!(" in each of {sales} sales") } else { String::new() };
        format!(
            "{} buyers, {} units{each}, {} connections, {} database connections per instance; milliseconds from the start",
            count(buyers),
            count(self.stock as usize),
            count(connections.min(buyers)),
            self.pool
        )
    }

    fn shop_args(&self, database: &FreshDatabase) -> Vec<String> {
        let mut args = self.shop_args.clone();
        args.extend(["--database-url".into(), database.url.to_string(), "--pool-size".into(), self.pool.to_string()]);
        args.extend(self.variant.iter().flat_map(|variant| ["--variant".into(), variant.clone()]));
        args
    }
}

/// Carries out a plan; `progress` counts the buyers served.
///
/// # Errors
/// The shop does not start or goes away, or the database fails.
pub async fn run(lab: &Lab, plan: &Plan, progress: Progress) -> anyhow::Result<Run> {
    let database = lab.fresh_database().await?;
    let mut shops = Vec::new();
    for n in 0..plan.instances {
        let log = lab.folder.path().join(format!("{}-{n}.log", database.name()));
        shops.push(ShopProcess::start(&lab.loadtest, plan.version, &plan.shop_args(&database), log).await?);
    }
    let pool = database.connect().await?;
    let run = measure(lab, plan, &database, &pool, &shops, progress).await;
    for shop in shops {
        shop.stop().await;
    }
    pool.close().await;
    lab.remove(database).await?;
    run
}

async fn measure(
    lab: &Lab,
    plan: &Plan,
    database: &FreshDatabase,
    pool: &AnyPool,
    shops: &[ShopProcess],
    progress: Progress,
) -> anyhow::Result<Run> {
    let shops: Vec<SocketAddr> = shops.iter().map(|shop| shop.address).collect();
    let sales: Vec<i64> = (FIRST_SALE..).take(plan.sales).collect();
    for &sale in &sales {
        Sale::open(sale, plan.stock).insert(pool).await?;
    }
    let crowd =
        Crowd { shops: shops.clone(), sales, buyers: plan.buyers, connections: plan.connections, seed: plan.seed };

    let watched = match plan.bystander {
        true => {
            let sale = FIRST_SALE + plan.sales as i64;
            let server = lab.admin().map(|admin| (admin.clone(), database.name().to_owned()));
            Some(Watched::begin(shops[0], pool, sale, plan.buyers as i64 + 1, server).await?)
        }
        false => None,
    };
    let mut before = (None, 0.0);
    let stampede = stampede::run(&crowd, progress, async || {
        before = (observe::statements(lab.admin(), database.name()).await, processor_seconds());
    });
    let Stampede { history, requests, elapsed } = stampede.await?;
    let generator_share = (processor_seconds() - before.1) / elapsed.as_secs_f64() / cores();
    let too_slow = generator_share > GENERATOR_SHARE && elapsed >= LONG_ENOUGH;
    let statements = observe::statements(lab.admin(), database.name()).await;
    let bystander = match watched {
        Some(watched) => Some(watched.end(pool).await?),
        None => None,
    };

    let outcomes = outcomes(&history);
    let latency_ms = Latencies {
        bought: Latency::of(&history, |answer| matches!(answer, Answer::Bought { .. })),
        refused: Latency::of(&history, |answer| matches!(answer, Answer::Refused(_))),
    };
    let audit = audit(&history, &Ledger::read(pool, &crowd.sales).await?);
    let promised = promise(Conditions {
        version: plan.version,
        variant: plan.variant.as_deref(),
        instances: plan.instances,
        bystander: plan.bystander,
        database: database.kind,
        contended: plan.buyers as i64 > plan.stock * plan.sales as i64 && plan.connections > 1,
    });
    let counters = observe::counters(&shops).await?;
    let deadlocks = counters.get("deadlocks").copied().unwrap_or_default();
    let verdict = if too_slow {
        "invalid: the generator was the bottleneck"
    } else if promised == Promise::MayBreak {
        "measured"
    } else if promised.kept(&audit, deadlocks, bystander.as_ref()) {
        "as promised"
    } else {
        "not as promised"
    };
    let seconds = elapsed.as_secs_f64();
    Ok(Run {
        version: plan.version.to_string(),
        variant: plan.variant.clone(),
        scenario: if plan.bystander { "bystander" } else { "stampede" }.into(),
        database: database.kind.into(),
        instances: plan.instances,
        buyers: plan.buyers,
        stock: plan.stock * plan.sales as i64,
        sales: plan.sales,
        connections: plan.connections.min(plan.buyers),
        pool: plan.pool,
        shop_args: plan.shop_args.clone(),
        seed: plan.seed,
        outcomes,
        requests,
        seconds,
        requests_per_second: requests as f64 / seconds,
        latency_ms,
        timeline: timeline(&history),
        oversold_after_ms: match plan.sales {
            1 => oversold_after(&history, plan.stock).map(|moment| moment.as_secs_f64() * 1e3),
            _ => None, // each sale has its own
        },
        statements_per_order: match (before.0, statements) {
            (Some(before), Some(after)) if audit.orders > 0 => Some((after - before) as f64 / audit.orders as f64),
            _ => None,
        },
        counters,
        bystander,
        generator_share,
        promised: promised.word().into(),
        verdict: verdict.into(),
        audit,
    })
}

/// Processor time that this process has taken so far, in seconds.
fn processor_seconds() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return 0.0 };
    [usage.user_time(), usage.system_time()].iter().map(|t| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6).sum()
}

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}
