use std::fmt;

use crate::order_id::OrderId;

/// The result of a comparison: a sale in Redis, outbox, queue and SQL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) sale_id: i64,
    pub(crate) stock: i64,
    /// Units sold, by SQL's counter.
    pub(crate) sold: i64,
    /// Orders that hold a unit; `None` if they were not counted, because there are too many.
    pub(crate) active: Option<i64>,
    /// Units left in Redis; `None` if the sale is missing or closed there.
    pub(crate) left: Option<i64>,
    /// Reservations in Redis.
    pub(crate) held: i64,
    /// Entries in the outbox, each with the reservations of one call.
    pub(crate) in_outbox: i64,
    /// Messages of all sales in the queues; `None` if RabbitMQ does not answer.
    pub(crate) in_queue: Option<u32>,
    /// Parked messages of all sales; `None` if RabbitMQ does not answer.
    pub(crate) parked: Option<u32>,
    /// Orders of old reservations that SQL did not know, and that this comparison has placed.
    pub(crate) placed: Vec<OrderId>,
    /// Reservations whose id belongs to another buyer's order.
    pub(crate) collided: usize,
    /// Orders that hold a unit without a reservation in Redis.
    pub(crate) unknown_to_redis: usize,
    /// Reservations in Redis whose units SQL has released.
    pub(crate) given_back: usize,
    /// Whether the sale opens or closes at another time in Redis than in SQL.
    pub(crate) another_window: bool,
}

impl Findings {
    /// Whether Redis contradicts itself or SQL, so that the sale must be rebuilt.
    pub(crate) fn is_wrong(&self) -> bool {
        let adds_up = self.left.is_some_and(|left| left + self.held == self.stock);
        !adds_up || self.another_window || self.collided + self.unknown_to_redis + self.given_back > 0
    }

    /// Whether there is any difference, apart from reservations under way.
    pub(crate) fn differ(&self) -> bool {
        self.is_wrong()
            || !self.placed.is_empty()
            || self.active.is_some_and(|active| active != self.sold)
            || self.parked.is_some_and(|n| n > 0)
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
