//! How far a sale has been compared. Each comparison covers the new orders and the next part of the old ones, and after the last
//! part it starts again with the first. So a comparison costs the same, however much has been sold.

use std::time::{Duration, Instant};

use super::{Upkeep, findings::Findings, settle::Known};
use crate::{order_id::OrderId, sql::in_time, transport::Reservation};

/// How many reservations and orders one comparison covers. A smaller sale is compared as a whole each time.
pub(super) const PART: usize = 10_000;
/// The most orders in one statement.
const STEP: usize = 1000;

/// Where the next comparison begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Walk {
    /// The cursor of the scan through the reservations.
    cursor: u64,
    /// The last order of the previous part.
    order: OrderId,
    /// The orders of an epoch have consecutive numbers. SQL has all of them up to this one, except those that were searched for in
    /// vain.
    numbered: OrderId,
    /// The last of these orders that SQL had.
    seen: OrderId,
    /// The order before the first missing number, and since when it has been missing.
    missing: Option<(OrderId, Instant)>,
}

impl Upkeep {
    /// How long SQL has lacked an order between `first` and `last`, the last order that Redis has numbered.
    pub(super) async fn missing_for(&self, walk: &mut Walk, first: OrderId, last: OrderId) -> sqlx::Result<Duration> {
        // The epoch is new, or PostgreSQL was restored without its last commits.
        if !(first..=last).contains(&walk.numbered) || (walk.seen > first && !self.has(walk.seen).await?) {
            (walk.numbered, walk.seen) = (first, first);
        }
        while walk.numbered < last {
            let query = "select id from orders where id > $1 and id <= $2 order by id limit $3";
            let query = sqlx::query_scalar(query).bind(walk.numbered).bind(last).bind(STEP as i64);
            let known: Vec<OrderId> = in_time(query.fetch_all(&self.sql)).await?;
            let mut expected = walk.numbered.0 + 1..;
            let in_turn = known.iter().take_while(|id| expected.next() == Some(id.0)).count();
            if in_turn > 0 {
                walk.numbered = known[in_turn - 1];
                walk.seen = walk.numbered;
            }
            if in_turn < STEP {
                break;
            }
        }
        walk.missing = (walk.numbered < last).then(|| match walk.missing {
            Some((order, since)) if order == walk.numbered => (order, since),
            _ => (walk.numbered, Instant::now()),
        });
        Ok(walk.missing.map_or(Duration::ZERO, |(_, since)| since.elapsed()))
    }

    async fn has(&self, order_id: OrderId) -> sqlx::Result<bool> {
        let query = sqlx::query_scalar("select exists (select from orders where id = $1)").bind(order_id);
        in_time(query.fetch_one(&self.sql)).await
    }

    /// Skips the missing numbers. To be called after the whole sale was compared and everything found was placed: what is still
    /// missing then will never come.
    pub(super) async fn step_over(&self, walk: &mut Walk, last: OrderId) -> sqlx::Result<()> {
        let next = "select min(id) from orders where id > $1 and id <= $2";
        let next = sqlx::query_scalar(next).bind(walk.numbered).bind(last).fetch_one(&self.sql);
        let next: Option<OrderId> = in_time(next).await?;
        walk.numbered = next.map_or(OrderId(walk.numbered.0 + 1), |next| OrderId(next.0 - 1).max(walk.numbered));
        walk.missing = None;
        Ok(())
    }

    /// Compares reservations and then orders, in the direction in which a reservation moves, so that none is missed. `whole` covers
    /// all reservations, and `all` covers all orders, of which many more may have ended. Returns whether everything that had to be
    /// placed was placed.
    pub(super) async fn compare_each(
        &self,
        found: &mut Findings,
        walk: &mut Walk,
        whole: bool,
        all: bool,
    ) -> anyhow::Result<bool> {
        let most = |all: bool| if all { usize::MAX } else { PART };
        if whole {
            walk.cursor = 0;
        }
        if all {
            walk.order = OrderId::default();
        }
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut self.redis.of(found.sale_id)).await?;
        let old = seconds * 1000 + micros / 1000 - self.place_after.as_millis() as i64;
        metrics::counter!("reconcile_looks_total").increment(1);
        let (mut compared, mut to_be_placed) = (0, Vec::new());
        while compared < most(whole) {
            let held = self.held(found.sale_id, &mut walk.cursor).await?;
            compared += held.len();
            to_be_placed.extend(self.compare_held(&held, found, old).await?);
            if walk.cursor == 0 {
                break;
            }
        }
        metrics::counter!("reconcile_reservations_total").increment(compared as u64);
        let mut compared = 0;
        while compared < most(all) {
            let orders = self.compare_orders(found, walk).await?;
            compared += orders;
            if orders < STEP {
                walk.order = OrderId::default();
                break;
            }
        }
        metrics::counter!("reconcile_orders_total").increment(compared as u64);
        Ok(self.place_all(&to_be_placed, found).await)
    }

    /// Counts reservations whose units SQL has released, and returns those from before `old` (milliseconds since 1970) that are to
    /// be placed.
    async fn compare_held(
        &self,
        held: &[Reservation],
        found: &mut Findings,
        old: i64,
    ) -> anyhow::Result<Vec<Reservation>> {
        let unknown = self.unknown(held).await?;
        let is_given_back =
            |(one, known): &(Reservation, Known)| (*known == Known::GivenBack).then_some((one.order_id, one.buyer_id));
        let given_back: Vec<_> = unknown.iter().filter_map(is_given_back).collect();
        // Their reservations may have been removed a moment ago.
        found.given_back += given_back.len() - self.not_held(found.sale_id, &given_back).await?.len();
        let late = unknown.into_iter().filter(|(one, known)| known.is_to_be_placed() && one.reserved_at < old);
        Ok(late.map(|(one, _)| one).collect())
    }

    /// Counts orders that hold a unit without a reservation in Redis. Returns how many orders were compared.
    async fn compare_orders(&self, found: &mut Findings, walk: &mut Walk) -> anyhow::Result<usize> {
        let sale_id = found.sale_id;
        let query = "select id, buyer_id, status in ('confirmed', 'paid') from orders
                     where id > $1 and id < $2 order by id limit $3";
        let from = walk.order.max(OrderId::base(sale_id, 0));
        let query = sqlx::query_as(query).bind(from).bind(OrderId::base(sale_id + 1, 0)).bind(STEP as i64);
        let orders: Vec<(OrderId, i64, bool)> = in_time(query.fetch_all(&self.sql)).await?;
        if let Some((last, ..)) = orders.last() {
            walk.order = *last;
        }
        let active: Vec<_> = orders.iter().filter(|(.., active)| *active).map(|(id, buyer, _)| (*id, *buyer)).collect();
        let not_held = self.not_held(sale_id, &active).await?;
        // An order may have ended between the two reads.
        let ids: Vec<OrderId> = not_held.into_iter().map(|(id, _)| id).collect();
        if !ids.is_empty() {
            let active = "select id, buyer_id from orders where id = any($1) and status in ('confirmed', 'paid')";
            let active = in_time(sqlx::query_as(active).bind(ids).fetch_all(&self.sql)).await?;
            found.unknown_to_redis += self.not_held(sale_id, &active).await?.len();
        }
        Ok(orders.len())
    }
}
