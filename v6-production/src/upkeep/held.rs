use redis::{AsyncCommands, RedisResult};

use super::Upkeep;
use crate::{gate::ticket::TicketId, order_id::OrderId, redis_store::numbers, transport::Reservation};

/// About how many reservations one call reads. Redis answers nothing else meanwhile, which is 0.4 ms.
const AT_ONCE: usize = 500;

impl Upkeep {
    /// Reads the next part of a sale's reservations in Redis. `cursor` is 0 at first, and 0 again after the last part. Between two
    /// calls reservations may come and go, and one may be returned twice.
    pub(super) async fn held(&self, sale_id: i64, cursor: &mut u64) -> RedisResult<Vec<Reservation>> {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(self.redis.keys(sale_id).held).arg(*cursor).arg("COUNT").arg(AT_ONCE);
        let (next, read): (u64, Vec<Pair>) = scan.query_async(&mut self.redis.of(sale_id)).await?;
        *cursor = next;
        Ok(read.iter().filter_map(|(buyer, held)| reservation(sale_id, buyer, held)).collect())
    }

    /// The orders among these, as order and buyer, that have no reservation in Redis.
    pub(super) async fn not_held(&self, sale_id: i64, orders: &[(OrderId, i64)]) -> RedisResult<Vec<(OrderId, i64)>> {
        let (key, mut missing) = (self.redis.keys(sale_id).held, Vec::new());
        for orders in orders.chunks(AT_ONCE) {
            let buyers: Vec<_> = orders.iter().map(|(_, buyer_id)| buyer_id.to_be_bytes().to_vec()).collect();
            let held: Vec<Option<Vec<u8>>> = self.redis.of(sale_id).hmget(&key, &buyers).await?;
            let is_of = |order_id: OrderId, held: &Option<Vec<u8>>| {
                held.as_ref().is_some_and(|held| held.starts_with(&order_id.0.to_be_bytes()))
            };
            let both = orders.iter().zip(held);
            missing.extend(both.filter(|((order_id, _), held)| !is_of(*order_id, held)).map(|(order, _)| *order));
        }
        Ok(missing)
    }
}

/// A buyer and the buyer's reservation, as bytes.
type Pair = (Vec<u8>, Vec<u8>);

/// A reservation as `reserve.lua` writes it. It does not contain the time, so the time at which its path was issued is used.
fn reservation(sale_id: i64, buyer: &[u8], held: &[u8]) -> Option<Reservation> {
    let ([buyer_id], [order_id, path, request]) = (numbers(buyer)?, numbers(held)?);
    let order_id = OrderId(order_id);
    let is_one = order_id.sale_id() == sale_id && order_id.epoch() > 0 && buyer_id > 0;
    is_one.then_some(Reservation { order_id, buyer_id, reserved_at: TicketId(path).issued_at(), path, request })
}
