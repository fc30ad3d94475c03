//! Lays Redis, outbox, queue and SQL side by side, reservation by reservation. One that SQL does not know is placed there, by the
//! code that places those of the queue: nothing is ever declared lost because it was not found. Only SQL's refusal makes it fail.

use std::{fmt, time::Duration};

use anyhow::Context;
use redis::pipe;

use super::{Upkeep, Walk, alone, walk::PART};
use crate::{
    gate::deny,
    order_id::OrderId,
    sql::in_time,
    transport::{Link, Reservation},
};

/// Reservations in one transaction.
const BATCH: usize = 500;

/// A sale, as each of the four has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) sale_id: i64,
    pub(crate) stock: i64,
    /// By SQL's counter.
    pub(crate) sold: i64,
    /// Orders that hold a unit; `None` if they were not counted, because there are too many for each look.
    pub(crate) active: Option<i64>,
    /// In Redis; `None` if it has no such sale, or is not to sell from what it has.
    pub(crate) left: Option<i64>,
    /// Reservations in Redis.
    pub(crate) held: i64,
    /// Reservations in the outbox.
    pub(crate) in_outbox: i64,
    /// Messages of all sales; `None` if RabbitMQ is away.
    pub(crate) in_queue: Option<u32>,
    /// Messages of all sales that nobody could read; `None` if RabbitMQ is away.
    pub(crate) parked: Option<u32>,
    /// Reservations that SQL did not know for too long, and that have been placed from here.
    pub(crate) placed: Vec<OrderId>,
    /// Reservations whose number is another buyer's order's.
    pub(crate) collided: usize,
    /// Orders that hold a unit, and of which Redis has no reservation.
    pub(crate) unknown_to_redis: usize,
    /// Reservations of orders whose units were given back.
    pub(crate) given_back: usize,
    /// Whether Redis has another opening or closing time than SQL.
    pub(crate) another_window: bool,
}

impl Findings {
    /// Whether Redis contradicts itself, or SQL: then it has to be rebuilt.
    pub(crate) fn is_wrong(&self) -> bool {
        let adds_up = self.left.is_some_and(|left| left + self.held == self.stock);
        !adds_up || self.another_window || self.collided + self.unknown_to_redis + self.given_back > 0
    }

    /// Whether they differ at all, beyond what is on its way.
    pub(crate) fn differ(&self) -> bool {
        self.is_wrong()
            || !self.placed.is_empty()
            || self.active.is_some_and(|active| active != self.sold)
            || self.parked.is_some_and(|n| n > 0)
    }
}

impl Upkeep {
    /// Compares what is new of a sale, and the next part of the rest or all of it, and places what SQL does not know. However many do
    /// so at the same time, each reservation becomes one order.
    ///
    /// # Errors
    /// Redis or PostgreSQL is away. RabbitMQ is not needed: what it holds, Redis holds as well.
    pub(crate) async fn reconcile(
        &self,
        link: Option<&Link>,
        sale_id: i64,
        walk: &mut Walk,
        all: bool,
    ) -> anyhow::Result<Findings> {
        let mut found = Findings { sale_id, ..Findings::default() };
        if let Some(link) = link {
            found.in_queue = self.in_queues(link).await.ok().map(|[orders, dead]| orders + dead);
            found.parked = link.waiting(&self.transport.parked).await.ok();
        }
        let query = "select epoch, stock, sold, opens_at, closes_at, (select denials from oversold_shop)
                     from sales where id = $1";
        let row = in_time(sqlx::query_as(query).bind(sale_id).fetch_optional(&self.sql)).await?;
        let (epoch, stock, sold, opens_at, closes_at, denials): (i64, i64, i64, i64, i64, i64) =
            row.with_context(|| format!("there is no sale {sale_id}"))?;
        (found.stock, found.sold) = (stock, sold);
        if self.redis.epochs(&[sale_id]).await? != [epoch] {
            return Ok(found);
        }
        let keys = self.redis.keys(sale_id);
        let mut read = pipe();
        read.atomic().hmget(&keys.sale, &["stock", "opens_at", "closes_at", "denials", "number"]);
        read.hlen(&keys.held).xlen(&keys.outbox);
        let ([left, opened, closed, told, number], held, in_outbox): ([Option<i64>; 5], i64, i64) =
            read.query_async(&mut self.redis.shared.clone()).await?;
        (found.left, found.held, found.in_outbox) = (left, held, in_outbox);
        found.another_window = [opened, closed] != [Some(opens_at), Some(closes_at)];
        if told != Some(denials) {
            self.tell_denied(sale_id).await?;
        }
        let first = OrderId::base(sale_id, epoch);
        let last = OrderId(first.0 + number.unwrap_or_default());
        let is_late = self.missing_for(walk, first, last).await? >= self.place_after;
        let all = all || is_late;
        let whole = all || held.max(sold) <= PART as i64;
        if whole {
            (found.sold, found.active) = self.active(sale_id).await?;
        }
        let is_placed = self.compare_each(&mut found, walk, whole, all).await?;
        if is_late && is_placed {
            self.step_over(walk, last).await?;
        }
        metrics::counter!("reservations_placed_total").increment(found.placed.len() as u64);
        Ok(found)
    }

