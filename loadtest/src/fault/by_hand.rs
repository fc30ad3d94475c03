//! A sale of chapter 6 during which a person breaks and mends its servers and instances.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use sqlx::AnyPool;
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::Instant,
};
use v1_naive::shop::sales::Sale;

use super::{links::Links, network::Network, probe::Walk};
use crate::{
    buyer::progress::Progress,
    lab::{
        Lab,
        deployment::{Deployment, addresses},
        servers::{Server, Services},
        stores::Stores,
    },
    scenario::plan::Plan,
    verdict::{
        audit::{Audit, audit},
        history::Told,
        ledger::Ledger,
    },
};

/// The sale's id.
const SALE: i64 = 1001;
/// A buyer comes at each of these intervals.
const EVERY: Duration = Duration::from_millis(50);
/// The most buyers who wait at the same time. When there are more, no further buyers come.
const AT_ONCE: usize = 400;
/// How often a buyer asks for its order. There may be many who wait.
const POLLS: Duration = Duration::from_millis(400);
/// Buyers who ask again for their orders at the same time.
const ASKS_AT_ONCE: usize = 50;

/// A part of chapter 6 that can be struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// The first instance of the shop.
    FirstInstance,
    /// The second instance of the shop.
    SecondInstance,
    Redis,
    #[serde(rename = "rabbitmq")]
    RabbitMq,
    Postgres,
}

/// All parts. The servers come first, because an instance needs them when it starts.
pub(crate) const PARTS: [Part; 5] =
    [Part::Postgres, Part::Redis, Part::RabbitMq, Part::FirstInstance, Part::SecondInstance];

/// How a part is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Health {
    /// It works.
    #[default]
    Up,
    /// It was killed (kill -9).
    Killed,
    /// A server's connections carry nothing, and stay open. An instance is frozen.
    Silent,
}

/// A sale that is going on.
pub(crate) struct ByHand {
    services: Arc<Mutex<Services>>,
    deployment: Deployment,
    links: Vec<Links>,
    walk: Walk,
    health: [Health; PARTS.len()],
    buying: JoinSet<anyhow::Result<Vec<Told>>>,
    ended: watch::Sender<bool>,
}

impl Part {
    /// The server; or the number of the instance.
    fn which(self) -> Result<Server, usize> {
        match self {
            Part::FirstInstance => Err(0),
            Part::SecondInstance => Err(1),
            Part::Redis => Ok(Server::Redis),
            Part::RabbitMq => Ok(Server::RabbitMq),
            Part::Postgres => Ok(Server::Postgres),
        }
    }
}

impl ByHand {
    /// Starts the instances, each with its own proxies to the servers, and lets buyers come one by one. `lab` must be [on](Lab::on)
    /// `services`.
    ///
    /// # Errors
    /// An instance does not start, or a server does not answer.
    pub(crate) async fn begin(
        lab: &Lab,
        services: Arc<Mutex<Services>>,
        plan: &Plan,
        progress: Progress,
    ) -> anyhow::Result<ByHand> {
        ensure!(plan.instances == 2, "there are two instances to strike");
        let mut links = Vec::new();
        let deployment = Deployment::build_with(lab, plan, async |args| {
            links.push(Links::between(args).await?);
            Ok(())
        })
        .await?;
        let stores = deployment.stores.as_ref().context("only chapter 6 has servers that can be struck")?;
        stores.put_up(&deployment.database.url, &[Sale::open(SALE, plan.stock)]).await?;
        progress.shows(&deployment.pool);
        progress.begin();
        let doors: Vec<SocketAddr> = addresses(&deployment.shops);
        let (began, queued) = (Instant::now(), Arc::<AtomicUsize>::default());
        let walk = Walk { doors: doors.into(), sale: SALE, began, progress, queued, polls: POLLS };
        let (ended, until) = watch::channel(false);
        let mut buying = JoinSet::new();
        buying.spawn(walk.clone().stroll(EVERY, AT_ONCE, until));
        Ok(ByHand { services, deployment, links, walk, health: Default::default(), buying, ended })
    }

