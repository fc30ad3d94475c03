//! The sales, cached in this process and read from SQL four times a second. So requests for a sale cost no SQL, and neither do
//! requests for sales that do not exist.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
    time::Duration,
};

use serde::Serialize;
use sqlx::PgPool;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{error::Error, shop, sql::in_time, supervise};

/// How often the sales are read.
const EVERY: Duration = Duration::from_millis(250);
/// The shortest time between two reads, also when requests for unknown sales ask for a new read.
const AT_MOST_EVERY: Duration = Duration::from_millis(50);
/// How long a request for an unknown sale waits for a new read.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a sale stays in the catalogue after it has closed: one day, in milliseconds.
pub(crate) const SHOWN_MS: i64 = 86_400_000;

/// A sale, by its row in SQL.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct SaleRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) price_cents: i64,
    pub(crate) stock: i64,
    pub(crate) sold: i64,
    pub(crate) opens_at: i64,
    pub(crate) closes_at: i64,
    #[serde(skip)]
    pub(crate) epoch: i64,
    /// Whether units may become free again: there are unpaid orders, or reservations that are not orders yet.
    #[serde(skip)]
    pub(crate) units_may_return: bool,
}

/// The sales that open later, are open, or closed less than a day ago.
pub(crate) struct Catalogue {
    sales: RwLock<Arc<HashMap<i64, Arc<SaleRow>>>>,
    wanted: Notify,
    looks: watch::Sender<u64>,
}

impl Catalogue {
    pub(crate) fn new() -> Arc<Catalogue> {
        Arc::new(Catalogue { sales: RwLock::default(), wanted: Notify::new(), looks: watch::Sender::new(0) })
    }

    /// All sales, by id.
    pub(crate) fn all(&self) -> Arc<HashMap<i64, Arc<SaleRow>>> {
        self.sales.read().map(|sales| sales.clone()).unwrap_or_default()
    }

    /// Whether a sold-out sale may have units again; true for a sale that is not known.
    pub(crate) fn units_may_return(&self, sale_id: i64) -> bool {
        self.all().get(&sale_id).is_none_or(|sale| sale.units_may_return)
    }

    /// The sale with this id. For an unknown sale, waits for a new read, which all such requests share.
    ///
    /// # Errors
    /// 404 `not-found`: there is no such sale; 503 `overloaded`: SQL does not answer.
    pub(crate) async fn find(&self, sale_id: i64) -> Result<Arc<SaleRow>, Error> {
        if let Some(sale) = self.all().get(&sale_id) {
            return Ok(sale.clone());
        }
        // The read that is under way may have begun before the sale was created, so wait for the next one.
        let mut looks = self.looks.subscribe();
        let next = *looks.borrow_and_update() + 2;
        let looked = async {
            loop {
                self.look_again();
                if looks.changed().await.is_err() || *looks.borrow() >= next {
                    break;
                }
            }
        };
        if timeout(PATIENCE, looked).await.is_err() {
            return Err(Error::Unavailable("the sales cannot be read"));
        }
        self.all().get(&sale_id).cloned().ok_or(Error::Shop(shop::Error::NotFound))
    }

    /// Asks for a new read soon, because the cached sales seem to be out of date.
    pub(crate) fn look_again(&self) {
        self.wanted.notify_one();
    }

    /// Reads the sales again and again, until `stop`.
    pub(crate) async fn follow(&self, sql: &PgPool, stop: &CancellationToken) {
        let look = || async move {
            let query = "select id, name, price_cents, stock, sold, opens_at, closes_at, epoch,
                             sold < stock or exists (select from orders where sale_id = sales.id and status = 'confirmed')
                                 as units_may_return
                         from sales where closes_at > now_ms() - $1";
            let query = sqlx::query_as::<_, SaleRow>(query).bind(SHOWN_MS);
            let rows = in_time(query.fetch_all(sql)).await?;
            let sales = rows.into_iter().map(|sale| (sale.id, Arc::new(sale))).collect();
            if let Ok(mut known) = self.sales.write() {
                *known = Arc::new(sales);
            }
            self.looks.send_modify(|looks| *looks += 1);
            sleep(AT_MOST_EVERY).await;
            let _ = timeout(EVERY, self.wanted.notified()).await;
            Ok(())
        };
        supervise::keep("sales", stop, look).await;
    }
}
