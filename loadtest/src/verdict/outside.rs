//! The audit of a shop whose database cannot be read: the buyers' answers against what the shop says of the sale.

use super::{
    audit::Audit,
    history::{Answer, Told, bought, told},
    ledger::SaleRow,
};

/// What this audit cannot check, in a sentence.
pub const NOT_AUDITED: &str = "the database of this shop was not audited: orders of buyers who were refused, units bought twice and orders \
                               that do not exist cannot be seen";

/// Audits from outside, with the sale before the first buyer and after the last. `orders` are those that buyers were told, and `sold` is
/// what the sale says that it sold meanwhile.
pub fn audit(history: &[Told], before: SaleRow, after: SaleRow) -> Audit {
    let (orders, unknown, queued) =
        (bought(history) as i64, told(history, "unknown") as i64, told(history, "queued") as i64);
    // What was oversold before is not this run's.
    let (left, sold) = (before.left(), after.sold - before.sold);
    let gone = orders.max(sold);
    let without = |told: &&Told| match &told.answer {
        Answer::Refused(_) | Answer::Queued { .. } => wants_one(&told.answer),
        Answer::Bought { .. } | Answer::Unknown => false, // a buyer without an answer was not refused
    };
    let without = history.iter().filter(without).count() as i64;
    Audit {
        orders,
        sold,
        oversold: (gone - left).max(0),
        undersold: (left - gone).clamp(0, without),
        lost_promises: queued,
        unknown,
        // A buyer without an answer may have a unit.
        not_conserved: (orders - sold).max(sold - orders - unknown - queued).max(0),
        ..Audit::default()
    }
}

/// Whether a buyer with this answer still wants a unit that could be sold. The sale may have closed meanwhile.
fn wants_one(answer: &Answer) -> bool {
    match answer {
        Answer::Refused(kind) => !["limit-reached", "not-open", "closed"].contains(&kind.as_str()),
        Answer::Bought { .. } | Answer::Queued { .. } | Answer::Unknown => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn history(bought: usize, kinds: &[(&str, usize)]) -> Vec<Told> {
        let bought = (0..bought).map(|n| Answer::Bought { order_id: n as i64 });
        let others = kinds.iter().flat_map(|(kind, n)| {
            let answer = if *kind == "unknown" { Answer::Unknown } else { Answer::Refused((*kind).into()) };
            std::iter::repeat_n(answer, *n)
        });
        let (wanted, answered) = (Duration::ZERO, Duration::from_millis(1));
        let told = |answer| Told { buyer_id: 1, sale_id: 1, wanted, sent: wanted, answered, answer };
        bought.chain(others).map(told).collect()
    }

    #[test]
    fn the_sale_and_the_buyers_are_laid_side_by_side() {
        let row = |stock, sold| SaleRow { id: 1, stock, sold };
        let of = |history: &[Told], sold| audit(history, row(100, 20), row(100, sold));
        let exact = of(&history(80, &[("sold-out", 50)]), 100);
        assert!(exact.is_sound() && exact.undersold == 0 && exact.not_conserved == 0, "{exact:?}");
        let oversold = of(&history(90, &[("sold-out", 50)]), 25);
        assert_eq!((oversold.oversold, oversold.not_conserved, oversold.undersold), (10, 85, 0));
        let undersold = of(&history(70, &[("conflict", 50)]), 90);
        assert_eq!((undersold.undersold, undersold.not_conserved), (10, 0));
        assert_eq!(of(&history(70, &[]), 90).undersold, 0, "nobody wanted the rest");
        let unknown = of(&history(78, &[("unknown", 2)]), 100);
        assert_eq!((unknown.unknown, unknown.not_conserved, unknown.oversold), (2, 0, 0));
        assert_eq!(of(&history(0, &[("unknown", 50)]), 20).undersold, 0, "none of them was refused");
    }

    #[test]
    fn what_was_oversold_before_is_not_blamed_on_this_run() {
        let row = |sold| SaleRow { id: 1, stock: 5, sold };
        let nothing = audit(&history(0, &[("sold-out", 50)]), row(10), row(10));
        assert!(nothing.is_sound() && nothing.undersold == 0, "{nothing:?}");
        assert_eq!(audit(&history(3, &[("sold-out", 50)]), row(10), row(13)).oversold, 3);
    }
}
