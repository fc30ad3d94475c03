//! One sale in a database of its own, on PostgreSQL or MariaDB, and buyers who each have a session there.

use std::{process::Stdio, sync::OnceLock, time::Duration};

use loadtest::lab::servers::{Server, Services};
use sqlx::{
    AssertSqlSafe, Connection, Executor, MySqlConnection, MySqlPool, PgConnection, PgPool,
    mysql::{MySqlDatabaseError, MySqlPoolOptions},
    postgres::PgPoolOptions,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::block_in_place,
    time::{sleep, timeout},
};
use url::Url;

use crate::support::{lab, loadtest};

/// A server, with or without MariaDB's `innodb_snapshot_isolation`. MySQL has no such setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    MariaDb,
    MariaDbSnapshot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Level {
    pub(super) const ALL: [Level; 3] = [Level::ReadCommitted, Level::RepeatableRead, Level::Serializable];

    fn sql(self) -> &'static str {
        match self {
            Level::ReadCommitted => "read committed",
            Level::RepeatableRead => "repeatable read",
            Level::Serializable => "serializable",
        }
    }
}

enum Pool {
    Postgres(PgPool),
    MariaDb(MySqlPool),
}

pub(super) struct Sale {
    pool: Pool,
    url: Url,
}

/// A new database on MariaDB.
async fn on_mariadb() -> Url {
    static SERVICES: OnceLock<Services> = OnceLock::new();
    let start = || Services::start(&loadtest(), &[Server::MariaDb]).expect("MariaDB starts");
    let mut url = block_in_place(|| SERVICES.get_or_init(start)).url(Server::MariaDb).unwrap().clone();
    let name = format!("oversold_{:016x}", fastrand::u64(..));
    let mut admin = MySqlConnection::connect(url.as_str()).await.unwrap();
    admin.execute(AssertSqlSafe(format!("create database {name}"))).await.unwrap();
    url.set_path(&name);
    url
}

impl Sale {
    /// A sale whose sessions have this isolation level.
    pub(super) async fn new(engine: Engine, level: Level, stock: i64) -> Sale {
        let snapshot = if engine == Engine::MariaDbSnapshot { "on" } else { "off" };
        let setup = match engine {
            Engine::Postgres => format!("set session characteristics as transaction isolation level {}", level.sql()),
            Engine::MariaDb | Engine::MariaDbSnapshot => format!(
                "set session transaction isolation level {}; set innodb_snapshot_isolation = {snapshot}",
                level.sql()
            ),
        };
        let sale = Sale::open(engine, setup).await;
        for create in [
            "create table sales (id bigint primary key, stock bigint not null, sold bigint not null, version bigint not null)",
            "create table orders (sale_id bigint not null, foreign key (sale_id) references sales (id))",
            &format!("insert into sales values (1, {stock}, 0, 0)"),
        ] {
            sale.run(create).await.unwrap();
        }
        sale
    }

    /// A database without a table, and sessions as the server makes them.
    pub(super) async fn with_defaults(engine: Engine) -> Sale {
        Sale::open(engine, "select 1".into()).await
    }

    async fn open(engine: Engine, setup: String) -> Sale {
        let url = match engine {
            Engine::Postgres => lab("postgres").await.fresh_database().await.unwrap().url,
            Engine::MariaDb | Engine::MariaDbSnapshot => on_mariadb().await,
        };
        let pool = match engine {
            Engine::Postgres => {
                let options = PgPoolOptions::new().max_connections(20).after_connect(move |session, _| {
                    let setup = setup.clone();
                    Box::pin(async move { session.execute(AssertSqlSafe(setup)).await.map(drop) })
                });
                Pool::Postgres(options.connect(url.as_str()).await.unwrap())
            }
            Engine::MariaDb | Engine::MariaDbSnapshot => {
                let options = MySqlPoolOptions::new().max_connections(20).after_connect(move |session, _| {
                    let setup = setup.clone();
                    Box::pin(async move { session.execute(AssertSqlSafe(setup)).await.map(drop) })
                });
                Pool::MariaDb(options.connect(url.as_str()).await.unwrap())
            }
        };
        Sale { pool, url }
    }

