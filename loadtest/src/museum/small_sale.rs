//! A small sale whose buyers are in this process. Its exhibits show one order of events, so they need no crowd. The tables are those of
//! chapter 1, and the audit is that of every run.

use std::time::Duration;

use clap::Parser;
use sqlx::AnyConnection;
use v1_naive::{
    purchase,
    shop::{Shop, sales::Sale},
};

use super::play::Seen;
use crate::{
    lab::{FreshDatabase, Lab},
    verdict::{
        audit::audit,
        history::{Answer, Told},
        ledger::Ledger,
    },
};

/// The sale's id. The shop's own sale is sale 1.
pub(super) const SALE: i64 = 2;

/// A sale, and what its buyers were told.
pub(super) struct SmallSale<'a> {
    pub(super) shop: Shop,
    stock: i64,
    history: Vec<Told>,
    lab: &'a Lab,
    database: FreshDatabase,
}

impl<'a> SmallSale<'a> {
    /// Opens a sale of this stock in a database of its own.
    pub(super) async fn open(lab: &'a Lab, stock: i64) -> anyhow::Result<SmallSale<'a>> {
        let database = lab.fresh_database().await?;
        let args = ["sale", "--database-url", database.url.as_str(), "--pool-size=4"];
        let config = v1_naive::Config::try_parse_from(args)?;
        let shop = Shop::open(&config.shop, purchase::BUY).await?;
        Sale::open(SALE, stock).insert(&shop.pool).await?;
        Ok(SmallSale { shop, stock, history: Vec::new(), lab, database })
    }

    /// Notes what a buyer was told.
    pub(super) fn told(&mut self, buyer_id: i64, answer: Answer) {
        let [wanted, sent, answered] = [Duration::ZERO; 3];
        self.history.push(Told { buyer_id, sale_id: SALE, wanted, sent, answered, answer });
    }

    /// Sells one unit, correctly: the unit and the order are one transaction. Notes the answer.
    pub(super) async fn sell(&mut self, buyer_id: i64) -> anyhow::Result<()> {
        let mut tx = self.shop.pool.begin().await?;
        let answer = match take(&mut tx).await? {
            true => Answer::Bought { order_id: order(&mut tx, buyer_id, "confirmed").await? },
            false => sold_out(),
        };
        tx.commit().await?;
        self.told(buyer_id, answer);
        Ok(())
    }

    /// Asks for a buyer's order as a page does that polls, and notes the answer. A buyer without an order is still `queued`.
    pub(super) async fn polls(&mut self, buyer_id: i64) -> anyhow::Result<()> {
        let query = sqlx::query_as("select id, status from orders where sale_id = $1 and buyer_id = $2");
        let order: Option<(i64, String)> = query.bind(SALE).bind(buyer_id).fetch_optional(&self.shop.pool).await?;
        let answer = match order {
            None => Answer::Queued { order_id: buyer_id },
            Some((order_id, status)) if status == "confirmed" => Answer::Bought { order_id },
            Some((_, status)) => Answer::Refused(status),
        };
        self.told(buyer_id, answer);
        Ok(())
    }

    /// Ends the sale: audits the answers against the rows, and removes the database.
    pub(super) async fn audit(self) -> anyhow::Result<Seen> {
        let ledger = Ledger::read(&self.shop.pool, None, &[SALE]).await?;
        let seen = Seen::audited(self.stock, &audit(&self.history, &ledger));
        self.close().await?;
        Ok(seen)
    }

    /// Ends the sale without an audit.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.shop.pool.close().await;
        self.lab.remove(self.database).await
    }
}

/// Takes one unit; false if none is left.
pub(super) async fn take(db: &mut AnyConnection) -> sqlx::Result<bool> {
    let sell = "update sales set sold = sold + 1 where id = $1 and sold < stock";
    Ok(sqlx::query(sell).bind(SALE).execute(db).await?.rows_affected() == 1)
}

/// Gives one unit back.
pub(super) async fn give_back(db: &mut AnyConnection) -> sqlx::Result<()> {
    sqlx::query("update sales set sold = sold - 1 where id = $1").bind(SALE).execute(db).await.map(drop)
}

/// Inserts an order with this status, and returns its id.
pub(super) async fn order(db: &mut AnyConnection, buyer_id: i64, status: &str) -> sqlx::Result<i64> {
    let insert = "insert into orders (sale_id, buyer_id, status) values ($1, $2, $3) returning id";
    sqlx::query_scalar(insert).bind(SALE).bind(buyer_id).bind(status).fetch_one(db).await
}

/// The answer to a buyer who comes too late.
pub(super) fn sold_out() -> Answer {
    Answer::Refused("sold-out".into())
}
