//! What the runs need around them: servers, a fresh database for each run, and a folder for logs.
//!
//! `servers` are the private ones. `database` and `stores` are a run's own data on them, `shop_process` is one shop, and
//! `deployment` is all of that for one run. `target` is a shop that already runs. `observe` and `usage` measure from outside the shop. `machine`, `open_files` and `faketime` deal
//! with the host. `machines` are three of them on this one, for chapter 6 on clusters.

mod backend;
pub mod database;
pub(crate) mod deployment;
pub mod faketime;
pub mod machine;
pub mod machines;
pub mod observe;
pub mod open_files;
pub mod servers;
pub mod shop_process;
pub mod stores;
pub mod target;
pub(crate) mod usage;

use std::{fs, io, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use sqlx::{AnyPool, AssertSqlSafe};
use tempfile::TempDir;
use tokio::sync::{Mutex, OnceCell};
use url::Url;
use v1_naive::shop::config::sqlite_url;

pub use self::{backend::Backend, database::FreshDatabase};
use self::{
    database::{Database, connect},
    machines::{Machine, Machines},
    servers::{
        Server::{Provider, RabbitMq, Redis},
        Services,
    },
    stores::Stores,
};
use crate::version::Version;

const POSTGRES: servers::Server = servers::Server::Postgres;

/// The servers and the folder in which shops are run.
pub struct Lab {
    /// The `loadtest` program, which runs again as `serve` and as `keeper`.
    pub loadtest: PathBuf,
    /// A folder for logs and SQLite files. It is removed with the lab.
    pub folder: TempDir,
    /// Whether other work runs in this process, as in tests. Then its processor time is not the load generator's alone.
    pub(crate) shares_process: bool,
    server: Option<Server>,
    /// Redis, RabbitMQ and the payment provider. They start when the first version needs them.
    stores: OnceCell<StoreServers>,
    /// The machines that all servers and instances are on; `None` for single servers.
    machines: Option<Arc<Machines>>,
    /// The names of the databases that this lab has created.
    made: Mutex<Vec<String>>,
}

/// Redis, RabbitMQ and the payment provider.
struct StoreServers {
    /// One server, or the nodes of a cluster.
    redis: Vec<Url>,
    /// The same of RabbitMQ.
    amqp: Vec<Url>,
    provider: Url,
    /// Whether Redis and RabbitMQ come from `REDIS_URL` and `AMQP_URL`.
    others: bool,
    /// The private servers among them.
    _private: Option<Services>,
}

impl StoreServers {
    fn with(&self, namespace: &str) -> Stores {
        let StoreServers { redis, amqp, provider, .. } = self;
        let first = |nodes: &[Url]| (nodes[0].clone(), nodes[1..].to_vec());
        let ((redis, redis_peers), (amqp, amqp_peers)) = (first(redis), first(amqp));
        Stores { redis, redis_peers, amqp, amqp_peers, provider: provider.clone(), namespace: namespace.into() }
    }
}

struct Server {
    url: Url,
    admin: AnyPool,
    /// The private server; `None` if its URL was given.
    private: Option<Services>,
}

impl Lab {
    /// Opens a lab. Starts a private PostgreSQL for [`Backend::Postgres`].
    ///
    /// # Errors
    /// PostgreSQL is not installed, does not start, or does not answer.
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
        // Counts statements. A server that was given may lack the extension; then statements are not counted.
        let _ = sqlx::query("create extension if not exists pg_stat_statements").execute(&admin).await;
        Ok(Lab::with(loadtest, folder, Some(Server { url, admin, private })))
    }

    /// Opens a lab on all of these servers. They stay the caller's, who may kill them during a run.
    ///
    /// # Errors
    /// One of the servers was not started, or PostgreSQL does not answer.
    pub async fn on(loadtest: PathBuf, services: &Services) -> anyhow::Result<Lab> {
        let url = |server: servers::Server| {
            services.url(server).cloned().with_context(|| format!("{server} is not one of these servers"))
        };
        let lab = Lab::open(loadtest, &Backend::Server(url(POSTGRES)?)).await?;
        let (redis, amqp, provider) = (vec![url(Redis)?], vec![url(RabbitMq)?], url(Provider)?);
        let stores = StoreServers { redis, amqp, provider, others: true, _private: None };
        Ok(Lab { stores: OnceCell::new_with(Some(stores)), ..lab })
    }

    /// Opens a lab on three machines.
    ///
    /// # Errors
    /// PostgreSQL does not answer.
    pub async fn on_machines(loadtest: PathBuf, machines: Arc<Machines>) -> anyhow::Result<Lab> {
        let lab = Lab::open(loadtest, &Backend::Server(machines.postgres()?)).await?;
        let (redis, amqp, provider) = (machines.redis()?, machines.amqp()?, machines.provider()?);
        let stores = StoreServers { redis, amqp, provider, others: true, _private: None };
        Ok(Lab { stores: OnceCell::new_with(Some(stores)), machines: Some(machines), ..lab })
    }

    /// The machines that all servers and instances are on; `None` for single servers.
    pub fn machines(&self) -> Option<&Arc<Machines>> {
        self.machines.as_ref()
    }

    /// The IP address that the instances see the load test and nginx at.
    pub(crate) fn proxies(&self) -> String {
        self.machines().map_or("127.0.0.1".into(), |machines| machines.load_test().to_string())
    }

    /// The machine that an instance runs on: they take turns. `None` for this one.
    pub(crate) fn machine_of(&self, instance: usize) -> Option<Arc<Machine>> {
        let machines = self.machines.as_ref()?.all();
        machines.get(instance % machines.len()).cloned()
    }

    /// The same lab, for a process that does other work at the same time.
    pub fn in_shared_process(self) -> Lab {
        Lab { shares_process: true, ..self }
    }

    fn with(loadtest: PathBuf, folder: TempDir, server: Option<Server>) -> Lab {
        Lab {
            loadtest,
            folder,
            shares_process: false,
            server,
            stores: OnceCell::new(),
            machines: None,
            made: Mutex::default(),
        }
    }

    /// Opens a lab on PostgreSQL if it is installed, otherwise on SQLite.
    ///
    /// # Errors
    /// As [`Lab::open`].
    pub async fn open_best(loadtest: PathBuf) -> anyhow::Result<Lab> {
        let backend = if POSTGRES.is_installed() { Backend::Postgres } else { Backend::Sqlite };
        Lab::open(loadtest, &backend).await
    }

    /// Moves the logs of all runs so far into a new folder, which stays, and returns it. `name` becomes a part of its name.
    ///
    /// # Errors
    /// The temporary folder takes no files.
    pub fn keep_logs(&self, name: &str) -> io::Result<PathBuf> {
        let kept = tempfile::Builder::new().prefix(&format!("oversold-{name}-")).tempdir()?.keep();
        for log in self.logs()? {
            let to = kept.join(log.file_name().unwrap_or_default());
            fs::copy(&log, to)?;
        }
        self.forget_logs()?;
        Ok(kept)
    }

    /// Removes the logs of all runs so far. A program that still runs goes on writing to its own, unseen.
    ///
    /// # Errors
    /// The lab's folder cannot be read or changed.
    pub fn forget_logs(&self) -> io::Result<()> {
        self.logs()?.iter().try_for_each(fs::remove_file)
    }

    fn logs(&self) -> io::Result<Vec<PathBuf>> {
        let files: Vec<_> = self.folder.path().read_dir()?.map(|file| Ok(file?.path())).collect::<io::Result<_>>()?;
        Ok(files.into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "log")).collect())
    }

    /// Whether the lab's databases are on PostgreSQL.
    pub fn has_postgres(&self) -> bool {
        self.server.is_some()
    }

    /// Why this lab cannot run `version`; `None` if it can.
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

    /// Chapter 6's stores with a new namespace, named after the database. The servers are those of `REDIS_URL` and `AMQP_URL`, or
    /// private ones that are started on the first call.
    ///
    /// # Errors
    /// The lab has no PostgreSQL, a server is not installed, or it does not start.
    pub async fn fresh_stores(&self, database: &FreshDatabase) -> anyhow::Result<Stores> {
        if let Some(lacking) = self.lacks_for(Version::V6) {
            bail!(lacking);
        }
        let start = async || {
            // Redis and RabbitMQ are used from the environment only if both are given.
            let others = given(Redis).is_some() && given(RabbitMq).is_some();
            let is_given = |server| given(server).is_some() && (others || server == Provider);
            let missing: Vec<_> = [Redis, RabbitMq, Provider].into_iter().filter(|&one| !is_given(one)).collect();
            let program = self.loadtest.clone();
            let services = tokio::task::spawn_blocking(move || Services::start(&program, &missing)).await??;
            let parse = |server: servers::Server, url: &str| {
                url.parse::<Url>().with_context(|| format!("{} is not a URL", server.variable()))
            };
            let url = |server: servers::Server| match services.url(server) {
                Some(url) => Ok(url.clone()),
                None => parse(server, &given(server).unwrap_or_default()),
            };
            let nodes = |server: servers::Server| match services.url(server) {
                Some(url) => Ok(vec![url.clone()]),
                None => given(server).unwrap_or_default().split(',').map(|url| parse(server, url)).collect(),
            };
            let (redis, amqp, provider) = (nodes(Redis)?, nodes(RabbitMq)?, url(Provider)?);
            anyhow::Ok(StoreServers { redis, amqp, provider, others, _private: Some(services) })
        };
        let servers = self.stores.get_or_try_init(start).await?;
        Ok(servers.with(&database.name))
    }

    /// A pool on the PostgreSQL server, for measuring from outside; `None` with SQLite.
    pub fn admin(&self) -> Option<&AnyPool> {
        self.server.as_ref().map(|server| &server.admin)
    }

    /// Creates a new, empty database.
    ///
    /// # Errors
    /// The server fails.
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

    /// Drops a database and closes all connections to it.
    ///
    /// # Errors
    /// The server fails.
    pub async fn remove(&self, database: FreshDatabase) -> anyhow::Result<()> {
        self.drop_database(&database.name).await
    }

    /// Removes what aborted runs have left on given servers, and stops the private ones with all their data.
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

/// The URL of a server from its environment variable.
fn given(server: servers::Server) -> Option<String> {
    std::env::var(server.variable()).ok()
}