    /// A buyer whose transaction has begun.
    pub(super) async fn begin(&self) -> Buyer {
        let mut buyer = self.session().await;
        buyer.run("begin").await.unwrap();
        buyer
    }

    async fn session(&self) -> Buyer {
        match &self.pool {
            Pool::Postgres(pool) => Buyer::Postgres(pool.acquire().await.unwrap().detach()),
            Pool::MariaDb(pool) => Buyer::MariaDb(pool.acquire().await.unwrap().detach()),
        }
    }

    /// Runs one statement in a transaction of its own, and returns the number of rows.
    pub(super) async fn run(&self, sql: &str) -> Result<u64, String> {
        self.session().await.run(sql).await
    }

    pub(super) async fn read(&self, sql: &str) -> i64 {
        self.session().await.read(sql).await.unwrap()
    }

    pub(super) async fn text(&self, sql: &str) -> String {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.pool {
            Pool::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
            Pool::MariaDb(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
        }
    }

    /// How many buyers wait for a lock.
    pub(super) async fn waiting(&self) -> i64 {
        sleep(Duration::from_millis(200)).await; // InnoDB refreshes its table only if it was not read for 100 ms.
        self.read(match self.pool {
            Pool::Postgres(_) => {
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            }
            Pool::MariaDb(_) => {
                "select count(*) from information_schema.innodb_trx join information_schema.processlist \
                 on id = trx_mysql_thread_id where db = database() and trx_state = 'LOCK WAIT'"
            }
        })
        .await
    }

    /// The program `mariadb` at this sale.
    pub(super) fn client(&self) -> Client {
        let url = &self.url;
        let mut child = Command::new("mariadb")
            .args(["--no-defaults", "--unbuffered", "-vvv", "--host=127.0.0.1", "--user", url.username()])
            .args(["--port", &url.port().unwrap().to_string(), "--database", &url.path()[1..]])
            .env("MYSQL_PWD", url.password().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Client { child, lines }
    }
}

/// A buyer's session.
pub(super) enum Buyer {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

impl Buyer {
    /// The number of rows, or PostgreSQL's SQLSTATE, or MariaDB's error number.
    pub(super) async fn run(&mut self, sql: &str) -> Result<u64, String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Buyer::Postgres(session) => session.execute(sql).await.map(|done| done.rows_affected()),
            Buyer::MariaDb(session) => session.execute(sql).await.map(|done| done.rows_affected()),
        }
        .map_err(code)
    }

    /// The number that a query returns, or an error as above.
    pub(super) async fn read(&mut self, sql: &str) -> Result<i64, String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Buyer::Postgres(session) => sqlx::query_scalar(sql).fetch_one(session).await,
            Buyer::MariaDb(session) => sqlx::query_scalar(sql).fetch_one(session).await,
        }
        .map_err(code)
    }

    /// Runs one more statement and commits. An error rolls back.
    pub(super) async fn write_and_commit(&mut self, sql: &str) -> Result<u64, String> {
        let ended = match self.run(sql).await {
            Ok(rows) => self.run("commit").await.map(|_| rows),
            refused => refused,
        };
        if ended.is_err() {
            self.run("rollback").await?;
        }
        ended
    }
}

fn code(error: sqlx::Error) -> String {
    let Some(refused) = error.as_database_error() else { panic!("{error}") };
    match refused.try_downcast_ref::<MySqlDatabaseError>() {
        Some(mariadb) => mariadb.number().to_string(),
        None => refused.code().unwrap().into_owned(),
    }
}

pub(super) struct Client {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    pub(super) async fn say(&mut self, line: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Reads on until a line has these words.
    pub(super) async fn hears(&mut self, words: &str) {
        let heard = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.contains(words) {
                    return;
                }
            }
            panic!("never: {words}");
        };
        timeout(Duration::from_secs(60), heard).await.expect(words);
    }
}