    /// How a part is.
    pub(crate) fn health(&self, part: Part) -> Health {
        self.health[place(part)]
    }

    /// Counts the orders that buyers wait for at this moment.
    pub(crate) fn queued(&self) -> Arc<AtomicUsize> {
        self.walk.queued.clone()
    }

    /// Kills or silences a part, or brings it back.
    ///
    /// # Errors
    /// It does not restart. An instance does not while a server that it needs is away.
    pub(crate) async fn turn(&mut self, part: Part, health: Health) -> anyhow::Result<()> {
        let before = self.health(part);
        match (before, health) {
            _ if before == health => return Ok(()),
            (Health::Up, _) | (_, Health::Up) => {}
            (Health::Killed | Health::Silent, _) => bail!("bring it back first"),
        }
        match part.which() {
            Ok(server) => self.turn_server(server, before, health).await?,
            Err(n) => {
                let shop = self.deployment.shops.get_mut(n).context("there is no such instance")?;
                match (before, health) {
                    (_, Health::Killed) => shop.kill().await?,
                    (_, Health::Silent) => shop.freeze()?,
                    (Health::Silent, Health::Up) => shop.thaw()?,
                    (_, Health::Up) => shop.start_again().await?,
                }
            }
        }
        self.health[place(part)] = health;
        Ok(())
    }

    async fn turn_server(&self, server: Server, before: Health, health: Health) -> anyhow::Result<()> {
        let networks = || self.links.iter().filter_map(|links| links.to(server));
        match (before, health) {
            (_, Health::Silent) => networks().for_each(Network::silence),
            (Health::Silent, Health::Up) => networks().for_each(Network::restore),
            (_, Health::Killed | Health::Up) => {
                let services = self.services.clone();
                let queue = format!("{}.orders", self.stores()?.namespace);
                let turned = spawn_blocking(move || {
                    let mut services = services.lock().unwrap_or_else(PoisonError::into_inner);
                    match health {
                        Health::Killed if server == Server::RabbitMq => {
                            services.wait_for_queue(&queue)?;
                            services.kill(server)
                        }
                        Health::Killed => services.kill(server),
                        Health::Up | Health::Silent => services.start_again(server),
                    }
                });
                turned.await??;
            }
        }
        Ok(())
    }

    fn stores(&self) -> anyhow::Result<&Stores> {
        self.deployment.stores.as_ref().context("there are no stores")
    }

    /// Lets no further buyers come.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Brings everything back, waits for all orders, stops the instances, and audits the sale.
    ///
    /// # Errors
    /// A part does not restart, or a server fails.
    pub(crate) async fn conclude(mut self, lab: &Lab) -> anyhow::Result<Audit> {
        self.end();
        for part in PARTS {
            self.turn(part, Health::Up).await?;
        }
        let told = self.buying.join_next().await.context("no buyers came")???;
        let walk = &self.walk;
        let history: Vec<Told> =
            stream::iter(told).map(|told| walk.ask_again(told)).buffer_unordered(ASKS_AT_ONCE).collect().await;
        self.stores()?.wait_until_quiet(&self.deployment.pool, &[SALE]).await?;
        self.deployment.stop_shops().await;
        let audit = self.audit(&history).await;
        self.deployment.remove(lab).await?;
        audit
    }

    async fn audit(&self, history: &[Told]) -> anyhow::Result<Audit> {
        let pool: &AnyPool = &self.deployment.pool;
        let stores = self.deployment.stores.as_ref();
        let mut ledger = Ledger::read(pool, stores, &[SALE]).await?;
        if let (Some(stores), Some(seen)) = (stores, &mut ledger.stores) {
            seen.unfinished -= stores.repeated(pool, SALE).await?;
        }
        Ok(audit(history, &ledger))
    }
}

fn place(part: Part) -> usize {
    PARTS.iter().position(|one| *one == part).unwrap_or_default()
}
