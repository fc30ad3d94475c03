//! The rows of a run, read with the load test's own statements, never through the shop.

use std::collections::HashMap;

use sqlx::AnyPool;

use crate::lab::stores::{InStores, Stores};

/// A sale's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow, serde::Deserialize)]
pub struct SaleRow {
    /// The sale's id.
    pub id: i64,
    /// Units at the start of the sale.
    pub stock: i64,
    /// Units sold, according to this row.
    pub sold: i64,
}

impl SaleRow {
    /// Units that can still be sold; 0 if the sale is oversold.
    pub fn left(&self) -> i64 {
        (self.stock - self.sold).max(0)
    }
}

/// An order's row. Each order is one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct OrderRow {
    /// The order's id.
    pub id: i64,
    /// The order's sale.
    pub sale_id: i64,
    /// The order's buyer.
    pub buyer_id: i64,
}

/// The rows of some sales.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The sales' rows.
    pub sales: Vec<SaleRow>,
    /// Orders that hold a unit.
    pub orders: Vec<OrderRow>,
    /// Orders that no longer hold a unit: they expired, were canceled or refunded, or could not be paid.
    pub ended: Vec<OrderRow>,
    /// The contents of chapter 6's other stores.
    pub stores: Option<InStores>,
}

impl Ledger {
    /// Whether the sale has as many orders as units.
    pub fn is_sold_out(&self, sale_id: i64) -> bool {
        let orders = self.orders.iter().filter(|order| order.sale_id == sale_id).count() as i64;
        self.sales.iter().any(|sale| sale.id == sale_id && orders >= sale.stock)
    }

    /// Reads the rows of these sales.
    ///
    /// # Errors
    /// The database or another server fails.
    pub async fn read(pool: &AnyPool, stores: Option<&Stores>, sales: &[i64]) -> anyhow::Result<Ledger> {
        let mut ledger = Ledger::default();
        for sale in sales {
            let rows = sqlx::query_as::<_, SaleRow>("select id, stock, sold from sales where id = $1");
            ledger.sales.push(rows.bind(sale).fetch_one(pool).await?);
            let held = "select id, sale_id, buyer_id from orders
                        where sale_id = $1 and status in ('confirmed', 'paid') order by id";
            ledger.orders.extend(sqlx::query_as::<_, OrderRow>(held).bind(sale).fetch_all(pool).await?);
            // Only chapter 6 has a reason column.
            let ended = match stores {
                Some(_) => {
                    "select id, sale_id, buyer_id from orders where sale_id = $1 and (status = 'expired'
                     or reason in ('canceled', 'payment-failed', 'refunded')) order by id"
                }
                None => {
                    "select id, sale_id, buyer_id from orders where sale_id = $1 and status = 'expired' order by id"
                }
            };
            ledger.ended.extend(sqlx::query_as::<_, OrderRow>(ended).bind(sale).fetch_all(pool).await?);
        }
        if let Some(stores) = stores {
            ledger.stores = Some(stores.read(sales).await?);
        }
        Ok(ledger)
    }

    /// The number of orders of this buyer that hold a unit.
    pub fn orders_of(&self, buyer_id: i64) -> usize {
        let buyer_id = self.known_as(buyer_id);
        self.orders.iter().filter(|order| order.buyer_id == buyer_id).count()
    }

    /// The number of orders that hold a unit, by sale.
    pub fn orders_per_sale(&self) -> HashMap<i64, i64> {
        let mut per_sale = HashMap::new();
        for order in &self.orders {
            *per_sale.entry(order.sale_id).or_default() += 1;
        }
        per_sale
    }

    /// The buyer id that the shop uses: our number, or chapter 6's id for the name that the buyer logs in with, which is that
    /// number.
    pub fn known_as(&self, buyer_id: i64) -> i64 {
        match self.stores {
            None => buyer_id,
            Some(_) => v6_production::buyer_id(&buyer_id.to_string()),
        }
    }
}
