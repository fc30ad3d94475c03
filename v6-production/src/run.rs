use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use sqlx::PgPool;
use tokio::{runtime::Builder, sync::oneshot, task::JoinSet, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use v1_naive::shop::serve::{conclude, listen, start_log};
use v4_ratelimit::rate_limit::client_limit::ClientLimit;

use crate::{
    App, Command, Config, Mode, Parts,
    catalogue::Catalogue,
    config::{SeedArgs, Urls},
    notify::{Notices, Watchers},
    orders::Lookups,
    payment::FakeProvider,
    redis_store::RedisStore,
    relay, release,
    reserve::Desk,
    routes,
    seed::seed,
    session::Sessions,
    shop::{
        sales::{Sale, now_ms},
        serve, stop_signal,
    },
    sold_out::SoldOut,
    sql,
    supervise::wait_for,
    transport::Transport,
    worker::Worker,
};

/// How long relay and worker may take to finish what they have begun.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the program until Ctrl-C or SIGTERM. Prints `listening on http://…` when buyers may come.
pub async fn main(config: &Config) -> ExitCode {
    // What breaks is logged where it is mended; lapin would say it first, and three times.
    start_log(&format!("{},lapin=off", config.shop.log));
    conclude(match &config.command {
        None => run(config).await,
        Some(Command::Seed(args)) => put_up(config, &[args.sale()]).await,
    })
}

/// Puts sales up, as `seed` does.
///
/// # Errors
/// A server is away, or a sale's number is too large to be part of an order's.
pub async fn put_up(config: &Config, sales: &[Sale]) -> anyhow::Result<()> {
    let urls = config.urls()?;
    let sql = sql::connect(&urls.postgres, &config.shop, 1).await?;
    let redis = RedisStore::connect(&urls.redis, &config.namespace, config.redis_timeout).await?;
    for sale in sales {
        seed(&sql, &redis, sale).await?;
    }
    sql.close().await;
    Ok(())
}

async fn run(config: &Config) -> anyhow::Result<()> {
    let urls = config.urls()?;
    let (sessions, clients) =
        (Sessions::new(config.session_secret()?, config.mode == Mode::Production)?, ClientLimit::new(&config.clients)?);
    let mut stopped = std::pin::pin!(stop_signal()?);
    let servers = tokio::select! {
        servers = connect(config, &urls, config.front_connections()) => servers,
        () = &mut stopped => return Ok(()),
    };
    servers.redis.check_durability().await;
    seed(&servers.sql, &servers.redis, &Sale::first(&config.shop)).await?;

    let stop = CancellationToken::new();
    let app = open(config, servers, sessions, stop.clone());
    let tasks = app.tasks.clone();
    let carrying = if config.role.carries() { Some(carry_apart(config.clone(), urls, stop.clone())?) } else { None };
    let listener = listen(config.shop.listen).await?;
    serve(listener, routes(app, clients, config), stopped).await;
    // No request comes any more. What is under way behind them is finished, or is found by the next instance.
    stop.cancel();
    tasks.close();
    if timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::warn!("stopped with payments still under way");
    }
    if let Some(carrying) = carrying
        && timeout(GRACE, carrying).await.is_err()
    {
        tracing::warn!("stopped with work still under way");
    }
    Ok(())
}

/// The three of them.
struct Servers {
    sql: PgPool,
    redis: RedisStore,
    transport: Transport,
}

/// Waits until each answers.
async fn connect(config: &Config, urls: &Urls, connections: u32) -> Servers {
    let sql = wait_for("PostgreSQL", async || sql::connect(&urls.postgres, &config.shop, connections).await).await;
    let redis = async || RedisStore::connect(&urls.redis, &config.namespace, config.redis_timeout).await;
    let redis = wait_for("Redis", redis).await;
    let transport = Transport::new(&urls.amqp, &config.namespace);
    wait_for("RabbitMQ", async || transport.connect().await.map(drop)).await;
    Servers { sql, redis, transport }
}

/// What requests need, with the tasks that keep it up to date.
fn open(config: &Config, servers: Servers, sessions: Sessions, stop: CancellationToken) -> App {
    let Servers { sql, redis, .. } = servers;
    let sold_out = Arc::new(SoldOut::default());
    let (desk, at_the_desk) = Desk::open(redis.clone(), sold_out.clone());
    let (lookups, looking_up) = Lookups::open(sql.clone());
    tokio::spawn(at_the_desk);
    tokio::spawn(looking_up);
    let app = App(Arc::new(Parts {
        catalogue: Catalogue::new(),
        desk,
        sold_out,
        lookups,
        sql,
        redis,
        sessions,
        watchers: Watchers::default(),
        provider: FakeProvider { takes: config.payment_takes },
        stop,
        tasks: TaskTracker::new(),
    }));
    let of = app.clone();
    tokio::spawn(async move { of.catalogue.follow(&of.sql, &of.stop).await });
    let of = app.clone();
    tokio::spawn(async move { of.sold_out.listen(&of.redis, &of.stop).await });
    let of = app.clone();
    tokio::spawn(async move { of.watchers.listen(&of.redis, &of.sql, &of.stop).await });
    let of = app.clone();
    tokio::spawn(async move { of.watchers.look_up(&of.sql, &of.stop).await });
    app
}

/// Carries reservations on a thread and with connections of its own: it must not stand in line with the crowd that makes
/// them. What is returned is ready when it has finished.
fn carry_apart(config: Config, urls: Urls, stop: CancellationToken) -> anyhow::Result<oneshot::Receiver<()>> {
    let (finished, carrying) = oneshot::channel();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        runtime.block_on(carry(config, urls, stop));
        let _ = finished.send(());
    };
    std::thread::Builder::new().name("carry".into()).spawn(work).context("no thread")?;
    Ok(carrying)
}

/// Relay, worker and release, until `stop`.
async fn carry(config: Config, urls: Urls, stop: CancellationToken) {
    let connecting = connect(&config, &urls, config.back_connections());
    let Some(Servers { sql, redis, transport }) = stop.run_until_cancelled(connecting).await else { return };
    let catalogue = Catalogue::new();
    let worker = Worker {
        sql: sql.clone(),
        transport: transport.clone(),
        notices: Notices(redis.clone()),
        pay_within: config.pay_within,
        stop: stop.clone(),
    };
    let mut tasks = JoinSet::new();
    let of = (catalogue.clone(), sql.clone(), stop.clone());
    tasks.spawn(async move { of.0.follow(&of.1, &of.2).await });
    tasks.spawn(relay::run(redis.clone(), transport, catalogue, stop.clone()));
    tasks.spawn(worker.clone().run());
    tasks.spawn(worker.run_dead_letters());
    tasks.spawn(release::run(sql, redis, stop));
    tasks.join_all().await;
}

impl Config {
    /// Of the database connections that this process may hold, a quarter is for carrying: that needs few, and always.
    fn back_connections(&self) -> u32 {
        (self.shop.pool_size / 4).max(1)
    }

    fn front_connections(&self) -> u32 {
        (self.shop.pool_size - self.shop.pool_size / 4).max(1)
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
