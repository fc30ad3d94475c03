use std::time::{SystemTime, UNIX_EPOCH};

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::AnyPool;

use super::{Config, Error, Path, Shop};

/// A sale as it is put up: one item, few of it, for a while.
#[derive(Debug, Clone, Serialize)]
pub struct Sale {
    /// Chosen by whoever puts it up.
    pub id: i64,
    /// What is sold.
    pub name: String,
    /// What one unit costs.
    pub price_cents: i64,
    /// Units at the start.
    pub stock: i64,
    /// Units sold, as the sale's row says.
    pub sold: i64,
    /// From then, in milliseconds since 1970.
    pub opens_at: i64,
    /// Until then, exclusive.
    pub closes_at: i64,
}

impl Sale {
    /// Sale 1, as the settings have it.
    pub fn first(config: &Config) -> Sale {
        let opens_at = now_ms() + i64::from(config.opens_in) * 1000;
        let closes_at = opens_at + i64::from(config.open_for) * 1000;
        Sale { id: 1, stock: config.stock.into(), opens_at, closes_at, ..Sale::open(1, 0) }
    }

    /// A sale that is open now, for an hour.
    pub fn open(id: i64, stock: i64) -> Sale {
        let opens_at = now_ms();
        let name = "Mechanical keyboard, last year's".into();
        Sale { id, name, price_cents: 100, stock, sold: 0, opens_at, closes_at: opens_at + 3_600_000 }
    }

    /// Puts the sale up, unless its id is taken.
    ///
    /// # Errors
    /// The database's.
    pub async fn insert(&self, pool: &AnyPool) -> sqlx::Result<()> {
        let statement = "insert into sales (id, name, price_cents, stock, sold, opens_at, closes_at)
                         values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do nothing";
        let query = sqlx::query(statement).bind(self.id).bind(&self.name).bind(self.price_cents);
        query.bind(self.stock).bind(self.sold).bind(self.opens_at).bind(self.closes_at).execute(pool).await?;
        Ok(())
    }
}

#[derive(Deserialize)]
pub(super) struct SalePath {
    sale_id: i64,
}

pub(super) async fn show(State(shop): State<Shop>, Path(path): Path<SalePath>) -> Result<Json<Value>, Error> {
    let query =
        sqlx::query_as("select id, name, price_cents, stock, sold, opens_at, closes_at from sales where id = $1");
    let row: Option<(i64, String, i64, i64, i64, i64, i64)> =
        query.bind(path.sale_id).fetch_optional(&shop.pool).await?;
    let (id, name, price_cents, stock, sold, opens_at, closes_at) = row.ok_or(Error::NotFound)?;
    let sale = Sale { id, name, price_cents, stock, sold, opens_at, closes_at };
    let mut body = json!(sale);
    body["server_time"] = now_ms().into();
    body["buy"] = json!({ "method": "POST", "href": shop.buy.replace("{sale_id}", &sale.id.to_string()) });
    Ok(Json(body))
}

/// Milliseconds since 1970, by this machine's clock.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
