use std::time::Duration;

use super::*;
use crate::{
    lab::stores::{InRedis, InStores},
    verdict::ledger::{OrderRow, SaleRow},
};

/// Sale 1 as `(stock, sold)`, its orders as `(id, buyer)`, and the buyers' answers.
fn found(sale: (i64, i64), orders: &[(i64, i64)], history: &[(i64, Answer)]) -> Audit {
    let ledger = Ledger {
        sales: vec![SaleRow { id: 1, stock: sale.0, sold: sale.1 }],
        orders: orders.iter().map(|&(id, buyer_id)| OrderRow { id, sale_id: 1, buyer_id }).collect(),
        ..Ledger::default()
    };
    audit(&history.iter().map(|(buyer_id, answer)| told(*buyer_id, answer.clone())).collect::<Vec<_>>(), &ledger)
}

fn told(buyer_id: i64, answer: Answer) -> Told {
    let (wanted, answered) = (Duration::ZERO, Duration::from_millis(1));
    Told { buyer_id, sale_id: 1, wanted, sent: wanted, answered, answer }
}

fn bought(order_id: i64) -> Answer {
    Answer::Bought { order_id }
}

fn refused(kind: &str) -> Answer {
    Answer::Refused(kind.into())
}

#[test]
fn a_clean_sale_is_clean() {
    let history = [(7, bought(1)), (8, bought(2)), (9, refused("sold-out"))];
    assert_eq!(found((2, 2), &[(1, 7), (2, 8)], &history), Audit { orders: 2, sold: 2, ..Audit::default() });
}

#[test]
fn one_order_too_many_is_oversold() {
    let history = [(7, bought(1)), (8, bought(2))];
    let expected = Audit { orders: 2, sold: 1, oversold: 1, not_conserved: 1, ..Audit::default() };
    assert_eq!(found((1, 1), &[(1, 7), (2, 8)], &history), expected);
}

#[test]
fn a_unit_left_for_a_buyer_who_has_none_is_undersold() {
    let kinds = ["sold-out", "conflict", "rate-limited", "overloaded", "failed", "wrong-path", "closed", "not-open"];
    for kind in kinds.into_iter().chain(["limit-reached"]) {
        assert_eq!(found((3, 1), &[(1, 7)], &[(7, bought(1)), (8, refused(kind))]).undersold, 1, "{kind}");
    }
    assert_eq!(found((3, 1), &[(1, 7)], &[(7, bought(1)), (8, Answer::Unknown)]).undersold, 1, "garbage");
    assert_eq!(found((3, 1), &[(1, 7)], &[(7, bought(1))]).undersold, 0, "no buyer wants the other units");
    let all_refused: Vec<_> = (1..=9).map(|buyer| (buyer, refused("overloaded"))).collect();
    assert_eq!(found((3, 0), &[], &all_refused).undersold, 3, "at most the units that are left");
}

#[test]
fn a_buyer_who_asks_again_and_gets_one_does_not_go_without() {
    assert_eq!(found((3, 1), &[(1, 7)], &[(7, refused("rate-limited")), (7, bought(1))]).undersold, 0);
}

#[test]
fn only_honest_buyers_have_to_get_one_and_a_gate_may_refuse_some() {
    let told = |buyer_id| Told { buyer_id, ..told(1, refused("rate-limited")) };
    let ledger = Ledger { sales: vec![SaleRow { id: 1, stock: 9, sold: 0 }], ..Ledger::default() };
    let undersold = |honest, may_go_without| {
        audit_for(&[told(1), told(2), told(3)], &ledger, &Demand { honest, may_go_without }).undersold
    };
    assert_eq!(undersold(Honest::Everybody, 0), 3);
    assert_eq!(undersold(Honest::These([2].into()), 0), 1);
    assert_eq!((undersold(Honest::Everybody, 2), undersold(Honest::Everybody, 9)), (1, 0));
}

#[test]
fn an_order_that_expired_was_a_promise_kept() {
    let ledger = Ledger {
        sales: vec![SaleRow { id: 1, stock: 5, sold: 0 }],
        ended: vec![OrderRow { id: 1, sale_id: 1, buyer_id: 7 }],
        ..Ledger::default()
    };
    let audit = |order_id| audit(&[told(7, bought(order_id))], &ledger);
    assert_eq!(audit(1), Audit::default());
    assert_eq!((audit(2).lost_promises, audit(2).undersold), (1, 0), "another number was never an order");
    let refused_meanwhile = [told(7, bought(1)), told(8, refused("sold-out"))];
    let sale = |stock| Ledger { sales: vec![SaleRow { id: 1, stock, sold: 0 }], ..ledger.clone() };
    assert_eq!(super::audit(&refused_meanwhile, &sale(1)).undersold, 0, "the unit was released later");
    assert_eq!(super::audit(&refused_meanwhile, &sale(2)).undersold, 1, "another unit was available all the time");
}

