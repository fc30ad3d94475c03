//! Joins what each buyer was told with what the database holds. It believes neither the shop nor its counter.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::{
    history::{Answer, Told},
    ledger::Ledger,
};

/// What the audit found, in units, summed over the sales.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Orders in the database.
    pub orders: i64,
    /// What the sales' rows say was sold.
    pub sold: i64,
    /// Orders beyond the stock.
    pub oversold: i64,
    /// Stock left in a sale of which buyers were refused as `sold-out` or `conflict`.
    pub undersold: i64,
    /// Units beyond its first that a buyer has of one sale, though each asked once.
    pub double_bought: i64,
    /// Buyers told an order that does not exist, or is not theirs.
    pub lost_promises: i64,
    /// Orders of buyers who were told no, or never asked.
    pub phantom_orders: i64,
    /// Buyers who were told neither yes nor no; either is right for them.
    pub unknown: i64,
    /// Units by which `sold` and the orders differ: the counter lies.
    pub not_conserved: i64,
}

/// Audits one run, in which every buyer asked once.
pub fn audit(history: &[Told], ledger: &Ledger) -> Audit {
    let mut audit = Audit { orders: ledger.orders.len() as i64, ..Audit::default() };

    let mut per_sale: HashMap<i64, i64> = HashMap::new();
    let mut per_buyer: HashMap<(i64, i64), i64> = HashMap::new();
    for order in &ledger.orders {
        *per_sale.entry(order.sale_id).or_default() += 1;
        *per_buyer.entry((order.sale_id, order.buyer_id)).or_default() += 1;
    }
    audit.double_bought = per_buyer.values().map(|units| units - 1).sum();

    let refused_for_stock: HashSet<i64> = history
        .iter()
        .filter(|told| matches!(&told.answer, Answer::Refused(kind) if kind == "sold-out" || kind == "conflict"))
        .map(|told| told.sale_id)
        .collect();
    for sale in &ledger.sales {
        let orders = per_sale.get(&sale.id).copied().unwrap_or_default();
        audit.sold += sale.sold;
        audit.oversold += (orders - sale.stock).max(0);
        audit.not_conserved += (orders - sale.sold).abs();
        if refused_for_stock.contains(&sale.id) {
            audit.undersold += (sale.stock - orders).max(0);
        }
    }

    let held: HashSet<(i64, i64, i64)> = ledger.orders.iter().map(|o| (o.id, o.sale_id, o.buyer_id)).collect();
    let mut may_have_one: HashSet<(i64, i64)> = HashSet::new();
    for told in history {
        match told.answer {
            Answer::Bought { order_id } => {
                may_have_one.insert((told.sale_id, told.buyer_id));
                audit.lost_promises += i64::from(!held.contains(&(order_id, told.sale_id, told.buyer_id)));
            }
            Answer::Unknown => {
                may_have_one.insert((told.sale_id, told.buyer_id));
                audit.unknown += 1;
            }
            Answer::Refused(_) => {}
        }
    }
    let phantom = |order: &&_| !may_have_one.contains(&{ let o: &crate::ledger::OrderRow = order; (o.sale_id, o.buyer_id) });
    audit.phantom_orders = ledger.orders.iter().filter(phantom).count() as i64;
    audit
}
