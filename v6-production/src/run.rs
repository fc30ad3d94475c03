use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::ensure;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use v1_naive::shop::serve::{conclude, listen, start_log};

use crate::{
    app::{App, Parts},
    catalogue::Catalogue,
    clock::Clock,
    config::{Config, Mode, Puzzle, Urls},
    gate::{limits::Limits, puzzle::Puzzles, signer::Signer},
    health::{self, Health},
    notify::{notices::Notices, watchers::Watchers},
    operate::{Servers, operate},
    orders::lookups::Lookups,
    page::versions::{self, Versions},
    payment::{outbox, provider::Provider},
    redis_store::RedisStore,
    relay, release,
    reserve::batches::Batches,
    routes::routes,
    shop::{sales::Sale, serve, stop_signal},
    sold_out::SoldOut,
    sql,
    supervise::{count_panics, wait_for},
    transport::Transport,
    upkeep::seed::seed,
    worker::Worker,
};

/// How long tasks may take to finish what they have begun, after the shop is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the shop until one of the [`StopSignals`](v1_naive::shop::StopSignals), or one command. The shop prints `listening on
/// http://…` when it accepts connections.
pub async fn main(config: &Config) -> ExitCode {
    // Errors of RabbitMQ are logged where they are handled. lapin would log each of them three times more.
    start_log(&format!("{},lapin=off", config.shop.log), sql::warnings::listener());
    conclude(match &config.command {
        None => run(config).await,
        Some(command) => operate(config, command).await,
    })
}

async fn run(config: &Config) -> anyhow::Result<()> {
    count_panics();
    let urls = config.urls()?;
    let signer = config.signer()?;
    if config.provider_url.is_none() {
        ensure!(config.mode == Mode::Demo, "MODE production needs a PROVIDER_URL: the payment provider");
        tracing::warn!(
            "there is no PROVIDER_URL, so nobody can pay; `cargo loadtest provider` is a provider to try with"
        );
    }
    let limits = Limits::new(&config.clients, &config.sessions)?;
    let mut stopped = std::pin::pin!(stop_signal()?);
    let background = Background::open()?;
    let (servers, clock) = tokio::select! {
        servers = background.spawn(connect(config.clone(), urls)) => servers??,
        () = &mut stopped => return Ok(()),
    };
    servers.redis.check_durability().await;

    let stop = CancellationToken::new();
    let app = open(config, &servers, signer, clock, stop.clone(), &background);
    let health = Arc::new(Health::default());
    background.spawn(health::follow(health.clone(), app.clone(), servers.transport.clone(), config.role));
    let carrying =
        if config.role.carries() { carry(config, servers, app.clone(), &background) } else { JoinSet::new() };
    let (tasks, provider) = (app.tasks.clone(), app.provider.clone());
    let listener = listen(config.shop.listen).await?;
    let at = || format!("http://{}/", listener.local_addr().ok()?).parse().ok();
    if let Some(shop) = config.callback_url.clone().or_else(at) {
        provider.may_call(shop);
    }
    serve(listener, routes(app, health, limits, config), stopped).await;
    // No more requests. Tasks under way are finished, or the next instance takes them over.
    stop.cancel();
    tasks.close();
    let finished = async {
        tasks.wait().await;
        carrying.join_all().await;
    };
    if timeout(GRACE, finished).await.is_err() {
        tracing::warn!("stopped with work still under way");
    }
    Ok(())
}

/// A runtime for everything but requests. On the runtime of requests, each of an order's ten steps would wait behind a thousand
/// requests that are about to be refused.
struct Background(Option<Runtime>);

