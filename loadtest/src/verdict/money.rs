//! The audit of money: joins the provider's ledger with the orders and with the answers about payments.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use sqlx::AnyPool;

use crate::{
    buyer::payers::{Heard, Said},
    provider::{Entry, Standing},
};

/// The findings of the audit, in orders and authorizations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Orders that are paid.
    pub paid: i64,
    /// Charges that were not refunded.
    pub charged: i64,
    /// Charges for an order that is not paid or does not exist.
    pub without_order: i64,
    /// Charges above one for the same order.
    pub twice: i64,
    /// Paid orders without a charge.
    pub uncharged: i64,
    /// Authorizations that are still held.
    pub held: i64,
    /// Paid orders whose charge was refunded: the unit is both refunded and sold.
    pub refunded_and_sold: i64,
    /// Buyers whose last answer contradicts their order or the ledger.
    pub wrongly_told: i64,
}

impl Money {
    /// Whether ledger, orders and answers agree.
    pub fn is_sound(&self) -> bool {
        let Money { paid: _, charged: _, without_order, twice, uncharged, held, refunded_and_sold, wrongly_told } =
            self;
        [without_order, twice, uncharged, held, refunded_and_sold, wrongly_told].iter().all(|n| **n == 0)
    }

    /// The number of each fault, and its name.
    pub fn faults(&self) -> [(i64, &'static str); 6] {
        [
            (self.without_order, "charged without an order"),
            (self.twice, "charged twice"),
            (self.uncharged, "paid and not charged"),
            (self.held, "holds kept"),
            (self.refunded_and_sold, "refunded and sold"),
            (self.wrongly_told, "told wrongly"),
        ]
    }
}

/// The ledger's entries for one order.
#[derive(Default)]
struct Account {
    taken: i64,
    given_back: i64,
}

/// Audits one shop's requests to the provider. `orders` are all of its orders with their status.
pub fn audit(entries: &[Entry], orders: &HashMap<i64, String>, heard: &[Heard]) -> Money {
    let mut money = Money::default();
    let (mut last, mut accounts) = (BTreeMap::new(), HashMap::<i64, Account>::new());
    for entry in entries {
        last.insert(entry.reference.as_str(), entry.state);
        let account = accounts.entry(entry.order_id).or_default();
        account.taken += i64::from(entry.state == Standing::Captured);
        account.given_back += i64::from(entry.state == Standing::Refunded);
    }
    let held = |state: &&Standing| matches!(state, Standing::Authorised | Standing::Pending);
    money.held = last.values().filter(held).count() as i64;
    let is_paid = |order_id| orders.get(&order_id).is_some_and(|status| status == "paid");
    for (&order_id, account) in &accounts {
        let charged = account.taken - account.given_back;
        money.charged += charged;
        match is_paid(order_id) {
            true => {
                money.twice += (charged - 1).max(0);
                money.refunded_and_sold += i64::from(charged == 0 && account.given_back > 0);
            }
            false => money.without_order += charged,
        }
    }
    for (order_id, _) in orders.iter().filter(|(_, status)| *status == "paid") {
        money.paid += 1;
        money.uncharged += i64::from(accounts.get(order_id).is_none_or(|account| account.taken == 0));
    }
    for Heard { order_id, said } in heard {
        let charged = accounts.get(order_id).is_some_and(|account| account.taken > account.given_back);
        let is_true = match said {
            Said::Paid => charged && is_paid(*order_id),
            Said::NotCharged => !charged,
            Said::Canceled => !charged && !is_paid(*order_id),
            Said::Nothing => true,
        };
        money.wrongly_told += i64::from(!is_true);
    }
    money
}

/// Reads the orders of a sale, each with its status.
///
/// # Errors
/// The database fails.
pub async fn orders(pool: &AnyPool, sale: i64) -> sqlx::Result<HashMap<i64, String>> {
    let query = "select id, status from orders where sale_id = $1";
    Ok(sqlx::query_as::<_, (i64, String)>(query).bind(sale).fetch_all(pool).await?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(entries: &[(&str, Standing)], status: &str, said: Option<Said>) -> Money {
        let entry = |&(reference, state): &(&str, Standing)| Entry {
            reference: reference.into(),
            order_id: 1,
            state,
            amount_cents: 100,
        };
        let entries: Vec<_> = entries.iter().map(entry).collect();
        let heard: Vec<_> = said.into_iter().map(|said| Heard { order_id: 1, said }).collect();
        audit(&entries, &[(1, status.to_owned())].into(), &heard)
    }

    #[test]
    fn matching_books_are_sound() {
        use Standing::{Authorised, Captured, Declined, Refunded, Refused, Voided};
        for (entries, status, said) in [
            (&[("a", Authorised), ("a", Captured)][..], "paid", Said::Paid),
            (&[("a", Authorised), ("a", Voided), ("b", Authorised), ("b", Captured)], "paid", Said::Paid),
            (&[("a", Authorised), ("a", Captured)], "paid", Said::Nothing),
            (&[("a", Declined)], "confirmed", Said::NotCharged),
            (&[("a", Authorised), ("a", Refused)], "failed", Said::NotCharged),
            (&[("a", Authorised), ("a", Captured), ("a", Refunded)], "failed", Said::Nothing),
            (&[], "failed", Said::Canceled),
        ] {
            let money = found(entries, status, Some(said));
            assert!(money.is_sound(), "{entries:?} {status}: {money:?}");
        }
    }

    #[test]
    fn each_fault_is_found() {
        use Standing::{Authorised, Captured, Pending, Refunded};
        let captured = [("a", Authorised), ("a", Captured)];
        let of = |money: Money| money.faults().map(|(n, _)| n);
        assert_eq!(of(found(&captured, "expired", None)), [1, 0, 0, 0, 0, 0]);
        assert_eq!(of(found(&[captured[0], captured[1], captured[1]], "paid", None)), [0, 1, 0, 0, 0, 0]);
        let two = [captured[0], captured[1], ("b", Authorised), ("b", Captured)];
        assert_eq!(of(found(&two, "paid", None)), [0, 1, 0, 0, 0, 0], "under another reference");
        assert_eq!(of(found(&[], "paid", None)), [0, 0, 1, 0, 0, 0]);
        assert_eq!(of(found(&captured[..1], "paid", None)), [0, 0, 1, 1, 0, 0]);
        assert_eq!(of(found(&[("a", Pending)], "confirmed", None)), [0, 0, 0, 1, 0, 0]);
        assert_eq!(of(found(&[captured[0], captured[1], ("a", Refunded)], "paid", None)), [0, 0, 0, 0, 1, 0]);
        assert_eq!(of(found(&captured, "paid", Some(Said::NotCharged))), [0, 0, 0, 0, 0, 1]);
        assert_eq!(of(found(&[], "expired", Some(Said::Paid))), [0, 0, 0, 0, 0, 1]);
        assert_eq!(of(found(&captured, "paid", Some(Said::Canceled))), [0, 0, 0, 0, 0, 1]);
    }
}
