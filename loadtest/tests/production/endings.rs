//! How an order of chapter 6 can end unsold: canceled, refunded, or in a race of all endings; and what is stored of a card.

use std::time::Duration;

use crate::support::{
    assert_problem, json,
    money::Provider,
    orders::{GOOD, cancel, confirmed, given_back, pay_until_known, sold_again},
    production::{Production, operate_says, shared},
    requests::{becomes, order},
};
use futures_util::future::join_all;
use loadtest::{
    buyer::client::Connection,
    provider::{
        Does,
        Standing::{Authorised, Captured, Refunded, Voided},
        Step,
    },
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn no_number_of_a_card_can_be_found_from_what_is_kept() {
    let sale = Production::new(shared(), 2).await;
    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 4601).await;
    assert_eq!(pay_until_known(&shop, 4601, order_id, "a", GOOD).await.status, 200);
    let query = "select request from payments";
    let kept: String = sqlx::query_scalar(query).fetch_one(&sale.pool).await.unwrap();
    // Another secret with the same card and order: without the shop's secret, the stored value is useless.
    let other = sale.instance(&["--session-secret", "another secret of at least 32 bytes"]).await;
    sqlx::query("delete from payments").execute(&sale.pool).await.unwrap();
    let reset = "update orders set status = 'confirmed', paid_with = null";
    sqlx::query(reset).execute(&sale.pool).await.unwrap();
    assert_eq!(pay_until_known(&other, 4601, order_id, "a", GOOD).await.status, 200);
    let kept_by_other: String = sqlx::query_scalar(query).fetch_one(&sale.pool).await.unwrap();
    assert_ne!(kept, kept_by_other);
    for text in [sale.everything().await, sale.logs()] {
        assert!(!text.contains(&GOOD.replace(' ', "")) && !text.contains(GOOD));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_order_is_canceled_once_and_its_unit_is_sold_again() {
    let sale = Production::new(shared(), 1).await;
    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 4701).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    let href = order(&mut connection, 4701, order_id).await["cancel"]["href"].as_str().unwrap().to_owned();
    assert_eq!(href, format!("/orders/{order_id}/cancel"));
    assert_problem(&cancel(&shop, 4702, order_id).await, 404, "not-found");
    for _ in 0..2 {
        let reply = cancel(&shop, 4701, order_id).await;
        assert_eq!((reply.status.as_u16(), &json(&reply)["reason"]), (200, &"canceled".into()), "{reply:?}");
    }
    given_back(&sale, 1).await;
    assert_problem(&pay_until_known(&shop, 4701, order_id, "a", GOOD).await, 410, "closed");
    let again = sold_again(&shop, 4702).await;
    becomes(&mut connection, 4702, again, "confirmed").await;
    assert_eq!(pay_until_known(&shop, 4702, again, "a", GOOD).await.status, 200);
    assert_problem(&cancel(&shop, 4702, again).await, 409, "conflict");
    sale.owes_nothing().await;
    sale.settles_at(1).await;
}

/// Only one session of the whole database can wait for the lock that proves what is on the standby.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_order_that_is_paid_or_expired_is_not_canceled_and_the_refusal_waits_for_no_lock() {
    let sale = Production::new(shared(), 2).await;
    let shop = sale.instance(&[]).await;
    let (paid, expired) = (confirmed(&shop, 4711).await, confirmed(&shop, 4712).await);
    assert_eq!(pay_until_known(&shop, 4711, paid, "a", GOOD).await.status, 200);
    sale.expire_order(expired).await;
    given_back(&sale, 1).await;
    let mut another = sale.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(5318007)").execute(&mut *another).await.unwrap();
    assert_problem(&cancel(&shop, 4711, paid).await, 409, "conflict");
    assert_problem(&cancel(&shop, 4712, expired).await, 410, "closed");
    another.rollback().await.unwrap();
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_order_is_refunded_once_and_its_unit_is_sold_again() {
    let (sale, provider) = (Production::new(shared(), 1).await, Provider::start());
    let shop = sale.with(&provider, &[]).await;
    let order_id = confirmed(&shop, 4801).await;
    let refund = || operate_says(&sale, &["refund", &order_id.to_string()]);
    assert!(refund().unwrap_err().contains("is confirmed, not paid"));
    assert_eq!(pay_until_known(&shop, 4801, order_id, "a", GOOD).await.status, 200);
    provider.at(Step::Refund, Does::SilentAfter).await; // then the shop asks again
    assert!(refund().unwrap().contains("refunded; its unit is sold again"));
    assert!(refund().unwrap().contains("refunded before"));
    given_back(&sale, 1).await;
    provider.is_well().await;
    sale.owes_nothing().await;
    assert_eq!(sale.movements(&provider.remote).await, [[Authorised, Captured, Refunded]]);
    sale.is(order_id, "failed", Some("refunded")).await;
    let again = sold_again(&shop, 4802).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    becomes(&mut connection, 4802, again, "confirmed").await;
    sale.settles_at(1).await;
}

/// Each order gets a payment, a cancellation and its expiry at about the same time.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn payment_cancellation_and_expiry_race_and_one_of_them_wins() {
    let (sale, provider) = (Production::new(shared(), 30).await, Provider::start());
    provider.at(Step::Authorise, Does::Slow(100)).await;
    let shops = [sale.with(&provider, &[]).await, sale.with(&provider, &[]).await];
    let mut orders = Vec::new();
    for buyer in 4901..4931 {
        orders.push((buyer, confirmed(&shops[0], buyer).await));
    }
    let soon = "update orders set pay_by = now_ms() + 20 * (buyer.n - 1)
                from (select id, row_number() over (order by id) as n from orders) as buyer where buyer.id = orders.id";
    sqlx::query(soon).execute(&sale.pool).await.unwrap();
    let racing = orders.iter().map(|&(buyer, id)| {
        let shops = &shops;
        async move {
            let cancels = async {
                tokio::time::sleep(Duration::from_millis(10 * (buyer as u64 % 20))).await;
                cancel(&shops[1], buyer, id).await
            };
            tokio::join!(pay_until_known(&shops[0], buyer, id, "a", GOOD), cancels)
        }
    });
    let replies = join_all(racing).await;
    sale.owes_nothing().await;
    let mut paid = 0;
    for (&(_, id), (payment, cancellation)) in orders.iter().zip(&replies) {
        let (status, reason) = sale.row(id).await;
        match (status.as_str(), reason.as_deref()) {
            ("paid", None) => paid += 1,
            ("failed", Some("canceled")) | ("expired", None) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(payment.status == 200, status == "paid", "{payment:?}, and it is {status}");
        assert_eq!(cancellation.status == 200, status == "failed", "{cancellation:?}, and it is {status}");
    }
    let movements = sale.movements(&provider.remote).await;
    assert_eq!(movements.iter().filter(|one| **one == [Authorised, Captured]).count(), paid);
    assert!(
        movements.iter().all(|one| *one == [Authorised, Captured] || *one == [Authorised, Voided]),
        "{movements:?}"
    );
    given_back(&sale, 30 - paid as i64).await;
    sale.settles_at(paid).await;
}
