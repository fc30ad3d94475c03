use serde::{Deserialize, Serialize};

/// Sales there can be.
pub(crate) const MOST_SALES: i64 = (1 << 20) - 1;
/// Times a sale's Redis can be rebuilt.
pub(crate) const MOST_EPOCHS: i64 = (1 << 8) - 1;
/// Reservations of one sale between two rebuilds, those given back included.
pub(crate) const MOST_NUMBERS: i64 = (1 << 25) - 1;

/// An order's id: made in Redis at the moment of the reservation, primary key in SQL. It says which sale it is of, and
/// which *epoch*, which grows when Redis is rebuilt: so an id from a Redis that has lost its memory is known as one.
///
/// 20 bits sale, 8 bits epoch, 25 bits number: 53 bits, the integers that JavaScript and Lua can hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct OrderId(pub i64);

impl OrderId {
    /// The id that numbers are added to.
    pub fn base(sale_id: i64, epoch: i64) -> OrderId {
        OrderId(sale_id << 33 | epoch << 25)
    }

    /// Of which sale.
    pub fn sale_id(self) -> i64 {
        self.0 >> 33
    }

    /// Of which epoch.
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
