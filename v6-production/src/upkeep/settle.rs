use std::collections::HashMap;

use redis::AsyncCommands;

use super::{Upkeep, findings::Findings};
use crate::{
    notify::notices::Notices,
    order_id::OrderId,
    relay::outbox::{Entry, Outbox},
    sql::in_time,
    transport::Reservation,
    worker::place::{Placed, place},
};

/// The most reservations in one transaction.
const BATCH: usize = 500;

/// What SQL knows about a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// No order has its id.
    No,
    /// Its order holds the unit, or the unit will be released.
    Yes,
    /// Its order has ended, and the unit was released.
    GivenBack,
    /// Another buyer's order has its id.
    Another,
}

impl Known {
    /// Whether the reservation must be placed in SQL, even if SQL will refuse it.
    pub(super) fn is_to_be_placed(self) -> bool {
        match self {
            Known::No | Known::Another => true,
            Known::Yes | Known::GivenBack => false,
        }
    }
}

impl Upkeep {
    /// Places in SQL all reservations of a sale that Redis still has: those in its outbox, which is read without the consumer
    /// group, and those in its hash. RabbitMQ is not needed.
    ///
    /// # Errors
    /// A server does not answer. What was placed until then stays placed.
    pub(super) async fn settle(&self, outbox: &Outbox, sale_id: i64) -> anyhow::Result<()> {
        let mut redis = self.redis.of(sale_id);
        let mut from = "-".to_owned();
        loop {
            let entries: Vec<Entry> = redis.xrange_count(&outbox.key, &from, "+", BATCH).await?;
            let Some(last) = entries.last() else { break };
            from = format!("({}", last.id());
            // An entry that has no reservations stays for the relay, which parks it.
            let (placed, reservations): (Vec<Entry>, Vec<Vec<Reservation>>) =
                entries.into_iter().filter_map(|entry| outbox.reservations(&entry).map(|some| (entry, some))).unzip();
            for reservations in reservations.concat().chunks(BATCH) {
                self.place(reservations).await?;
            }
            outbox.done(&mut redis, &placed).await?;
        }
        let mut cursor = 0;
        loop {
            let held = self.held(sale_id, &mut cursor).await?;
            let unknown = self.unknown(&held).await?.into_iter();
            let missing: Vec<Reservation> =
                unknown.filter(|(_, known)| known.is_to_be_placed()).map(|(one, _)| one).collect();
            if !missing.is_empty() {
                self.place(&missing).await?;
            }
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    /// Places reservations like a worker, and notifies their buyers.
    pub(super) async fn place(&self, reservations: &[Reservation]) -> sqlx::Result<Placed> {
        let placed = place(&self.sql, reservations, self.pay_within).await?;
        Notices(self.redis.clone()).orders(&placed.orders()).await;
        Ok(placed)
    }

    /// Places reservations, and adds the results to `found`. A failure is only logged, so that other sales are still compared.
    /// Returns whether all were placed.
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

    /// The reservations among these that are not an order in SQL as expected, and what SQL knows about them.
    pub(super) async fn unknown(&self, reservations: &[Reservation]) -> sqlx::Result<Vec<(Reservation, Known)>> {
        let ids: Vec<OrderId> = reservations.iter().map(|one| one.order_id).collect();
        // With `offset 0` the plan is the same for an empty and a large table.
        let query = "select known.* from unnest($1::bigint[]) as one, lateral (
                         select id, buyer_id, given_back from orders where id = one offset 0) as known";
        let query = sqlx::query_as::<_, (OrderId, i64, bool)>(query).bind(ids);
        let rows = in_time(query.fetch_all(&self.sql)).await?;
        let orders: HashMap<_, _> =
            rows.into_iter().map(|(id, buyer_id, given_back)| (id, (buyer_id, given_back))).collect();
        let known = |one: &Reservation| match orders.get(&one.order_id) {
            None => Known::No,
            Some((buyer_id, _)) if *buyer_id != one.buyer_id => Known::Another,
            Some((_, true)) => Known::GivenBack,
            Some((_, false)) => Known::Yes,
        };
        Ok(reservations.iter().map(|one| (*one, known(one))).filter(|(_, known)| *known != Known::Yes).collect())
    }
}
