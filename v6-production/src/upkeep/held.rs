use std::collections::HashMap;

use redis::{AsyncCommands, RedisResult};

use super::Upkeep;
use crate::{gate::ticket::TicketId, order_id::OrderId, redis_store::numbers, transport::Reservation};

/// Reservations that one call reads, about.
const AT_ONCE: usize = 1000;

impl Upkeep {
    /// The reservations that Redis holds of a sale. It is read in steps, between which others may come and go.
    pub(super) async fn held(&self, sale_id: i64) -> RedisResult<Vec<Reservation>> {
        let (key, mut redis) = (self.redis.keys(sale_id).held, self.redis.shared.clone());
        let (mut cursor, mut found) = (0_u64, HashMap::new()); // a scan may name a buyer twice
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(&key).arg(cursor).arg("COUNT").arg(AT_ONCE);
            let read: (u64, Vec<Pair>) = scan.query_async(&mut redis).await?;
            cursor = read.0;
            let reservations = read.1.iter().filter_map(|(buyer, held)| reservation(sale_id, buyer, held));
            found.extend(reservations.map(|one| (one.buyer_id, one)));
            if cursor == 0 {
                return Ok(found.into_values().collect());
            }
        }
    }

    /// Whether the buyer's reservation in Redis is of this order.
    pub(super) async fn holds(&self, order_id: OrderId, buyer_id: i64) -> RedisResult<bool> {
        let key = self.redis.keys(order_id.sale_id()).held;
        let held: Option<Vec<u8>> = self.redis.shared.clone().hget(key, &buyer_id.to_be_bytes()).await?;
        Ok(held.is_some_and(|held| held.starts_with(&order_id.0.to_be_bytes())))
    }
}

/// A buyer, and what is held for it.
type Pair = (Vec<u8>, Vec<u8>);

/// What `reserve.lua` has written. When it was reserved is not in it; its path was issued shortly before.
fn reservation(sale_id: i64, buyer: &[u8], held: &[u8]) -> Option<Reservation> {
    let ([buyer_id], [order_id, path, request]) = (numbers(buyer)?, numbers(held)?);
    let order_id = OrderId(order_id);
    let is_one = order_id.sale_id() == sale_id && order_id.epoch() > 0 && buyer_id > 0;
    is_one.then_some(Reservation { order_id, buyer_id, reserved_at: TicketId(path).issued_at(), path, request })
}