impl Background {
    fn open() -> anyhow::Result<Background> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("background").enable_all().build()?;
        Ok(Background(Some(runtime)))
    }

    fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle().spawn(work)
    }

    fn handle(&self) -> &Handle {
        self.0.as_ref().map_or_else(|| unreachable!("only taken when dropped"), Runtime::handle)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Dropping a runtime inside another one is not allowed to wait for its tasks.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Connects to the servers, and waits until each of them answers.
///
/// # Errors
/// The configuration is wrong.
async fn connect(config: Config, urls: Urls) -> anyhow::Result<(Servers, Clock)> {
    let sql = wait_for("PostgreSQL", || sql::connect(&urls.postgres, &config.namespace, &config.shop)).await?;
    let redis = || RedisStore::connect(&urls.redis, &config);
    let redis = wait_for("Redis", redis).await?;
    let transport = Transport::new(&urls.amqp, &config.namespace);
    wait_for("RabbitMQ", || transport.connect()).await?;
    wait_for("PostgreSQL", || versions::leave(&sql)).await?;
    // Only for learning. In production the operator creates the sales.
    if config.mode == Mode::Demo {
        let first = Sale::first(&config.shop);
        wait_for("sale 1", || seed(&sql, &redis, &first)).await?;
    }
    let clock = wait_for("the time", || Clock::new(&redis, &sql)).await?;
    Ok((Servers { sql, redis, transport }, clock))
}

/// The state of the handlers, and the tasks that keep it up to date.
fn open(
    config: &Config,
    servers: &Servers,
    signer: Signer,
    clock: Clock,
    stop: CancellationToken,
    background: &Background,
) -> App {
    let (sql, redis) = (servers.sql.clone(), servers.redis.clone());
    let (catalogue, sold_out) = (Catalogue::new(), Arc::new(SoldOut::default()));
    let (batches, calling) =
        Batches::open(redis.clone(), catalogue.clone(), sold_out.clone(), config.rules, stop.clone());
    let (lookups, looking_up) = Lookups::open(sql.clone(), stop.clone());
    background.spawn(calling);
    background.spawn(looking_up);
    let app = App(Arc::new(Parts {
        catalogue,
        clock,
        signer,
        over_tls: config.mode == Mode::Production,
        puzzles: (config.rules.puzzle == Puzzle::On)
            .then_some(Puzzles { good_for: config.rules.path_ttl, wrong_answers: config.rules.frequency_buyers }),
        batches,
        sold_out,
        lookups,
        page_versions: Versions::default(),
        sql,
        redis,
        watchers: Watchers::default(),
        provider: Provider::new(config.provider_url.clone(), &config.namespace),
        stop,
        tasks: TaskTracker::new(),
    }));
    let of = app.clone();
    background.spawn(async move { of.catalogue.follow(&of.sql, &of.stop).await });
    let of = app.clone();
    background.spawn(async move { of.clock.follow(&of.redis, &of.sql, &of.stop).await });
    let of = app.clone();
    background.spawn(async move { of.sold_out.listen(&of.redis, &of.stop).await });
    let of = app.clone();
    background.spawn(async move { of.sold_out.keep_fresh(&of).await });
    let of = app.clone();
    background.spawn(async move { of.watchers.listen(&of.redis, &of.sql, &of.stop).await });
    let of = app.clone();
    background.spawn(async move { of.watchers.look_up(&of.sql, &of.stop).await });
    app
}

/// Starts relay, worker, payments, release and upkeep, which run until the stop signal.
fn carry(config: &Config, servers: Servers, app: App, background: &Background) -> JoinSet<()> {
    let upkeep = servers.upkeep(config);
    let Servers { sql, redis, transport } = servers;
    let (stop, on) = (app.stop.clone(), background.handle());
    let worker = Worker {
        sql: sql.clone(),
        transport: transport.clone(),
        notices: Notices(redis.clone()),
        pay_within: config.pay_within,
        stop: stop.clone(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn_on(relay::run(redis.clone(), transport, app.catalogue.clone(), stop.clone()), on);
    tasks.spawn_on(worker.clone().run(), on);
    tasks.spawn_on(worker.clone().run_later(), on);
    tasks.spawn_on(worker.run_dead_letters(), on);
    tasks.spawn_on(outbox::run(sql.clone(), app.provider.clone(), Notices(redis.clone()), stop.clone()), on);
    tasks.spawn_on(sql::abandoned::end(sql.clone(), stop.clone()), on);
    tasks.spawn_on(release::run(sql, redis, config.rules.path_ttl, stop.clone()), on);
    tasks.spawn_on(upkeep.run(app.catalogue.clone(), stop), on);
    tasks
}
