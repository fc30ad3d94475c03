//! The scheduler: a database, and for each buyer an instance whose one connection passes through a wire. It is built once;
//! between interleavings only the rows are reset.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use sqlx::{AnyPool, AssertSqlSafe};
use tokio::{sync::watch, task::JoinSet};
use url::Url;
use v1_naive::shop::sales::Sale;

use super::{
    keys::Keys,
    step::Row,
    wire::{Wire, Wires, proxy},
};
use crate::{
    buyer::{
        click::{buy, open_sale},
        client::{Connection, Link},
    },
    lab::{FreshDatabase, Lab, shop_process::ShopProcess},
    version::{Variant, Version, title},
};

/// The sale that buyers buy from. The shop's own sale has id 1.
pub(crate) const SALE: i64 = 2;

/// The most buyers. They are named by letters, and more of them have too many interleavings to wait for.
pub const MOST_BUYERS: usize = 4;

/// A version to explore, with its buyers and stock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The version.
    pub version: Version,
    /// Its variant, if it is one.
    pub variant: Option<Variant>,
    /// The number of buyers; each has its own instance.
    pub buyers: usize,
    /// The units of the sale.
    pub stock: i64,
}

impl Subject {
    /// Checks that this can be explored.
    ///
    /// # Errors
    /// The version is v4 or later, or the number of buyers is out of range.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.version <= Version::V3,
            "interleavings are explored for v1, v2 and v3 only: v4 and v5 sell with v3's purchase, v6 decides in Redis"
        );
        ensure!((1..=MOST_BUYERS).contains(&self.buyers), "there can be 1 to {MOST_BUYERS} buyers, A to D");
        Ok(())
    }

    /// The version and variant: `v2-pessimistic process-lock`.
    pub fn title(&self) -> String {
        title(self.version, self.variant)
    }

    /// The shops' arguments, which keep time out of the result: no timeout ends during an interleaving, and retries come at once.
    fn shop_args(&self) -> Vec<String> {
        let mut args = vec!["--pool-size=1", "--pool-timeout=600", "--request-timeout=600"];
        match self.version {
            Version::V2 => args.push("--lock-timeout-ms=60000"),
            Version::V3 => args.extend(["--backoff-base-ms=1", "--backoff-cap-ms=1"]),
            Version::V1 | Version::V4 | Version::V5 | Version::V6 => {}
        }
        let args = args.into_iter().map(str::to_owned);
        args.chain(self.variant.iter().map(|variant| format!("--variant={variant}"))).collect()
    }
}

/// A database, and instances whose connections pass through wires.
pub struct Scheduler {
    /// What is explored.
    pub subject: Subject,
    pub(crate) wires: Wires,
    pub(crate) shops: Vec<ShopProcess>,
    pub(crate) link: Arc<Link>,
    /// A pool that bypasses the wires, to read locks and rows.
    pub(crate) pool: AnyPool,
    /// The keys of the shop's tables.
    pub(crate) keys: Keys,
    has_version: bool,
    database: FreshDatabase,
    _proxies: JoinSet<()>,
}

impl Scheduler {
    /// Starts everything. Every instance handles one purchase and one refusal first, so that its statements are already prepared.
    ///
    /// # Errors
    /// The version cannot be explored, the lab has no PostgreSQL, or an instance does not start.
    pub async fn build(lab: &Lab, subject: &Subject) -> anyhow::Result<Scheduler> {
        subject.check()?;
        ensure!(lab.has_postgres(), "SQLite has no wire to hold: interleavings are explored on PostgreSQL");
        let database = lab.fresh_database().await?;
        let (host, port) = (database.url.host_str(), database.url.port().unwrap_or(5432));
        let server = format!("{}:{port}", host.context("the database's URL has no host")?);
        let wires = watch::Sender::new((0..subject.buyers).map(|_| Wire::default()).collect());
        let (mut proxies, mut shops) = (JoinSet::new(), Vec::new());
        for n in 0..subject.buyers {
            let address = proxy::listen(n, server.clone(), wires.clone(), &mut proxies).await?;
            let url = by_way_of(&database.url, address.port())?;
            let args: Vec<_> = [format!("--database-url={url}")].into_iter().chain(subject.shop_args()).collect();
            let log = lab.folder.path().join(format!("{}-{n}.log", database.name()));
            shops.push(ShopProcess::start(&lab.loadtest, subject.version, &args, log).await?);
        }
        let pool = database.connect().await?;
        let has_version = sqlx::query("select version from sales").fetch_optional(&pool).await.is_ok();
        let keys = Keys::read(&pool).await.context("cannot read the database's catalog")?;
        Sale::open(SALE, 1).insert(&pool).await?;
        let link = Arc::new(open_sale(&mut Connection::open(shops[0].address).await?, SALE).await?);
        let subject = subject.clone();
        let scheduler = Scheduler { subject, wires, shops, link, pool, keys, has_version, database, _proxies: proxies };
        scheduler.warm_up().await?;
        Ok(scheduler)
    }

