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
    let wanted = history.iter().filter(|told| wants_one(&told.answer)).count() as i64;
    // Units that were sold without a word were sold to some of them.
    let without = (wanted - gone).max(0);
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

/// Why the answers cannot show whether the sale holds; `None` if they can.
pub fn shows_nothing(history: &[Told], before: SaleRow, audit: &Audit) -> Option<String> {
    let gone = audit.orders.max(audit.sold);
    let (left, not_open) = (before.left() - gone, told(history, "not-open") + told(history, "closed"));
    match () {
        () if before.left() == 0 => Some("the sale had no unit left: name another one with --sale".into()),
        () if left <= 0 || audit.undersold > 0 => None,
        () if not_open > 0 => {
            Some(format!("units were left, but {not_open} buyers were told that the sale is not open"))
        }
        () if gone == 0 => Some("no unit was sold, because all buyers had one: use another --seed".into()),
        () => None,
    }
}

/// Whether a buyer with this answer got a unit, or still wants one that could be sold. The sale may have closed meanwhile.
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
        assert_eq!(of(&history(0, &[("unknown", 50)]), 20).undersold, 50, "a shop that only fails sells nothing");
        assert_eq!(of(&history(0, &[("unknown", 50)]), 60).undersold, 10, "forty have a unit, and were not told");
    }

    #[test]
    fn a_sale_that_sells_nothing_holds_nothing() {
        let row = |stock, sold| SaleRow { id: 1, stock, sold };
        let shown = |before, history: &[Told], after| {
            let audit = audit(history, before, row(before.stock, after));
            (audit.undersold, shows_nothing(history, before, &audit).is_some())
        };
        assert_eq!(shown(row(100, 0), &history(100, &[("sold-out", 50)]), 100), (0, false));
        assert_eq!(shown(row(100, 0), &history(0, &[("overloaded", 50)]), 0), (50, false));
        assert_eq!(shown(row(100, 0), &history(0, &[("closed", 50)]), 0), (0, true));
        assert_eq!(shown(row(100, 0), &history(1, &[("closed", 49)]), 1), (0, true), "cut short");
        assert_eq!(shown(row(100, 0), &history(0, &[("limit-reached", 50)]), 0), (0, true));
        assert_eq!(shown(row(100, 0), &history(20, &[("limit-reached", 30)]), 20), (0, false));
        assert_eq!(shown(row(100, 100), &history(0, &[("sold-out", 50)]), 100), (0, true));
    }

    #[test]
    fn what_was_oversold_before_is_not_blamed_on_this_run() {
        let row = |sold| SaleRow { id: 1, stock: 5, sold };
        let nothing = audit(&history(0, &[("sold-out", 50)]), row(10), row(10));
        assert!(nothing.is_sound() && nothing.undersold == 0, "{nothing:?}");
        assert_eq!(audit(&history(3, &[("sold-out", 50)]), row(10), row(13)).oversold, 3);
    }
}