#[test]
fn a_second_unit_of_one_buyer_is_double_bought() {
    let audit = found((5, 2), &[(1, 7), (2, 7)], &[(7, bought(1))]);
    assert_eq!((audit.double_bought, audit.lost_promises, audit.phantom_orders), (1, 0, 0));
}

#[test]
fn a_yes_without_an_order_is_a_lost_promise() {
    assert_eq!(found((5, 0), &[], &[(7, bought(1))]).lost_promises, 1);
}

#[test]
fn a_yes_with_another_buyers_order_is_a_lost_promise() {
    let audit = found((5, 1), &[(1, 8)], &[(7, bought(1)), (8, bought(1))]);
    assert_eq!((audit.lost_promises, audit.phantom_orders), (1, 0));
}

#[test]
fn an_order_after_a_no_is_a_phantom() {
    assert_eq!(found((5, 1), &[(1, 7)], &[(7, refused("conflict"))]).phantom_orders, 1);
}

#[test]
fn an_order_of_nobody_is_a_phantom() {
    assert_eq!(found((5, 1), &[(1, 99)], &[(7, refused("sold-out"))]).phantom_orders, 1);
}

#[test]
fn a_place_in_the_queue_that_leads_nowhere_is_a_lost_promise() {
    let queued = [(7, Answer::Queued { order_id: 1 })];
    assert_eq!(found((5, 0), &[], &queued).lost_promises, 1);
    // This also holds with an order, because the buyer was never told.
    let audit = found((5, 1), &[(1, 7)], &queued);
    assert_eq!((audit.lost_promises, audit.phantom_orders), (1, 0));
}

#[test]
fn a_place_in_the_queue_that_leads_to_a_no_is_a_late_reject() {
    let audit = found((5, 1), &[(1, 7)], &[(7, bought(1)), (8, refused("failed")), (9, refused("sold-out"))]);
    assert_eq!((audit.late_rejects, audit.lost_promises, audit.is_sound()), (1, 0, true));
    assert_eq!(found((5, 1), &[(1, 8)], &[(8, refused("failed"))]).phantom_orders, 1, "a failed order is a refusal");
}

#[test]
fn redis_and_sql_have_to_add_up_and_nothing_may_be_left_between_them() {
    let with = |left, held, unfinished| {
        let ledger = Ledger {
            sales: vec![SaleRow { id: 1, stock: 5, sold: 2 }],
            orders: [(1, 7), (2, 8)].map(|(id, buyer_id)| OrderRow { id, sale_id: 1, buyer_id }).to_vec(),
            stores: Some(InStores { sales: [(1, InRedis { left, held })].into(), unfinished }),
            ..Ledger::default()
        };
        let audit = audit(&[], &ledger);
        (audit.not_conserved, audit.unfinished)
    };
    assert_eq!(with(3, 2, 0), (0, 0));
    assert_eq!(with(2, 2, 0), (1, 0), "a unit is missing");
    assert_eq!(with(4, 2, 0), (1, 0), "a unit exists twice");
    assert_eq!(with(3, 4, 0), (2, 0), "two are held without an order");
    assert_eq!(with(3, 2, 1), (0, 1));
    assert!(!Audit { unfinished: 1, ..Audit::default() }.is_sound());
}

#[test]
fn without_an_answer_either_is_right() {
    let expected = Audit { orders: 1, sold: 1, unknown: 2, undersold: 1, ..Audit::default() };
    assert_eq!(found((5, 1), &[(1, 7)], &[(7, Answer::Unknown), (8, Answer::Unknown)]), expected);
}

#[test]
fn a_counter_that_lies_is_not_conserved() {
    assert_eq!(found((9, 1), &[(1, 7), (2, 8)], &[(7, bought(1)), (8, bought(2))]).not_conserved, 1);
    assert_eq!(found((9, 3), &[(1, 7), (2, 8)], &[(7, bought(1)), (8, bought(2))]).not_conserved, 1);
}
