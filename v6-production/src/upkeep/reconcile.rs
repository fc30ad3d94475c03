//! Lays Redis, outbox, queue and SQL side by side. A reservation that only Redis knows of was lost on the way: it is given back,
//! by way of SQL, which does so once however many compare at the same time, and also if it turns up after all.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use anyhow::Context;
use redis::{AsyncCommands, pipe, streams::StreamRangeReply};

use super::{Upkeep, alone};
use crate::{
    gate::{deny, ticket::TicketId},
    lease::Lease,
    order_id::OrderId,
    orders::RESERVATION_LOST,
    redis_store::numbers,
    relay::reservation,
    sql::in_time,
    transport::{Link, Reservation},
    worker::fail,
};

/// A sale, as each of the four has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) sale_id: i64,
    pub(crate) stock: i64,
    /// By SQL's counter.
    pub(crate) sold: i64,
    /// Orders that hold a unit.
    pub(crate) active: i64,
    /// In Redis; nothing if it has no such sale.
    pub(crate) left: Option<i64>,
    /// Reservations in Redis.
    pub(crate) held: i64,
    /// Reservations in the outbox.
    pub(crate) in_outbox: i64,
    /// Messages of all sales.
    pub(crate) in_queue: u32,
    /// Messages of all sales that nobody could read.
    pub(crate) parked: u32,
    /// Reservations that were nowhere else for too long, and have been given back.
    pub(crate) lost: Vec<OrderId>,
    /// Orders of which Redis knows nothing.
    pub(crate) unknown_to_redis: usize,
}

impl Findings {
    /// Whether Redis contradicts itself, or SQL: then it has to be made anew.
    pub(crate) fn is_wrong(&self) -> bool {
        self.left.is_none_or(|left| left + self.held != self.stock) || self.unknown_to_redis > 0
    }

    /// Whether they differ at all, beyond what is on its way.
    pub(crate) fn differ(&self) -> bool {
        self.is_wrong() || !self.lost.is_empty() || self.sold != self.active || self.parked > 0
    }

    /// As many reservations as orders, and as much as should be: there is nothing to be found one by one.
    fn adds_up(&self) -> bool {
        self.held == self.active && !self.is_wrong()
    }
}

impl Upkeep {
    /// Compares one sale, and gives back what was lost; nothing if it is being rebuilt, or somebody else is at it.
    ///
    /// # Errors
    /// A server is away.
    pub(crate) async fn reconcile(&self, link: &Link, sale_id: i64) -> anyhow::Result<Option<Findings>> {
        let Some(lease) = alone(&self.sql, sale_id).await? else { return Ok(None) };
        let found = lease.while_held(self.reconcile_alone(&lease, link, sale_id)).await;
        lease.release().await;
        let found = found?;
        metrics::counter!("reservations_lost_total").increment(found.lost.len() as u64);
        Ok(Some(found))
    }

    async fn reconcile_alone(&self, lease: &Lease, link: &Link, sale_id: i64) -> anyhow::Result<Findings> {
        let mut found = self.count(lease, link, sale_id).await?;
        if found.left.is_some() && !found.adds_up() {
            self.one_by_one(lease, &mut found).await?;
        }
        Ok(found)
    }

