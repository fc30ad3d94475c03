//! The operator's commands: seed, rebuild, reconcile, deny and refund.

use anyhow::{bail, ensure};
use sqlx::PgPool;

use crate::{
    config::{Command, Config, DenyArgs, SeedArgs, Which},
    gate::session::buyer_id,
    notify::notices::Notices,
    order_id::OrderId,
    payment::outbox,
    redis_store::RedisStore,
    set_up::Wrong,
    shop::{
        sales::{Sale, now_ms},
        say,
    },
    sql::{self, in_time},
    transport::Transport,
    upkeep::{Upkeep, deny, rebuild::Why, seed::seed, walk::Walk},
};

/// The connections to the three servers.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) sql: PgPool,
    pub(crate) redis: RedisStore,
    pub(crate) transport: Transport,
}

impl Servers {
    /// Connects. Unlike the shop, a command does not wait for a server that does not answer.
    async fn connect(config: &Config) -> anyhow::Result<Servers> {
        let urls = config.urls()?;
        let connecting = async {
            Ok(Servers {
                sql: sql::connect(&urls.postgres, &config.namespace, &config.shop).await?,
                redis: RedisStore::connect(&urls.redis, config).await?,
                transport: Transport::new(&urls.amqp, &config.namespace),
            })
        };
        connecting.await.map_err(|error| Wrong::of(&error).map_or(error, anyhow::Error::from))
    }

    pub(crate) fn upkeep(&self, config: &Config) -> Upkeep {
        Upkeep {
            sql: self.sql.clone(),
            redis: self.redis.clone(),
            transport: self.transport.clone(),
            pay_within: config.pay_within,
            place_after: config.place_after,
            reconcile_every: config.reconcile_every,
            frequency_window: config.rules.frequency_window,
        }
    }
}

/// Runs one command.
///
/// # Errors
/// A server does not answer, or the command cannot be done.
pub(crate) async fn operate(config: &Config, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Seed(args) => put_up(config, &[args.sale()]).await,
        Command::Rebuild(which) => rebuild(config, which).await,
        Command::Reconcile(which) => reconcile(config, which).await,
        Command::Deny(args) => deny(config, args).await,
        Command::Refund(args) => refund(config, OrderId(args.order)).await,
    }
}

/// Creates sales, like the command `seed`.
///
/// # Errors
/// A server does not answer, or a sale's id is too large to be part of an order's id.
pub async fn put_up(config: &Config, sales: &[Sale]) -> anyhow::Result<()> {
    let servers = Servers::connect(config).await?;
    for sale in sales {
        seed(&servers.sql, &servers.redis, sale).await?;
    }
    servers.sql.close().await;
    Ok(())
}

async fn rebuild(config: &Config, which: &Which) -> anyhow::Result<()> {
    let upkeep = Servers::connect(config).await?.upkeep(config);
    for sale_id in which.sales(&upkeep).await? {
        if let Some(rebuilt) = upkeep.rebuild(sale_id, Why::Asked).await? {
            say(rebuilt);
        }
    }
    Ok(())
}

async fn reconcile(config: &Config, which: &Which) -> anyhow::Result<()> {
    let upkeep = Servers::connect(config).await?.upkeep(config);
    let (link, mut differ) = (upkeep.link().await, 0);
    for sale_id in which.sales(&upkeep).await? {
        let found = upkeep.reconcile(link.as_ref(), sale_id, &mut Walk::default(), true).await?;
        say(&found);
        differ += usize::from(found.differ());
    }
    ensure!(differ == 0, "sales where not all is as it should be: {differ}");
    Ok(())
}

async fn deny(config: &Config, args: &DenyArgs) -> anyhow::Result<()> {
    let upkeep = Servers::connect(config).await?.upkeep(config);
    let sales = upkeep.sales().await?;
    let name = args.name.trim();
    deny::deny(&upkeep.sql, &upkeep.redis, &sales, (buyer_id(name), name), args.lift).await
}

/// Ends the order now. A worker instance returns the money afterwards.
async fn refund(config: &Config, order_id: OrderId) -> anyhow::Result<()> {
    let servers = Servers::connect(config).await?;
    let refunded = in_time(outbox::refund(&servers.sql, order_id)).await?;
    if refunded {
        Notices(servers.redis).orders(&[order_id]).await;
        say(format_args!("order {}: refunded; its unit is sold again", order_id.0));
        return Ok(());
    }
    let standing = "select coalesce(reason, status) from orders where id = $1";
    let standing = sqlx::query_scalar(standing).bind(order_id).fetch_optional(&servers.sql);
    let standing: Option<String> = in_time(standing).await?;
    match standing.as_deref() {
        Some(outbox::REFUNDED) => say(format_args!("order {}: refunded before", order_id.0)),
        Some(standing) => bail!("order {} is {standing}, not paid", order_id.0),
        None => bail!("there is no order {}", order_id.0),
    }
    Ok(())
}

impl Which {
    async fn sales(&self, upkeep: &Upkeep) -> anyhow::Result<Vec<i64>> {
        Ok(match self.sale {
            Some(sale_id) => vec![sale_id],
            None => upkeep.sales().await?,
        })
    }
}

impl SeedArgs {
    fn sale(&self) -> Sale {
        let opens_at = now_ms() + i64::from(self.from_now) * 1000;
        Sale {
            id: self.sale,
            name: self.name.clone(),
            price_cents: self.price_cents,
            stock: self.units.into(),
            sold: 0,
            opens_at,
            closes_at: opens_at + i64::from(self.lasts) * 1000,
        }
    }
}
