//! The rows of a sale while it goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::sleep;

use crate::buyer::progress::Progress;

/// The time between two looks at the database.
const EVERY: Duration = Duration::from_millis(100);

/// What the sale's database has at the moment; -1 while that is unknown.
pub(super) struct Rows {
    orders: AtomicI64,
    sold: AtomicI64,
}

impl Default for Rows {
    fn default() -> Rows {
        Rows { orders: AtomicI64::new(-1), sold: AtomicI64::new(-1) }
    }
}

impl Rows {
    /// The number of orders; `None` while it is unknown.
    pub(super) fn orders(&self) -> Option<i64> {
        Some(self.orders.load(Relaxed)).filter(|n| *n >= 0)
    }

    /// The sale's own counter; `None` while it is unknown.
    pub(super) fn sold(&self) -> Option<i64> {
        Some(self.sold.load(Relaxed)).filter(|n| *n >= 0)
    }

    /// Reads them again and again. It is a task of its own, so that a slow database does not delay the other numbers.
    pub(super) async fn read(self: Arc<Rows>, progress: Progress) {
        let select = "select cast(coalesce(sum(sold), 0) as bigint),
                      (select count(*) from orders where sale_id > 1000 and status in ('confirmed', 'paid'))
                      from sales where id > 1000";
        loop {
            if let (Some(rows), Some(_)) = (progress.rows(), progress.began_at())
                && let Ok((sold, orders)) = sqlx::query_as::<_, (i64, i64)>(select).fetch_one(rows).await
            {
                self.sold.store(sold, Relaxed);
                self.orders.store(orders, Relaxed);
            }
            sleep(EVERY).await;
        }
    }
}