    /// Every instance sells one unit and refuses one buyer.
    async fn warm_up(&self) -> anyhow::Result<()> {
        for shop in &self.shops {
            self.put_back(1).await?;
            let mut connection = Connection::open(shop.address).await?;
            for expected in ["bought", "sold-out"] {
                let (answer, _) = buy(&mut connection, &self.link, 1).await;
                ensure!(answer.kind() == expected, "{}: {}, not {expected}", self.subject.title(), answer.kind());
            }
        }
        Ok(())
    }

    /// Resets the sale: nothing is sold, and there are no orders.
    pub(crate) async fn put_back(&self, stock: i64) -> anyhow::Result<()> {
        let version = if self.has_version { ", version = 0" } else { "" };
        let update = format!("update sales set sold = 0, stock = $2{version} where id = $1");
        sqlx::query(AssertSqlSafe(update)).bind(SALE).bind(stock).execute(&self.pool).await?;
        sqlx::query("delete from orders where sale_id = $1").bind(SALE).execute(&self.pool).await?;
        Ok(())
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        self.database.name()
    }

    /// The PostgreSQL process ids of the buyers' sessions.
    pub fn pids(&self) -> Vec<Option<i32>> {
        self.wires.borrow().iter().map(|wire| wire.pid).collect()
    }

    /// The sale as committed.
    ///
    /// # Errors
    /// The database fails.
    pub async fn row(&self) -> anyhow::Result<Row> {
        let version = if self.has_version { "version" } else { "0::bigint" };
        let select = format!(
            "select sold, (select count(*) from orders where sale_id = $1), {version} from sales where id = $1"
        );
        let (sold, orders, version): (i64, i64, i64) =
            sqlx::query_as(AssertSqlSafe(select)).bind(SALE).fetch_one(&self.pool).await?;
        Ok(Row { sold, orders, version: self.has_version.then_some(version) })
    }

    /// The process ids that hold the locks that process `pid` waits for.
    pub(crate) async fn blocked_by(&self, pid: i32) -> anyhow::Result<Vec<i32>> {
        let select = "select array_to_string(pg_blocking_pids($1), ' ')";
        let pids: String = sqlx::query_scalar(select).bind(pid).fetch_one(&self.pool).await?;
        Ok(pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
    }

    /// Stops the instances and drops the database.
    ///
    /// # Errors
    /// The database cannot be dropped.
    pub async fn close(self, lab: &Lab) -> anyhow::Result<()> {
        for shop in self.shops {
            let _ = tokio::time::timeout(Duration::from_secs(20), shop.stop()).await;
        }
        self.pool.close().await;
        lab.remove(self.database).await
    }
}

/// The URL of the same database through the proxy, without TLS, because the proxy has to read the statements.
fn by_way_of(url: &Url, port: u16) -> anyhow::Result<Url> {
    let mut held = url.clone();
    let further: Vec<_> = url.query_pairs().filter(|(key, _)| key != "sslmode").collect();
    held.query_pairs_mut().clear().extend_pairs(further).append_pair("sslmode", "disable");
    held.set_host(Some("127.0.0.1"))?;
    held.set_port(Some(port)).ok().context("the database's URL cannot have a port")?;
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxied_url_disables_tls_and_keeps_other_parameters() {
        let url = "postgres://me:secret@db.example:5433/shop?sslmode=prefer&application_name=x".parse().unwrap();
        let held = by_way_of(&url, 7).unwrap();
        assert_eq!(held.as_str(), "postgres://me:secret@127.0.0.1:7/shop?application_name=x&sslmode=disable");
    }

    #[test]
    fn what_cannot_be_explored_is_refused() {
        let subject = |version, buyers| {
            Subject { version, variant: None, buyers, stock: 1 }.check().map_err(|why| why.to_string())
        };
        assert!(subject(Version::V4, 2).unwrap_err().contains("v6 decides in Redis"));
        assert!(subject(Version::V1, 5).unwrap_err().contains("A to D"));
        assert_eq!(subject(Version::V3, 2), Ok(()));
    }
}
