//! Compares Redis, outbox, queue and SQL, reservation by reservation. A reservation that SQL does not know is placed there, by the
//! same code as those of the queue. Nothing is declared lost because it was not found: an order fails only if SQL refuses it.

use std::{sync::LazyLock, time::Duration};

use anyhow::Context;
use redis::{RedisResult, Script, pipe};

use super::{
    Upkeep, alone, deny,
    findings::Findings,
    walk::{PART, Walk},
};
use crate::{order_id::OrderId, sql::in_time, transport::Link};

static FREE_TRIES: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("tries.lua")));

impl Upkeep {
    /// Compares the new orders of a sale and the next part of the rest (with `all`, the whole rest), and places what SQL does not
    /// know. If several processes do this at the same time, each reservation still becomes one order.
    ///
    /// # Errors
    /// Redis or PostgreSQL does not answer. RabbitMQ is not needed: Redis has everything that it has.
    pub(crate) async fn reconcile(
        &self,
        link: Option<&Link>,
        sale_id: i64,
        walk: &mut Walk,
        all: bool,
    ) -> anyhow::Result<Findings> {
        let mut found = Findings { sale_id, ..Findings::default() };
        self.free_tries(sale_id).await?;
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
        if self.redis.epoch(sale_id).await? != epoch {
            return Ok(found);
        }
        let keys = self.redis.keys(sale_id);
        let mut read = pipe();
        read.atomic().hmget(&keys.sale, &["stock", "opens_at", "closes_at", "denials", "number"]);
        read.hlen(&keys.held).xlen(&keys.outbox);
        let ([left, opened, closed, told, number], held, in_outbox): ([Option<i64>; 5], i64, i64) =
            read.query_async(&mut self.redis.of(sale_id)).await?;
        (found.left, found.held, found.in_outbox) = (left, held, in_outbox);
        found.another_window = [opened, closed] != [Some(opens_at), Some(closes_at)];
        if told != Some(denials) {
            self.copy_deny_list(sale_id).await?;
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

    /// Frees the attempts of the last frequency window, if no attempt has begun another one.
    async fn free_tries(&self, sale_id: i64) -> RedisResult<()> {
        let mut call = FREE_TRIES.key(self.redis.keys(sale_id).tries);
        call.arg(self.frequency_window.as_millis() as u64).invoke_async(&mut self.redis.of(sale_id)).await
    }

    /// The units sold by SQL's counter, and the number of orders that hold a unit.
    async fn active(&self, sale_id: i64) -> sqlx::Result<(i64, Option<i64>)> {
        let query = "select sold, (select count(*) from orders where sale_id = $1 and status in ('confirmed', 'paid'))
                     from sales where id = $1";
        in_time(sqlx::query_as(query).bind(sale_id).fetch_one(&self.sql)).await
    }

    /// Updates the sale's copy of the deny list, unless another process has the lease.
    async fn copy_deny_list(&self, sale_id: i64) -> anyhow::Result<()> {
        let Some(lease) = alone(&self.sql, sale_id, Duration::ZERO).await? else { return Ok(()) };
        let copied = deny::copy(&self.sql, &self.redis, &lease, sale_id).await;
        lease.release().await;
        copied
    }
}
