//! The room the runs happen in: the database server, a fresh database for each run, a folder for what is written.
//!
//! `servers` are private ones. `database` and `stores` are what a run has on them, `shop_process` is a shop, and `deployment` all of
//! that for one run. `target` is a shop that already runs. `observe` looks at it from outside. `machine`, `open_files` and `faketime` are about the machine itself.

mod backend;
pub mod database;
pub(crate) mod deployment;
pub mod faketime;
pub mod machine;
pub mod observe;
pub mod open_files;
pub mod servers;
pub mod shop_process;
pub mod stores;
pub mod target;

use std::path::PathBuf;

use anyhow::{Context, bail};
use sqlx::{AnyPool, AssertSqlSafe};
use tempfile::TempDir;
use tokio::sync::{Mutex, OnceCell};
use url::Url;
use v1_naive::shop::config::sqlite_url;

pub use self::{backend::Backend, database::FreshDatabase};
use self::{
    database::{Database, connect},
    servers::{
        Server::{Provider, RabbitMq, Redis},
        Services,
    },
    stores::Stores,
};
use crate::version::Version;

const POSTGRES: servers::Server = servers::Server::Postgres;

/// What a program of ours needs to run shops.
pub struct Lab {
    /// The program that can be started as `serve` and as `keeper`.
    pub loadtest: PathBuf,
    /// A folder for logs and SQLite files, removed with the lab.
    pub folder: TempDir,
    /// Whether others work in this process, so that its processor time is not the generator's: as in tests.
    pub(crate) shares_process: bool,
    server: Option<Server>,
    /// Started when the first version needs them.
    stores: OnceCell<StoreServers>,
    /// Names of the databases made here.
    made: Mutex<Vec<String>>,
}

/// Redis, RabbitMQ and the payment provider.
struct StoreServers {
    redis: Url,
    amqp: Url,
    provider: Url,
    /// Whether Redis and RabbitMQ are somebody's.
    others: bool,
    /// Those that are ours.
    _private: Option<Services>,
}

impl StoreServers {
    fn with(&self, namespace: &str) -> Stores {
        let StoreServers { redis, amqp, provider, .. } = self;
        let (redis, amqp, provider) = (redis.clone(), amqp.clone(), provider.clone());
        Stores { redis, amqp, provider, namespace: namespace.into() }
    }
}

struct Server {
    url: Url,
    admin: AnyPool,
    /// Ours, or somebody's.
    private: Option<Services>,
}

impl Lab {
    /// Opens a lab; starts the server if `backend` wants one.
    ///
    /// # Errors
    /// The server is not installed, does not start, or does not answer.
    pub async fn open(loadtest: PathBuf, backend: &Backend) -> anyhow::Result<Lab> {
        sqlx::any::install_default_drivers();
        let folder = tempfile::Builder::new().prefix("oversold-run-").tempdir()?;
        let (url, private) = match backend {
            Backend::Sqlite => {
                return Ok(Lab::with(loadtest, folder, None));
            }
            Backend::Server(url) => (url.clone(), None),
            Backend::Postgres => {
                let program = loadtest.clone();
                let services = tokio::task::spawn_blocking(move || Services::start(&program, &[POSTGRES])).await??;
                (services.url(POSTGRES).context("PostgreSQL has no URL")?.clone(), Some(services))
            }
        };
        let admin = connect(&url).await?;
        // Counts statements; a server of somebody's may not have it, and then they are not counted.
        let _ = sqlx::query("create extension if not exists pg_stat_statements").execute(&admin).await;
        Ok(Lab::with(loadtest, folder, Some(Server { url, admin, private })))
    }

    /// Opens a lab on these servers, all three of them. They are the caller's, to be killed while something runs in the lab.
    ///
    /// # Errors
    /// One of them was not started, or PostgreSQL does not answer.
    pub async fn on(loadtest: PathBuf, services: &Services) -> anyhow::Result<Lab> {
        let url = |server: servers::Server| {
            services.url(server).cloned().with_context(|| format!("{server} is not one of these servers"))
        };
        let lab = Lab::open(loadtest, &Backend::Server(url(POSTGRES)?)).await?;
        let (redis, amqp, provider) = (url(Redis)?, url(RabbitMq)?, url(Provider)?);
        let stores = StoreServers { redis, amqp, provider, others: true, _private: None };
        Ok(Lab { stores: OnceCell::new_with(Some(stores)), ..lab })
    }

    /// The same lab in a process in which others work, too.
    pub fn in_shared_process(self) -> Lab {
        Lab { shares_process: true, ..self }
    }

    fn with(loadtest: PathBuf, folder: TempDir, server: Option<Server>) -> Lab {
        Lab { loadtest, folder, shares_process: false, server, stores: OnceCell::new(), made: Mutex::default() }
    }

