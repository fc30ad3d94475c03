//! The tables of the ways that keep orders in MariaDB.

use sqlx::{AssertSqlSafe, Connection, Executor, MySql, MySqlConnection, QueryBuilder};
use url::Url;

use crate::{
    lab::servers::Server,
    ways::way::{Kit, Sold, Stock},
};

/// No foreign key: an order would then lock its item's row, which the ways do themselves.
const TABLES: &str = "
    create or replace table items (id bigint primary key, stock bigint not null, sold bigint not null default 0) engine = innodb;
    create or replace table orders (
        id bigint primary key auto_increment,
        item bigint not null,
        buyer bigint not null
    ) engine = innodb;
";

/// A database on the private MariaDB with these tables.
#[derive(Clone)]
pub(super) struct Database {
    server: Url,
    name: String,
    stock: Stock,
}

impl Database {
    /// The database that the URL names; `ways` if it names none.
    pub(super) fn of(kit: &Kit) -> anyhow::Result<Database> {
        let mut server = kit.url(Server::MariaDb)?.clone();
        let name = Some(server.path().trim_matches('/')).filter(|name| !name.is_empty()).unwrap_or("ways").to_owned();
        server.set_path("");
        Ok(Database { server, name, stock: kit.stock })
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> anyhow::Result<MySqlConnection> {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        Ok(MySqlConnection::connect(url.as_str()).await?)
    }

    /// Puts the stock on sale, without any order, and sets deadlock detection for the whole server.
    pub(super) async fn set_up(&self, detection: bool) -> anyhow::Result<()> {
        let mut admin = MySqlConnection::connect(self.server.as_str()).await?;
        admin.execute(AssertSqlSafe(format!("create database if not exists {}", self.name))).await?;
        sqlx::query("set global innodb_deadlock_detect = ?").bind(detection).execute(&mut admin).await?;
        let mut db = self.connect().await?;
        sqlx::raw_sql(TABLES).execute(&mut db).await?;
        QueryBuilder::<MySql>::new("insert into items (id, stock) ")
            .push_values(1..=self.stock.items, |mut row, item| {
                row.push_bind(item).push_bind(self.stock.units);
            })
            .build()
            .execute(&mut db)
            .await?;
        Ok(())
    }

    /// The orders.
    pub(super) async fn sold(&self) -> anyhow::Result<Sold> {
        let orders = sqlx::query_as("select item, buyer from orders").fetch_all(&mut self.connect().await?).await?;
        Ok(Sold::orders(orders))
    }

    /// The statements that the clients have sent, `begin` and `commit` included.
    pub(super) async fn calls(&self) -> anyhow::Result<u64> {
        let questions = "select variable_value from information_schema.global_status where variable_name = 'questions'";
        let calls: String = sqlx::query_scalar(questions).fetch_one(&mut self.connect().await?).await?;
        Ok(calls.parse()?)
    }
}

/// Inserts the order.
pub(super) async fn order(db: &mut MySqlConnection, item: i64, buyer: i64) -> sqlx::Result<()> {
    let order = sqlx::query("insert into orders (item, buyer) values (?, ?)").bind(item).bind(buyer);
    order.execute(db).await.map(drop)
}
