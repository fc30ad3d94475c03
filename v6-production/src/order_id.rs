use serde::{Deserialize, Serialize};

/// The highest id of a sale.
pub(crate) const MOST_SALES: i64 = (1 << 20) - 1;
/// The highest epoch: how often a sale can be rebuilt in Redis.
pub(crate) const MOST_EPOCHS: i64 = (1 << 8) - 1;
/// The highest number of an order in one epoch. Released reservations count as well.
pub(crate) const MOST_NUMBERS: i64 = (1 << 25) - 1;

/// An order's id. Redis makes it at the reservation, and it is the primary key in SQL. It contains the sale and the *epoch*, which
/// grows with each rebuild of the sale in Redis. So an id from a Redis that has lost its data is recognised.
///
/// It has 20 bits for the sale, 8 for the epoch and 25 for the number: 53 bits, the integers that JavaScript and Lua hold exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct OrderId(pub i64);

impl OrderId {
    /// The id with number 0. A number is added to it.
    pub fn base(sale_id: i64, epoch: i64) -> OrderId {
        OrderId(sale_id << 33 | epoch << 25)
    }

    /// The sale of the order.
    pub fn sale_id(self) -> i64 {
        self.0 >> 33
    }

    /// The epoch of the order.
    pub fn epoch(self) -> i64 {
        self.0 >> 25 & MOST_EPOCHS
    }
}

/// Orders as one field of a log line. One line for many orders is cheap, and each order can still be found.
pub(crate) fn list(orders: &[OrderId]) -> String {
    orders.iter().map(|order| order.0.to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_what_it_is_made_of_and_fits_a_double() {
        for (sale, epoch, number) in [(1, 1, 1), (MOST_SALES, MOST_EPOCHS, MOST_NUMBERS)] {
            let id = OrderId(OrderId::base(sale, epoch).0 + number);
            assert_eq!((id.sale_id(), id.epoch()), (sale, epoch));
            assert_eq!(id.0 as f64 as i64, id.0);
            assert!(id.0 < 1 << 53);
        }
    }
}