    /// Opens a lab on PostgreSQL if it is installed, else on SQLite.
    ///
    /// # Errors
    /// As [`Lab::open`].
    pub async fn open_best(loadtest: PathBuf) -> anyhow::Result<Lab> {
        let backend = if POSTGRES.is_installed() { Backend::Postgres } else { Backend::Sqlite };
        Lab::open(loadtest, &backend).await
    }

    /// Whether its databases are PostgreSQL's.
    pub fn has_postgres(&self) -> bool {
        self.server.is_some()
    }

    /// Why this lab has no room for a version; nothing if it has.
    pub fn lacks_for(&self, version: Version) -> Option<String> {
        if !version.needs_stores() {
            return None;
        }
        if self.server.is_none() {
            return Some(format!("{version} needs PostgreSQL, Redis and RabbitMQ: `make services` installs them"));
        }
        let missing = [Redis, RabbitMq].into_iter().filter(|server| given(*server).is_none() && !server.is_installed());
        let missing: Vec<_> = missing.map(|server| server.to_string()).collect();
        (!missing.is_empty())
            .then(|| format!("{version} needs {}, too: `make services` installs it", missing.join(" and ")))
    }

    /// Keys and queues that nobody has used yet, beside a database. The servers are those of REDIS_URL and AMQP_URL, or
    /// private ones that are started now.
    ///
    /// # Errors
    /// A server is not installed, or does not start.
    pub async fn fresh_stores(&self, database: &FreshDatabase) -> anyhow::Result<Stores> {
        if let Some(lacking) = self.lacks_for(Version::V6) {
            bail!(lacking);
        }
        let start = async || {
            // Redis and RabbitMQ are both somebody's, or both ours.
            let others = given(Redis).is_some() && given(RabbitMq).is_some();
            let is_given = |server| given(server).is_some() && (others || server == Provider);
            let missing: Vec<_> = [Redis, RabbitMq, Provider].into_iter().filter(|&one| !is_given(one)).collect();
            let program = self.loadtest.clone();
            let services = tokio::task::spawn_blocking(move || Services::start(&program, &missing)).await??;
            let url = |server: servers::Server| match services.url(server) {
                Some(url) => Ok(url.clone()),
                None => given(server)
                    .unwrap_or_default()
                    .parse()
                    .with_context(|| format!("{} is not a URL", server.variable())),
            };
            let (redis, amqp, provider) = (url(Redis)?, url(RabbitMq)?, url(Provider)?);
            anyhow::Ok(StoreServers { redis, amqp, provider, others, _private: Some(services) })
        };
        let servers = self.stores.get_or_try_init(start).await?;
        Ok(servers.with(&database.name))
    }

    /// A pool on the server itself, for watching a run from outside.
    pub fn admin(&self) -> Option<&AnyPool> {
        self.server.as_ref().map(|server| &server.admin)
    }

    /// A new, empty database.
    ///
    /// # Errors
    /// The server's.
    pub async fn fresh_database(&self) -> anyhow::Result<FreshDatabase> {
        let name = format!("oversold_{:016x}", fastrand::u64(..));
        let Some(server) = &self.server else {
            let url = sqlite_url(&self.folder.path().join(format!("{name}.db")))?;
            return Ok(FreshDatabase { url, kind: Database::Sqlite, name });
        };
        let create = format!("create database {name}");
        sqlx::query(AssertSqlSafe(create)).execute(&server.admin).await.context("cannot create a database")?;
        self.made.lock().await.push(name.clone());
        let mut url = server.url.clone();
        url.set_path(&name);
        Ok(FreshDatabase { url, kind: Database::Postgres, name })
    }

    /// Removes a database and whoever is still connected to it.
    ///
    /// # Errors
    /// The server's.
    pub async fn remove(&self, database: FreshDatabase) -> anyhow::Result<()> {
        self.drop_database(&database.name).await
    }

    /// Removes what a broken-off run has left on somebody's servers, and stops our own; with those goes what is on them.
    pub async fn close(self) {
        let others = self.stores.get().filter(|stores| stores.others);
        let is_private = self.server.as_ref().is_some_and(|server| server.private.is_some());
        for name in self.made.lock().await.iter() {
            if let Some(others) = others {
                let _ = others.with(name).remove().await;
            }
            if !is_private {
                let _ = self.drop_database(name).await;
            }
        }
    }

    async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        if let Some(server) = &self.server {
            let drop = format!("drop database if exists {name} with (force)");
            sqlx::query(AssertSqlSafe(drop)).execute(&server.admin).await?;
        }
        Ok(())
    }
}

/// Where somebody's server is.
fn given(server: servers::Server) -> Option<String> {
    std::env::var(server.variable()).ok()
}
