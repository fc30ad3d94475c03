//! The tables of the ways that keep orders in PostgreSQL.

use sqlx::{Connection, PgConnection, Row};
use url::Url;

use crate::{
    lab::servers::Server,
    ways::way::{Kit, Sold, Stock},
};

/// The items, with all that a way may want to know of one, and a row for each order.
const TABLES: &str = "
    create extension if not exists pg_stat_statements;
    create table if not exists items (
        id bigint primary key,
        stock bigint not null,
        sold bigint not null default 0,
        version bigint not null default 0,
        fence bigint not null default 0
    );
    create table if not exists orders (
        id bigint generated always as identity primary key,
        item bigint not null,
        buyer bigint not null
    );
    truncate items, orders;
";

/// The private PostgreSQL with these tables.
#[derive(Clone)]
pub(in crate::ways) struct Database {
    url: Url,
    stock: Stock,
}

impl Database {
    /// The database of this kit.
    pub(in crate::ways) fn of(kit: &Kit) -> anyhow::Result<Database> {
        Ok(Database { url: kit.url(Server::Postgres)?.clone(), stock: kit.stock })
    }

    /// Opens a connection.
    pub(in crate::ways) async fn connect(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(self.url.as_str()).await?)
    }

    /// Puts the stock on sale, without any order. Then runs what a way has besides.
    pub(in crate::ways) async fn set_up(&self, then: &'static str) -> anyhow::Result<()> {
        let mut db = self.connect().await?;
        sqlx::raw_sql(TABLES).execute(&mut db).await?;
        sqlx::query("insert into items (id, stock) select id, $2 from generate_series(1, $1) id")
            .bind(self.stock.items)
            .bind(self.stock.units)
            .execute(&mut db)
            .await?;
        sqlx::raw_sql(then).execute(&mut db).await?;
        Ok(())
    }

    /// The orders.
    pub(in crate::ways) async fn sold(&self) -> anyhow::Result<Sold> {
        let mut db = self.connect().await?;
        let orders = sqlx::query_as("select item, buyer from orders").fetch_all(&mut db).await?;
        Ok(Sold::orders(orders))
    }

    /// The statements that the server has executed, `begin` and `commit` included.
    pub(in crate::ways) async fn calls(&self) -> anyhow::Result<u64> {
        let mut db = self.connect().await?;
        let statements = "select coalesce(sum(calls), 0)::bigint from pg_stat_statements";
        let calls: i64 = sqlx::query(statements).fetch_one(&mut db).await?.get(0);
        Ok(calls.cast_unsigned())
    }
}

/// The stock of an item, and how many units are sold, without a lock.
pub(in crate::ways) async fn read(db: &mut PgConnection, item: i64) -> sqlx::Result<(i64, i64)> {
    sqlx::query_as("select stock, sold from items where id = $1").bind(item).fetch_one(db).await
}

/// Writes how many units are sold.
pub(in crate::ways) async fn write(db: &mut PgConnection, item: i64, sold: i64) -> sqlx::Result<()> {
    let written = sqlx::query("update items set sold = $2 where id = $1").bind(item).bind(sold).execute(db).await;
    written.map(drop)
}

/// Inserts the order.
pub(in crate::ways) async fn order(db: &mut PgConnection, item: i64, buyer: i64) -> sqlx::Result<()> {
    let order = sqlx::query("insert into orders (item, buyer) values ($1, $2)").bind(item).bind(buyer);
    order.execute(db).await.map(drop)
}
