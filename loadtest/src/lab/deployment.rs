//! All that one run deploys: a database, a namespace in the stores, the instances of the shop, and nginx.

use std::{net::SocketAddr, path::PathBuf};

use sqlx::AnyPool;
use url::Url;

use super::{FreshDatabase, Lab, servers::nginx, shop_process::ShopProcess, stores::Stores};
use crate::scenario::plan::Plan;

/// All that one run deploys.
pub(crate) struct Deployment {
    pub(crate) database: FreshDatabase,
    pub(crate) stores: Option<Stores>,
    pub(crate) pool: AnyPool,
    pub(crate) shops: Vec<ShopProcess>,
    /// The reverse proxy in front of the instances, if the plan has one.
    pub(crate) nginx: Option<ShopProcess>,
    /// Where nginx on three machines writes a line for each request. It is complete when nginx has stopped.
    pub(crate) access_log: Option<PathBuf>,
}

impl Deployment {
    /// Creates a fresh database and starts the plan's instances.
    pub(crate) async fn build(lab: &Lab, plan: &Plan) -> anyhow::Result<Deployment> {
        Deployment::build_with(lab, plan, async |_| Ok(())).await
    }

    /// As [`Deployment::build`], but `change` may edit each instance's arguments before it starts.
    pub(crate) async fn build_with(
        lab: &Lab,
        plan: &Plan,
        mut change: impl AsyncFnMut(&mut Vec<String>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Deployment> {
        let database = lab.fresh_database().await?;
        let stores = if plan.version.needs_stores() { Some(lab.fresh_stores(&database).await?) } else { None };
        let mut shops = Vec::new();
        for n in 0..plan.instances {
            let log = lab.folder.path().join(format!("{}-{n}.log", database.name()));
            let machine = lab.machine_of(n);
            let url = machine.as_ref().map_or(Ok(database.url.clone()), |machine| machine.database(&database.url))?;
            let mut args = shop_args(plan, &url, stores.as_ref(), &lab.proxies());
            change(&mut args).await?;
            if let Some(machine) = machine {
                shops.push(ShopProcess::start_on(machine, &lab.loadtest, plan.version, &args, log).await?);
                continue;
            }
            shops.push(match (plan.mutant, plan.exhibit) {
                (Some(mutant), _) => ShopProcess::mutant(&lab.loadtest, mutant, &args, log).await?,
                (None, Some(exhibit)) => ShopProcess::exhibit(&lab.loadtest, exhibit, &args, log).await?,
                (None, None) if !plan.without.is_empty() => {
                    ShopProcess::without(&lab.loadtest, plan.version, &plan.without, &args, log).await?
                }
                (None, None) => ShopProcess::start(&lab.loadtest, plan.version, &args, log).await?,
            });
        }
        let instances = addresses(&shops);
        let log = |what| lab.folder.path().join(format!("{}-{what}.log", database.name()));
        let access_log = lab.machines().map(|_| log("access"));
        let nginx = match plan.nginx {
            true => {
                let (log, access_log) = (log("nginx"), access_log.as_deref());
                Some(nginx::in_front_of_with_log(&lab.loadtest, &instances, log, access_log).await?)
            }
            false => None,
        };
        let pool = database.connect().await?;
        Ok(Deployment { database, stores, pool, shops, nginx, access_log })
    }

    /// The addresses that buyers connect to: nginx, or all instances.
    pub(crate) fn doors(&self) -> Vec<SocketAddr> {
        self.nginx.as_ref().map_or_else(|| addresses(&self.shops), |nginx| vec![nginx.address])
    }

    /// Stops the instances and nginx gracefully.
    pub(crate) async fn stop_shops(&mut self) {
        for shop in std::mem::take(&mut self.shops) {
            shop.stop().await;
        }
        if let Some(nginx) = self.nginx.take() {
            nginx.stop().await;
        }
    }

    /// Removes the run's data from the servers.
    pub(crate) async fn remove(self, lab: &Lab) -> anyhow::Result<()> {
        self.pool.close().await;
        if let Some(stores) = self.stores {
            stores.remove().await?;
        }
        lab.remove(self.database).await
    }
}

/// The arguments of an instance.
fn shop_args(plan: &Plan, database: &Url, stores: Option<&Stores>, proxies: &str) -> Vec<String> {
    let owned = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>();
    let mut args = owned(&["--database-url", database.as_str(), "--pool-size", &plan.pool.to_string()]);
    if plan.version.counts_clients() {
        args.extend(owned(&["--trusted-proxies", proxies]));
    }
    args.extend(stores.iter().flat_map(|stores| stores.shop_args()));
    args.extend(plan.variant.iter().flat_map(|variant| ["--variant".into(), variant.to_string()]));
    args.extend(plan.further_args());
    args
}

/// The addresses of the instances.
pub(crate) fn addresses(shops: &[ShopProcess]) -> Vec<SocketAddr> {
    shops.iter().map(|shop| shop.address).collect()
}