    async fn count(&self, lease: &Lease, link: &Link, sale_id: i64) -> anyhow::Result<Findings> {
        let in_queue = link.waiting(&self.transport.orders).await? + link.waiting(&self.transport.dead).await?;
        let parked = link.waiting(&self.transport.parked).await?;
        let query = "select epoch, stock, sold, (select count(*) from orders where sale_id = $1
                     and status in ('confirmed', 'paid')) from sales where id = $1";
        let row = in_time(sqlx::query_as(query).bind(sale_id).fetch_optional(&self.sql)).await?;
        let (epoch, stock, sold, active): (i64, i64, i64, i64) =
            row.with_context(|| format!("there is no sale {sale_id}"))?;
        let mut found = Findings { sale_id, stock, sold, active, in_queue, parked, ..Findings::default() };
        if self.redis.epochs(&[sale_id]).await? != [epoch] {
            return Ok(found);
        }
        let keys = self.redis.keys(sale_id);
        let mut read = pipe();
        read.atomic().hget(&keys.sale, "stock").hlen(&keys.held).xlen(&keys.outbox).smembers(&keys.denied);
        let denied: HashSet<Vec<u8>>;
        (found.left, found.held, found.in_outbox, denied) = read.query_async(&mut self.redis.shared.clone()).await?;
        let mut connection = self.sql.acquire().await?;
        let list = in_time(deny::list(&mut connection)).await?;
        drop(connection);
        if denied != list.iter().map(|buyer| buyer.to_be_bytes().to_vec()).collect() {
            deny::tell(&self.sql, &self.redis, lease, sale_id).await?;
        }
        Ok(found)
    }

    async fn one_by_one(&self, lease: &Lease, found: &mut Findings) -> anyhow::Result<()> {
        let keys = self.redis.keys(found.sale_id);
        let mut redis = self.redis.shared.clone();
        // In the order in which a reservation goes, so that none slips by.
        let held: HashMap<Vec<u8>, Vec<u8>> = redis.hgetall(&keys.held).await?;
        let outbox: StreamRangeReply = redis.xrange_all(&keys.outbox).await?;
        let on_its_way: HashSet<OrderId> =
            outbox.ids.iter().filter_map(reservation).map(|Reservation { order_id, .. }| order_id).collect();
        let active = "select id from orders where sale_id = $1 and status in ('confirmed', 'paid')";
        let active: Vec<OrderId> = in_time(sqlx::query_scalar(active).bind(found.sale_id).fetch_all(&self.sql)).await?;

        let of = |(buyer, held): (&Vec<u8>, &Vec<u8>)| {
            let ([buyer_id], [order_id, path, request]) = (numbers(buyer)?, numbers(held)?);
            Some(Reservation {
                order_id: OrderId(order_id),
                buyer_id,
                reserved_at: TicketId(path).issued_at(),
                path,
                request,
            })
        };
        let held: Vec<Reservation> = held.iter().filter_map(of).collect();
        let ids: HashSet<OrderId> = held.iter().map(|one| one.order_id).collect();
        found.unknown_to_redis =
            self.still_unknown(active.iter().filter(|id| !ids.contains(id)).copied().collect()).await?;

        // Whatever waits in the queue may be one of these.
        if found.in_queue == 0 {
            let (seconds, _): (i64, i64) = redis::cmd("TIME").query_async(&mut redis).await?;
            let old = seconds * 1000 - (self.path_ttl + self.lost_after).as_millis() as i64;
            let active: HashSet<OrderId> = active.into_iter().collect();
            let nowhere = |one: &Reservation| {
                one.reserved_at < old && !active.contains(&one.order_id) && !on_its_way.contains(&one.order_id)
            };
            let lost: Vec<Reservation> = held.into_iter().filter(nowhere).collect();
            // Their buyers hear of it, what comes late finds them there, and `release` gives their units back, once.
            let mut tx = self.sql.begin().await?;
            lease.confirm(&mut tx).await?;
            found.lost = in_time(fail(&mut tx, &lost, RESERVATION_LOST)).await?;
            in_time(tx.commit()).await?;
        }
        Ok(())
    }

    /// How many of these orders hold a unit, and no reservation: both may have ended between our looks.
    async fn still_unknown(&self, ids: Vec<OrderId>) -> anyhow::Result<usize> {
        let active = "select id, buyer_id from orders where id = any($1) and status in ('confirmed', 'paid')";
        let mut unknown = 0;
        for (id, buyer) in in_time(sqlx::query_as::<_, (OrderId, i64)>(active).bind(ids).fetch_all(&self.sql)).await? {
            let held = self.redis.keys(id.sale_id()).held;
            let held: Option<Vec<u8>> = self.redis.shared.clone().hget(held, &buyer.to_be_bytes()).await?;
            unknown += usize::from(!held.is_some_and(|held| held.starts_with(&id.0.to_be_bytes())));
        }
        Ok(unknown)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Findings { sale_id, stock, sold, active, held, in_outbox, in_queue, parked, .. } = self;
        let left = self.left.map_or("no such sale".into(), |left| format!("{left} left, {held} held"));
        write!(
            f,
            "sale {sale_id}: stock {stock}; SQL: {active} orders, {sold} sold; Redis: {left}; on the way: {in_outbox} in \
             the outbox, {in_queue} messages"
        )?;
        for (is, what) in [
            (parked > &0, format!("{parked} messages are parked, for a person to look at")),
            (
                !self.lost.is_empty(),
                format!("{} reservations were lost on the way, and are given back", self.lost.len()),
            ),
            (self.unknown_to_redis > 0, format!("Redis does not know {} orders: rebuild", self.unknown_to_redis)),
            (self.left.is_none(), "Redis does not know the sale, or was started again: rebuild".into()),
            (self.left.is_some_and(|left| left + held != *stock), "left and held are not the stock: rebuild".into()),
            (sold != active, "SQL's counter is wrong: a person has to look".into()),
        ] {
            if is {
                write!(f, "\n  ! {what}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_adds_up_and_what_does_not() {
        let clean = Findings { stock: 10, sold: 3, active: 3, left: Some(7), held: 3, ..Findings::default() };
        assert!(clean.adds_up() && !clean.differ());
        let on_its_way = Findings { left: Some(6), held: 4, in_outbox: 1, ..clean.clone() };
        assert!(!on_its_way.adds_up() && !on_its_way.differ(), "looked at one by one, and nothing is found");
        for (wrong, rebuilds) in [
            (Findings { left: None, ..clean.clone() }, true),
            (Findings { left: Some(8), ..clean.clone() }, true),
            (Findings { left: Some(8), held: 2, unknown_to_redis: 1, ..clean.clone() }, true),
            (Findings { sold: 4, ..clean.clone() }, false),
            (Findings { parked: 1, ..clean.clone() }, false),
            (Findings { left: Some(6), held: 4, lost: vec![OrderId(1)], ..clean.clone() }, false),
        ] {
            assert!(wrong.differ(), "{wrong}");
            assert_eq!(wrong.is_wrong(), rebuilds, "{wrong}");
            assert_eq!(wrong.to_string().matches('!').count(), 1, "{wrong}");
        }
    }
}
