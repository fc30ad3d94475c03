use std::{process::ExitCode, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use v1_naive::shop::serve::{conclude, listen, start_log};

use crate::{
    App, Command, Config,
    catalogue::Catalogue,
    config::SeedArgs,
    notify::{Notices, Watchers},
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
    start_log(&config.shop.log);
    conclude(run(config).await)
}

/// Puts sales up, as `seed` does.
///
/// # Errors
/// A server is away, or a sale's number is too large to be part of an order's.
pub async fn put_up(config: &Config, sales: &[Sale]) -> anyhow::Result<()> {
    let urls = config.urls()?;
    let sql = sql::connect(&urls.postgres, &config.shop).await?;
    let redis = RedisStore::connect(&urls.redis, &config.namespace, config.redis_timeout).await?;
    for sale in sales {
        seed(&sql, &redis, sale).await?;
    }
    sql.close().await;
    Ok(())
}

async fn run(config: &Config) -> anyhow::Result<()> {
    if let Some(Command::Seed(args)) = &config.command {
        let sale = args.sale();
        put_up(config, std::slice::from_ref(&sale)).await?;
        println!("sale {} is up: {} units", sale.id, sale.stock);
        return Ok(());
    }
    let urls = config.urls()?;
    let sessions = Sessions::new(config.session_secret()?)?;
    let mut stopped = std::pin::pin!(stop_signal()?);
    let connect = async {
        let sql = wait_for("PostgreSQL", async || sql::connect(&urls.postgres, &config.shop).await).await;
        let redis = async || RedisStore::connect(&urls.redis, &config.namespace, config.redis_timeout).await;
        let redis = wait_for("Redis", redis).await;
        let transport = Transport::new(&urls.amqp, &config.namespace);
        wait_for("RabbitMQ", async || transport.connect().await.map(drop)).await;
        (sql, redis, transport)
    };
    let (sql, redis, transport) = tokio::select! {
        connected = connect => connected,
        () = &mut stopped => return Ok(()),
    };
    redis.check_durability().await;
    seed(&sql, &redis, &Sale::first(&config.shop)).await?;

    let stop = CancellationToken::new();
    let (catalogue, sold_out) = (Catalogue::new(), Arc::new(SoldOut::default()));
    let (desk, at_the_desk) = Desk::open(redis.clone(), sold_out.clone());
    let app = App(Arc::new(crate::Parts {
        catalogue: catalogue.clone(),
        desk,
        sold_out,
        sql: sql.clone(),
        redis: redis.clone(),
        sessions,
        watchers: Watchers::default(),
        provider: FakeProvider { takes: config.payment_takes },
        stop: stop.clone(),
    }));

    let mut tasks = JoinSet::new();
    let of = app.clone();
    tasks.spawn(async move { of.catalogue.follow(&of.sql, &of.stop).await });
    if config.role.takes_requests() {
        let of = app.clone();
        tasks.spawn(async move { of.sold_out.listen(&of.redis, &of.stop).await });
        let of = app.clone();
        tasks.spawn(async move { of.watchers.listen(&of.redis, &of.sql, &of.stop).await });
        let of = app.clone();
        tasks.spawn(async move { of.watchers.look_up(&of.sql, &of.stop).await });
        tokio::spawn(at_the_desk); // ends with its last attempt
    }
    if config.role.carries() {
        let notices = Notices(redis.clone());
        let worker = Worker {
            sql: sql.clone(),
            transport: transport.clone(),
            notices,
            pay_within: config.pay_within,
            stop: stop.clone(),
        };
        tasks.spawn(relay::run(redis.clone(), transport, catalogue, stop.clone()));
        tasks.spawn(worker.clone().run());
        tasks.spawn(worker.run_dead_letters());
        tasks.spawn(release::run(sql, redis, stop.clone()));
    }

    let listener = listen(config.shop.listen).await?;
    serve(listener, routes(app, config), stopped).await;
    // No request comes any more. What is under way behind them is finished, or is found by the next instance.
    stop.cancel();
    if timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!("stopped with work still under way");
    }
    Ok(())
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