    /// Units that are sold by SQL's counter, and orders that hold one.
    async fn active(&self, sale_id: i64) -> sqlx::Result<(i64, Option<i64>)> {
        let query = "select sold, (select count(*) from orders where sale_id = $1 and status in ('confirmed', 'paid'))
                     from sales where id = $1";
        in_time(sqlx::query_as(query).bind(sale_id).fetch_one(&self.sql)).await
    }

    async fn tell_denied(&self, sale_id: i64) -> anyhow::Result<()> {
        let Some(lease) = alone(&self.sql, sale_id, Duration::ZERO).await? else { return Ok(()) };
        let told = deny::tell(&self.sql, &self.redis, &lease, sale_id).await;
        lease.release().await;
        told
    }

    /// A lock that somebody holds for long, or a database that is away, is no reason to stop looking after other sales. Returns
    /// whether all are placed.
    pub(super) async fn place_all(&self, reservations: &[Reservation], found: &mut Findings) -> bool {
        for reservations in reservations.chunks(BATCH) {
            match self.place(reservations).await {
                Ok(placed) => {
                    found.collided += placed.collided.len();
                    found.placed.extend(placed.new_orders());
                }
                Err(error) => {
                    tracing::warn!("sale {}: {} reservations wait: {error}", found.sale_id, reservations.len());
                    return false;
                }
            }
        }
        true
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Findings { sale_id, stock, sold, held, in_outbox, .. } = self;
        let left = self.left.map_or("no such sale".into(), |left| format!("{left} left, {held} held"));
        let in_queue = self.in_queue.map_or("RabbitMQ is away".into(), |messages| format!("{messages} messages"));
        let active = self.active.map_or(String::new(), |active| format!("{active} orders, "));
        write!(
            f,
            "sale {sale_id}: stock {stock}; SQL: {active}{sold} sold; Redis: {left}; on the way: {in_outbox} in \
             the outbox, {in_queue}"
        )?;
        let parked = self.parked.unwrap_or_default();
        for (is, what) in [
            (parked > 0, format!("{parked} messages are parked, for a person to look at")),
            (
                !self.placed.is_empty(),
                format!("{} reservations were unknown to SQL, and are placed", self.placed.len()),
            ),
            (self.collided > 0, format!("{} reservations have another buyer's number: rebuild", self.collided)),
            (self.unknown_to_redis > 0, format!("Redis does not know {} orders: rebuild", self.unknown_to_redis)),
            (self.given_back > 0, format!("Redis holds {} units that were given back: rebuild", self.given_back)),
            (self.another_window, "Redis opens or closes at another time: rebuild".into()),
            (self.left.is_none(), "Redis does not know the sale, or has other data than before: rebuild".into()),
            (self.left.is_some_and(|left| left + held != *stock), "left and held are not the stock: rebuild".into()),
            (self.active.is_some_and(|active| active != *sold), "SQL's counter is wrong: a person has to look".into()),
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
        let clean = Findings { stock: 10, sold: 3, active: Some(3), left: Some(7), held: 3, ..Findings::default() };
        assert!(!clean.differ());
        let on_its_way = Findings { left: Some(6), held: 4, in_outbox: 1, ..clean.clone() };
        assert!(!on_its_way.differ());
        for (wrong, rebuilds) in [
            (Findings { left: None, ..clean.clone() }, true),
            (Findings { left: Some(8), ..clean.clone() }, true),
            (Findings { unknown_to_redis: 1, ..clean.clone() }, true),
            (Findings { given_back: 1, ..clean.clone() }, true),
            (Findings { collided: 1, ..clean.clone() }, true),
            (Findings { another_window: true, ..clean.clone() }, true),
            (Findings { sold: 4, ..clean.clone() }, false),
            (Findings { parked: Some(1), ..clean.clone() }, false),
            (Findings { placed: vec![OrderId(1)], ..clean.clone() }, false),
        ] {
            assert!(wrong.differ(), "{wrong}");
            assert_eq!(wrong.is_wrong(), rebuilds, "{wrong}");
            assert_eq!(wrong.to_string().matches('!').count(), 1, "{wrong}");
        }
    }
}
