//! Joins what each buyer was told with what the database holds. It relies neither on the shop's answers nor on its counter.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{
    history::{Answer, Told},
    ledger::Ledger,
};

/// The findings of the audit, in units, summed over the sales.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Orders in the database.
    pub orders: i64,
    /// Units sold according to the rows of the sales.
    pub sold: i64,
    /// Orders above the stock.
    pub oversold: i64,
    /// Units left while honest buyers have none: per sale the smaller of the two numbers. Why the shop refused them does not
    /// matter, because honest buyers come while their sale is open.
    pub undersold: i64,
    /// Units above one that a buyer has of one sale, although each buyer asked once.
    pub double_bought: i64,
    /// Buyers who were promised an order that does not exist or is not theirs, and buyers who were told `queued` and never got a
    /// result. A confirmed order that expired later is not a lost promise.
    pub lost_promises: i64,
    /// Orders of buyers who were refused or never asked.
    pub phantom_orders: i64,
    /// Buyers without a definite answer; they may or may not have an order.
    pub unknown: i64,
    /// The difference between `sold` and the number of orders. With Redis, also: the units by which its stock and the orders do
    /// not add up, and its reservations without an order.
    pub not_conserved: i64,
    /// Buyers who were told `queued` and later that the order failed. The answer is late, but no promise is broken: `queued` does
    /// not promise a unit.
    #[serde(default)]
    pub late_rejects: i64,
    /// Entries left in outboxes and queues at the end of the run, and orders and payments that a fault has left unsettled.
    #[serde(default)]
    pub unfinished: i64,
}

impl Audit {
    /// Whether nothing is oversold, bought twice, lost, phantom or unfinished.
    pub fn is_sound(&self) -> bool {
        self.oversold == 0
            && self.double_bought == 0
            && self.lost_promises == 0
            && self.phantom_orders == 0
            && self.unfinished == 0
    }
}

/// The buyers who must get a unit while there are any.
#[derive(Debug, Clone, Default)]
pub enum Honest {
    /// Everyone who asked.
    #[default]
    Everybody,
    /// These buyers. Everyone else is an attacker.
    These(HashSet<i64>),
}

/// What the audit demands of a sale.
#[derive(Debug, Clone, Default)]
pub struct Demand {
    /// The buyers who must get a unit.
    pub honest: Honest,
    /// Honest buyers who may go without a unit: the scenario's own gate may refuse them, or it closed their connection.
    pub may_go_without: i64,
}

impl Honest {
    fn includes(&self, buyer_id: i64) -> bool {
        match self {
            Honest::Everybody => true,
            Honest::These(buyers) => buyers.contains(&buyer_id),
        }
    }
}

/// Audits a run in which every buyer is honest and asked once.
pub fn audit(history: &[Told], ledger: &Ledger) -> Audit {
    audit_for(history, ledger, &Demand::default())
}

/// Audits a run with its own demand.
pub fn audit_for(history: &[Told], ledger: &Ledger, demand: &Demand) -> Audit {
    let mut audit = Audit { orders: ledger.orders.len() as i64, ..Audit::default() };
    stock(&mut audit, ledger);
    promises(&mut audit, history, ledger);
    audit.undersold = undersold(history, ledger, demand);
    audit
}

/// Checks the rows alone: oversold, bought twice, not conserved, unfinished.
fn stock(audit: &mut Audit, ledger: &Ledger) {
    let mut per_buyer: HashMap<(i64, i64), i64> = HashMap::new();
    for order in &ledger.orders {
        *per_buyer.entry((order.sale_id, order.buyer_id)).or_default() += 1;
    }
    audit.double_bought = per_buyer.values().map(|units| units - 1).sum();
    let per_sale = ledger.orders_per_sale();
    for sale in &ledger.sales {
        let orders = per_sale.get(&sale.id).copied().unwrap_or_default();
        audit.sold += sale.sold;
        audit.oversold += (orders - sale.stock).max(0);
        audit.not_conserved += (orders - sale.sold).abs();
        if let Some(stores) = &ledger.stores {
            let redis = stores.sales.get(&sale.id).copied().unwrap_or_default();
            audit.not_conserved += (redis.left + orders - sale.stock).abs().max((redis.held - orders).abs());
        }
    }
    audit.unfinished = ledger.stores.as_ref().map_or(0, |stores| stores.unfinished);
}

/// Compares the answers with the orders: lost promises, and orders of buyers who were refused.
fn promises(audit: &mut Audit, history: &[Told], ledger: &Ledger) {
    let orders = ledger.orders.iter().chain(&ledger.ended);
    let existed: HashSet<(i64, i64, i64)> = orders.map(|order| (order.id, order.sale_id, order.buyer_id)).collect();
    let mut may_have_one: HashSet<(i64, i64)> = HashSet::new();
    for told in history {
        let buyer_id = ledger.known_as(told.buyer_id);
        match told.answer {
            Answer::Refused(ref kind) => {
                audit.late_rejects += i64::from(kind == "failed");
                continue;
            }
            Answer::Bought { order_id } => {
                audit.lost_promises += i64::from(!existed.contains(&(order_id, told.sale_id, buyer_id)));
            }
            Answer::Queued { .. } => audit.lost_promises += 1,
            Answer::Unknown => audit.unknown += 1,
        }
        may_have_one.insert((told.sale_id, buyer_id));
    }
    for order in &ledger.orders {
        audit.phantom_orders += i64::from(!may_have_one.contains(&(order.sale_id, order.buyer_id)));
    }
}

/// Units left while honest buyers have none, summed over the sales.
fn undersold(history: &[Told], ledger: &Ledger, demand: &Demand) -> i64 {
    let orders = ledger.orders.iter().chain(&ledger.ended);
    let served: HashSet<(i64, i64)> = orders.map(|order| (order.sale_id, order.buyer_id)).collect();
    let mut without: HashMap<i64, HashSet<i64>> = HashMap::new();
    for told in history.iter().filter(|told| demand.honest.includes(told.buyer_id)) {
        let buyer_id = ledger.known_as(told.buyer_id);
        if !served.contains(&(told.sale_id, buyer_id)) {
            without.entry(told.sale_id).or_default().insert(buyer_id);
        }
    }
    let (per_sale, mut excused) = (ledger.orders_per_sale(), demand.may_go_without);
    let mut undersold = 0;
    for sale in &ledger.sales {
        // A unit that was released by an expired order was sold before. Buyers who asked in the meantime were refused correctly.
        let came_back = ledger.ended.iter().filter(|order| order.sale_id == sale.id).count() as i64;
        let left = (sale.stock - came_back - per_sale.get(&sale.id).copied().unwrap_or_default()).max(0);
        let without = without.get(&sale.id).map_or(0, |buyers| buyers.len() as i64);
        let spared = excused.min(without);
        excused -= spared;
        undersold += left.min(without - spared);
    }
    undersold
}

#[cfg(test)]
mod tests;
