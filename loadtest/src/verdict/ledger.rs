//! What the database holds: the other half of the truth. Read with statements of our own, never through the shop.

use std::collections::HashMap;

use sqlx::AnyPool;

use crate::lab::stores::{InStores, Stores};

/// A sale's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow, serde::Deserialize)]
pub struct SaleRow {
    /// The sale's id.
    pub id: i64,
    /// Units at the start.
    pub stock: i64,
    /// Units sold, as the row says.
    pub sold: i64,
}

/// An order's row: one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct OrderRow {
    /// The order's id.
    pub id: i64,
    /// Of which sale.
    pub sale_id: i64,
    /// Whose.
    pub buyer_id: i64,
}

/// The rows of the sales in question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The sales.
    pub sales: Vec<SaleRow>,
    /// Their orders that hold a unit.
    pub orders: Vec<OrderRow>,
    /// Orders that held one until they expired, were canceled or refunded, or could not be paid.
    pub ended: Vec<OrderRow>,
    /// What there is beside the database.
    pub stores: Option<InStores>,
}

impl Ledger {
    /// Whether a sale has as many orders as it has units.
    pub fn is_sold_out(&self, sale_id: i64) -> bool {
        let orders = self.orders.iter().filter(|order| order.sale_id == sale_id).count() as i64;
        self.sales.iter().any(|sale| sale.id == sale_id && orders >= sale.stock)
    }

    /// Reads these sales.
    ///
    /// # Errors
    /// The database's, or another server's.
    pub async fn read(pool: &AnyPool, stores: Option<&Stores>, sales: &[i64]) -> anyhow::Result<Ledger> {
        let mut ledger = Ledger::default();
        for sale in sales {
            let rows = sqlx::query_as::<_, SaleRow>("select id, stock, sold from sales where id = $1");
            ledger.sales.extend(rows.bind(sale).fetch_all(pool).await?);
            let held = "select id, sale_id, buyer_id from orders
                        where sale_id = $1 and status in ('confirmed', 'paid') order by id";
            ledger.orders.extend(sqlx::query_as::<_, OrderRow>(held).bind(sale).fetch_all(pool).await?);
            // Only chapter 6 has reasons.
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

    /// Orders that hold a unit, counted by sale.
    pub fn orders_per_sale(&self) -> HashMap<i64, i64> {
        let mut per_sale = HashMap::new();
        for order in &self.orders {
            *per_sale.entry(order.sale_id).or_default() += 1;
        }
        per_sale
    }

    /// As whom the shop knows a buyer: by a number, or by the name that it has logged in with, which is its number.
    pub fn known_as(&self, buyer_id: i64) -> i64 {
        match self.stores {
            None => buyer_id,
            Some(_) => v6_production::buyer_id(&buyer_id.to_string()),
        }
    }
}
