use anyhow::ensure;
use sqlx::PgPool;

use super::deny::{self, DenyList};
use crate::{
    gate::ticket::NONCE_BITS,
    lease::Lease,
    order_id::{MOST_EPOCHS, OrderId},
    sql::in_time,
};

/// The longest validity of a path, in milliseconds.
const PATHS_MS: i64 = 3_600_000;

/// A snapshot of a sale in SQL at the beginning of an epoch, from which Redis is rebuilt.
pub(super) struct Picture {
    /// The new epoch.
    pub(super) epoch: i64,
    pub(super) stock: i64,
    pub(super) opens_at: i64,
    pub(super) closes_at: i64,
    /// Orders that hold a unit: id, buyer, path and request.
    pub(super) active: Vec<(OrderId, i64, i64, i64)>,
    /// The buyers and paths of released units.
    pub(super) spent: Vec<(i64, i64)>,
    /// Orders that have ended: id, buyer and request.
    pub(super) ended: Vec<(OrderId, i64, i64)>,
    /// The deny list.
    pub(super) denied: DenyList,
}

impl Picture {
    /// Begins a new epoch and takes the snapshot, in one transaction that waits for no other server. After its commit, no order of
    /// an older epoch is confirmed any more: workers check the epoch in the sale's row. Units of orders that expire from now on are
    /// released later, because `release` waits while a sale is closed.
    ///
    /// The new epoch is higher than `past`, the epoch in Redis, and than the epochs of all orders, because Redis or PostgreSQL may
    /// have gone back to older data.
    pub(super) async fn take(sql: &PgPool, lease: &Lease, sale_id: i64, past: i64) -> anyhow::Result<Picture> {
        let mut tx = in_time(sql.begin()).await?;
        let row = "select epoch, stock, sold, opens_at, closes_at from sales where id = $1 for no key update";
        let row = sqlx::query_as(row).bind(sale_id).fetch_one(&mut *tx);
        let (epoch, stock, sold, opens_at, closes_at): (i64, i64, i64, i64, i64) = in_time(row).await?;
        // The ids of a sale are a range of the primary key. An index on the sale would slow down each new order.
        let (from, to) = (OrderId::base(sale_id, 0), OrderId::base(sale_id + 1, 0));
        let last = "select max(id) from orders where id > $1 and id < $2";
        let last = sqlx::query_scalar(last).bind(from).bind(to);
        let last: Option<OrderId> = in_time(last.fetch_one(&mut *tx)).await?;
        let epoch = epoch.max(past).max(last.map_or(0, OrderId::epoch)) + 1;
        ensure!(
            epoch <= MOST_EPOCHS,
            "sale {sale_id} was rebuilt {MOST_EPOCHS} times, and order ids have no room for more"
        );

        let active =
            "select id, buyer_id, path, request from orders where sale_id = $1 and status in ('confirmed', 'paid')";
        let active: Vec<(OrderId, i64, i64, i64)> =
            in_time(sqlx::query_as(active).bind(sale_id).fetch_all(&mut *tx)).await?;
        if active.len() as i64 != sold {
            tracing::error!("sale {sale_id}: {} orders hold a unit, and {sold} are counted as sold", active.len());
        }
        // The rebuilt sale does not contain ended orders, so their units need no release. But their paths stay used, as long as a
        // path can be valid.
        let over = "update orders set given_back = true
                    where id > $1 and id < $2 and status in ('expired', 'failed') and not given_back";
        in_time(sqlx::query(over).bind(from).bind(to).execute(&mut *tx)).await?;
        let ended = "select id, buyer_id, request, path, path >> $3 > now_ms() - $4 from orders
                     where id > $1 and id < $2 and status in ('expired', 'failed')";
        let ended = sqlx::query_as(ended).bind(from).bind(to).bind(NONCE_BITS as i32).bind(PATHS_MS);
        let ended: Vec<(OrderId, i64, i64, i64, bool)> = in_time(ended.fetch_all(&mut *tx)).await?;
        let spent = ended.iter().filter(|(.., may_be_valid)| *may_be_valid);
        let spent = spent.map(|&(_, buyer_id, _, path, _)| (buyer_id, path)).collect();
        let ended = ended.into_iter().map(|(id, buyer_id, request, ..)| (id, buyer_id, request)).collect();
        let denied = in_time(deny::list(&mut *tx)).await?;

        let update = sqlx::query("update sales set epoch = $2 where id = $1").bind(sale_id).bind(epoch);
        in_time(update.execute(&mut *tx)).await?;
        lease.confirm(&mut tx).await?;
        in_time(tx.commit()).await?;
        Ok(Picture { epoch, stock, opens_at, closes_at, active, spent, ended, denied })
    }
}
