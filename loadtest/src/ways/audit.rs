//! The audit of a sale: what buyers were told against what the store holds.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{
    load::Told,
    way::{Sold, Stock},
};

/// What went wrong in a sale. A question without an answer counts for neither side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The units on sale.
    pub stock: i64,
    /// Buyers who were told that they have a unit.
    pub told: i64,
    /// Units that the store counts as sold: its orders, or its counters.
    pub counted: i64,
    /// Units beyond the stock of their item, told or counted.
    pub oversold: i64,
    /// Units left of an item although one of its buyers was refused.
    pub undersold: i64,
    /// Units beyond the first of the same item and buyer.
    pub double_bought: i64,
    /// Buyers who were told that they have a unit that the store does not know.
    pub lost: i64,
    /// Questions without an answer.
    pub unknown: i64,
}

impl Audit {
    /// Compares the answers with the store.
    pub fn of(stock: Stock, told: &Told, sold: &Sold) -> Audit {
        let (units, unknown) = (by_item(&told.taken), by_item(&told.unknown));
        let mut audit = Audit {
            stock: stock.items * stock.units,
            told: told.taken.len() as i64,
            counted: sold.units.values().sum(),
            unknown: told.unknown.len() as i64,
            ..Audit::default()
        };
        for item in 1..=stock.items {
            let of = |all: &BTreeMap<i64, i64>| all.get(&item).copied().unwrap_or_default();
            let (told_units, counted) = (of(&units), of(&sold.units));
            audit.oversold += (told_units.max(counted) - stock.units).max(0);
            // A unit that is counted as sold, although no buyer can have it, is left.
            let held = counted.min(told_units + of(&unknown)).max(told_units);
            audit.undersold += if of(&told.refused) > 0 { (stock.units - held).max(0) } else { 0 };
            audit.lost += (told_units - counted).max(0);
        }
        audit.double_bought = repeated(&told.taken);
        if let Some(orders) = &sold.orders {
            audit.double_bought = audit.double_bought.max(repeated(orders));
            let known: HashSet<_> = orders.iter().collect();
            audit.lost = told.taken.iter().filter(|bought| !known.contains(bought)).count() as i64;
        }
        audit
    }

    /// Whether nothing was oversold, undersold, double-bought or lost.
    pub fn holds(&self) -> bool {
        [self.oversold, self.undersold, self.double_bought, self.lost].iter().all(|wrong| *wrong == 0)
    }
}

/// The number of pairs of each item.
fn by_item(bought: &[(i64, i64)]) -> BTreeMap<i64, i64> {
    let mut units = BTreeMap::new();
    for (item, _) in bought {
        *units.entry(*item).or_default() += 1;
    }
    units
}

/// The pairs beyond the first of their kind.
fn repeated(bought: &[(i64, i64)]) -> i64 {
    let mut times: HashMap<_, i64> = HashMap::new();
    for one in bought {
        *times.entry(one).or_default() += 1;
    }
    times.values().map(|times| times - 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOCK: Stock = Stock { items: 2, units: 1 };

    /// An audit of these answers and orders.
    fn audit(taken: &[(i64, i64)], refused: &[i64], orders: &[(i64, i64)]) -> Audit {
        let refused = refused.iter().map(|item| (*item, 1)).collect();
        let told = Told { taken: taken.to_vec(), refused, ..Told::default() };
        Audit::of(STOCK, &told, &Sold::orders(orders.to_vec()))
    }

    #[test]
    fn a_sale_of_all_units_holds() {
        let sold = [(1, 7), (2, 8)];
        assert!(audit(&sold, &[1, 2], &sold).holds());
        assert!(audit(&sold[..1], &[1], &sold[..1]).holds(), "item 2 had no buyer");
    }

    #[test]
    fn units_beyond_the_stock_of_an_item_are_oversold() {
        let sold = [(1, 7), (1, 8)];
        assert_eq!(audit(&sold, &[], &sold).oversold, 1, "also while item 2 is left");
        assert_eq!(audit(&[], &[], &sold).oversold, 1, "orders without an answer");
    }

    #[test]
    fn a_refusal_while_a_unit_is_left_is_undersold() {
        assert_eq!(audit(&[(1, 7)], &[1, 2], &[(1, 7)]).undersold, 1);
    }

    #[test]
    fn a_unit_that_is_counted_and_that_no_buyer_has_is_undersold() {
        let counted = Sold { units: [(1, 1)].into(), orders: None };
        let mut told = Told { refused: [(1, 1)].into(), ..Told::default() };
        assert_eq!(Audit::of(STOCK, &told, &counted).undersold, 1);
        told.unknown = vec![(1, 7)];
        assert_eq!(Audit::of(STOCK, &told, &counted).undersold, 0, "a buyer without an answer may have it");
    }

    #[test]
    fn a_buyer_with_two_units_of_an_item_is_found() {
        assert_eq!(audit(&[(1, 7)], &[], &[(1, 7), (1, 7)]).double_bought, 1);
        assert_eq!(audit(&[(1, 7), (2, 7)], &[], &[(1, 7), (2, 7)]).double_bought, 0);
    }

    #[test]
    fn an_answer_without_an_order_is_lost() {
        assert_eq!(audit(&[(1, 7)], &[], &[(1, 8)]).lost, 1, "another buyer's order is no proof");
        let told = Told { taken: vec![(1, 7)], ..Told::default() };
        assert_eq!(Audit::of(STOCK, &told, &Sold::default()).lost, 1, "a counter that forgot it");
    }
}
