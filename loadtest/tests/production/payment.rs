//! Chapter 6 on its real servers: after the order. It is paid or expires, and its buyer learns that.

use crate::support::{
    SALE, assert_problem, eventually, json,
    money::Provider,
    orders::{DECLINED, GOOD, card, confirmed, given_back, pay, pay_until_known, payments, sold_again},
    production::{Production, shared},
    requests::{address, becomes, buy_at, click, log_in, order, purchase, queued, request},
};
use futures_util::future::join_all;
use loadtest::{
    buyer::client::Connection,
    fault::network::Network,
    lab::servers::Server,
    provider::{
        Does, Remote,
        Standing::{self, Authorised, Captured, Declined, Voided},
        Step,
    },
};
use serde_json::json;
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn the_same_key_is_the_same_payment() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 2001).await;
    let first = pay_until_known(&shop, 2001, order_id, "a", GOOD).await;
    assert_eq!((first.status.as_u16(), json(&first)), (200, json!({ "order_id": order_id, "status": "paid" })));
    let again = pay_until_known(&shop, 2001, order_id, "a", GOOD).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_problem(&pay_until_known(&shop, 2001, order_id, "a", "5555 5555 5555 4444").await, 422, "key-reused");
    assert_problem(&pay_until_known(&shop, 2001, order_id, "b", GOOD).await, 409, "conflict");
    // A key belongs to its buyer.
    let others = confirmed(&shop, 2002).await;
    assert_eq!(pay_until_known(&shop, 2002, others, "a", GOOD).await.status, 200);
    sale.owes_nothing().await;
    let all = sale.movements(&Remote::new(&sale.stores.provider)).await;
    assert_eq!(all.iter().filter(|one| **one == [Authorised, Captured]).count(), 2);
    assert_eq!(all.iter().filter(|one| **one == [Authorised, Voided]).count(), 1, "{all:?}");
    assert_eq!(sale.orders("paid").await, 2);
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_invalid_payment_is_refused() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 2101).await;
    let (mine, others) = (log_in(shop.address, 2101).await, log_in(shop.address, 2102).await);
    let (mine, others) = (mine.as_str(), others.as_str());
    let good = card(GOOD);
    let long = "x".repeat(101);
    let cases: &[Case] = &[
        (order_id, "", Some("key"), &good, 401, "unauthenticated"),
        (order_id, others, Some("key"), &good, 404, "not-found"),
        (order_id + 1, mine, Some("key"), &good, 404, "not-found"),
        (-1, mine, Some("key"), &good, 404, "not-found"),
        (order_id, mine, None, &good, 400, "invalid-request"),
        (order_id, mine, Some(""), &good, 400, "invalid-request"),
        (order_id, mine, Some(&long), &good, 400, "invalid-request"),
        (order_id, mine, Some("key"), "", 400, "invalid-request"),
        (order_id, mine, Some("key"), "card=4242", 400, "invalid-request"),
        (order_id, mine, Some("key"), "{}", 400, "invalid-request"),
        (order_id, mine, Some("key"), r#"{"card": 424242424242}"#, 400, "invalid-request"),
        (order_id, mine, Some("key"), &card("4242 4242"), 400, "invalid-request"),
        (order_id, mine, Some("key"), &card("4242 4242 4242 424x"), 400, "invalid-request"),
        (order_id, mine, Some("blanks"), &card(&" ".repeat(16)), 400, "invalid-request"),
        (order_id, mine, Some("20 digits"), &card(&"4".repeat(20)), 400, "invalid-request"),
    ];
    let mut wrong = Vec::new();
    for (order_id, cookie, key, body, status, kind) in cases {
        let key = key.map(|key| ("idempotency-key", key));
        let headers: Vec<_> = [("cookie", *cookie)].into_iter().chain(key).collect();
        let reply = request(shop.address, &format!("POST /orders/{order_id}/payment"), &headers, body).await;
        if (reply.status.as_u16(), json(&reply)["type"].as_str()) != (*status, Some(kind)) {
            wrong.push(format!("{key:?} {body}: {} {:?}", reply.status, reply.body));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((sale.moved(Authorised).await, sale.orders("confirmed").await, payments(&sale).await), (0, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_payment_in_flight_that_is_asked_for_again_is_the_same_payment() {
    let (sale, provider) = (Production::new(shared(), 5).await, Provider::start());
    provider.at(Step::Authorise, Does::Slow(1500)).await;
    let shops = [
        sale.instance_with(&sale.args_with(Server::Provider, &provider.url, &[])).await,
        sale.instance_with(&sale.args_with(Server::Provider, &provider.url, &[])).await,
    ];
    let order_id = confirmed(&shops[0], 2201).await;
    let replies = join_all(shops.iter().map(|shop| pay_until_known(shop, 2201, order_id, "a", GOOD))).await;
    for reply in &replies {
        assert_eq!((reply.status.as_u16(), json(reply)), (200, json!({ "order_id": order_id, "status": "paid" })));
    }
    sale.owes_nothing().await;
    assert_eq!(sale.movements(&provider.remote).await, [[Authorised, Captured]]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn of_payments_under_many_keys_one_is_charged() {
    let sale = Production::new(shared(), 5).await;
    let (shop, other) = (sale.instance(&[]).await, sale.instance(&[]).await);
    let order_id = confirmed(&shop, 2301).await;
    let keys = ["a", "b", "c", "d"];
    let paying =
        keys.iter().enumerate().map(|(n, key)| pay_until_known([&shop, &other][n % 2], 2301, order_id, key, GOOD));
    let (paid, not): (Vec<_>, Vec<_>) = join_all(paying).await.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((paid.len(), not.len()), (1, 3));
    for reply in &not {
        assert_problem(reply, 409, "conflict");
    }
    sale.settles_at(1).await;
}

/// "The card was declined; nothing was charged" would be read as "the order is not paid".
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_declined_card_for_a_paid_order_is_told_that_another_payment_was_first() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 2351).await;
    assert_eq!(pay_until_known(&shop, 2351, order_id, "a", GOOD).await.status, 200);
    assert_problem(&pay_until_known(&shop, 2351, order_id, "b", DECLINED).await, 409, "conflict");
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_declined_card_leaves_the_order_to_be_paid_with_another() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 2401).await;
    for _ in 0..2 {
        assert_problem(&pay_until_known(&shop, 2401, order_id, "a", DECLINED).await, 402, "declined");
    }
    assert_eq!((sale.moved(Declined).await, sale.orders("confirmed").await), (1, 1), "the answer is kept, too");
    assert_eq!(pay_until_known(&shop, 2401, order_id, "b", GOOD).await.status, 200);
    assert_eq!((sale.moved(Captured).await, sale.orders("paid").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_payment_of_a_buyer_who_hung_up_is_finished_before_the_instance_stops() {
    let (sale, provider) = (Production::new(shared(), 5).await, Provider::start());
    let network = Network::to(&provider.url).await.unwrap();
    let _worker = sale.instance(&["--role", "worker"]).await; // with another provider
    let args = sale.args_with(Server::Provider, &network.instead_of(&provider.url), &["--role", "api"]);
    let mut shop = sale.instance_with(&args).await;
    let order_id = confirmed(&shop, 3201).await;
    network.hold_request(b"POST /authorisations");
    tokio::select! {
        biased;
        () = eventually("the card is being authorised", async || network.holds(b"POST /authorisations")) => {}
        reply = pay(&shop, 3201, order_id, Some("a"), GOOD) => panic!("answered: {reply:?}"),
    }
    shop.ask_to_stop();
    eventually("it takes no more requests", async || TcpStream::connect(shop.address).await.is_err()).await;
    network.restore();
    shop.wait().await;
    assert_eq!(payments(&sale).await, 1);
    assert_eq!(sale.orders("paid").await, 1);
    assert_eq!(sale.movements(&provider.remote).await, [[Authorised, Captured]]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn what_is_paid_stays_and_what_is_not_expires() {
    let sale = Production::new(shared(), 2).await;
    let shop = sale.instance(&[]).await;
    let (paid, unpaid) = (confirmed(&shop, 2601).await, confirmed(&shop, 2602).await);
    assert_eq!(pay_until_known(&shop, 2601, paid, "a", GOOD).await.status, 200);
    sale.expire().await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    becomes(&mut connection, 2602, unpaid, "expired").await;
    assert_eq!(order(&mut connection, 2601, paid).await["status"], "paid");
    for key in ["a", "a", "b"] {
        assert_problem(&pay_until_known(&shop, 2602, unpaid, key, GOOD).await, 410, "closed");
    }
    assert_eq!(order(&mut connection, 2602, unpaid).await["status"], "expired");
    given_back(&sale, 1).await;
    sale.settles_at(1).await;

    // To any buyer, the first one included.
    let again = sold_again(&shop, 2602).await;
    assert_ne!(again, unpaid);
    becomes(&mut connection, 2602, again, "confirmed").await;
    assert_eq!(pay_until_known(&shop, 2602, again, "c", GOOD).await.status, 200);
    assert_problem(&click(&mut connection, 2603).await, 409, "sold-out");
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_unit_that_is_not_paid_for_is_for_sale_again_at_every_instance() {
    let sale = Production::new(shared(), 1).await;
    let instance = async || sale.instance(&["--pay-within", "1"]).await;
    let (shop, other) = (instance().await, instance().await);
    queued(&purchase(shop.address, SALE, &log_in(shop.address, 2701).await, None).await);
    for (buyer, shop) in [(2702, &other), (2703, &shop), (2701, &other)] {
        sold_again(shop, buyer).await;
    }
    eventually("all four have expired", async || sale.orders("expired").await == 4).await;
    given_back(&sale, 1).await;
    sale.settles_at(0).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_order_that_expires_while_the_card_is_authorised_is_not_charged() {
    let (sale, provider) = (Production::new(shared(), 1).await, Provider::start());
    let network = Network::to(&provider.url).await.unwrap();
    let args = sale.args_with(Server::Provider, &network.instead_of(&provider.url), &[]);
    let shop = sale.instance_with(&args).await;
    let order_id = confirmed(&shop, 2801).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    network.hold_request(b"POST /authorisations");
    let expires = async {
        eventually("the card is being authorised", async || network.holds(b"POST /authorisations")).await;
        sale.expire_order(order_id).await;
        becomes(&mut connection, 2801, order_id, "expired").await;
        network.restore();
    };
    let (reply, ()) = tokio::join!(pay(&shop, 2801, order_id, Some("a"), GOOD), expires);
    // The provider's answer may have come too late on a busy machine. The next request gets the result.
    if reply.status != 410 {
        assert_problem(&reply, 503, "timed-out");
    }
    for _ in 0..2 {
        assert_problem(&pay_until_known(&shop, 2801, order_id, "a", GOOD).await, 410, "closed");
    }
    sale.owes_nothing().await;
    assert_eq!(sale.movements(&provider.remote).await, [[Authorised, Voided]]);
    given_back(&sale, 1).await;
    assert_eq!((sale.orders("paid").await, sale.orders("expired").await), (0, 1));
    sale.settles_at(0).await;
}

/// Thirty payments and thirty expiries: they come closer in time, coincide, and separate again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn payment_and_expiry_race_and_one_of_them_wins() {
    let (sale, provider) = (Production::new(shared(), 30).await, Provider::start());
    provider.at(Step::Authorise, Does::Slow(300)).await;
    let args = sale.args_with(Server::Provider, &provider.url, &[]);
    let shops = [sale.instance_with(&args).await, sale.instance_with(&args).await];
    let mut orders = Vec::new();
    for buyer in 2851..2881 {
        orders.push((buyer, confirmed(&shops[0], buyer).await));
    }
    let soon = "update orders set pay_by = now_ms() + 30 * (buyer.n - 1)
                from (select id, row_number() over (order by id) as n from orders) as buyer where buyer.id = orders.id";
    sqlx::query(soon).execute(&sale.pool).await.unwrap();
    let paying = orders.iter().map(|&(buyer, id)| pay_until_known(&shops[buyer as usize % 2], buyer, id, "a", GOOD));
    let replies = join_all(paying).await;
    let paid = replies.iter().filter(|reply| reply.status == 200).count();
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert_problem(reply, 410, "closed");
    }
    given_back(&sale, 30 - paid as i64).await;
    assert_eq!((sale.orders("paid").await, sale.orders("expired").await), (paid as i64, 30 - paid as i64));
    // No card was charged without an order, and none twice. If the order had expired, the hold was released.
    sale.owes_nothing().await;
    let movements = sale.movements(&provider.remote).await;
    let count = |states: &[Standing]| movements.iter().filter(|one| *one == states).count();
    assert_eq!((count(&[Authorised, Captured]), count(&[Authorised, Voided])), (paid, movements.len() - paid));
    sale.settles_at(paid).await;
}

/// Order, cookie, key, body; status, type.
type Case<'a> = (i64, &'a str, Option<&'a str>, &'a str, u16, &'a str);

/// A client that repeats its request hours later gets the earlier result, and does not buy a second unit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_key_is_good_for_one_order_as_long_as_the_sale() {
    let sale = Production::new(shared(), 1).await;
    let shop = sale.instance(&[]).await;
    let cookie = log_in(shop.address, 2901).await;
    let first = address(shop.address, SALE, &cookie).await.unwrap();
    let order_id = queued(&buy_at(shop.address, &first, &cookie, Some("k")).await);
    let mut connection = Connection::open(shop.address).await.unwrap();
    becomes(&mut connection, 2901, order_id, "confirmed").await;
    sale.expire().await;
    becomes(&mut connection, 2901, order_id, "expired").await;
    given_back(&sale, 1).await;
    let again = async |address: &str, key: &str| queued(&buy_at(shop.address, address, &cookie, Some(key)).await);
    let mut second = None;
    let told = async || {
        second = address(shop.address, SALE, &cookie).await.ok();
        second.is_some()
    };
    eventually("it is known that there is a unit again", told).await;
    let second = second.unwrap();
    for path in [&first, &second] {
        assert_eq!(again(path, "k").await, order_id, "at the old address and at another");
    }
    // Redis is rebuilt from SQL in between.
    sale.flush().await;
    let remembers = async || buy_at(shop.address, &second, &cookie, Some("k")).await.status == 202;
    eventually("it sells again", remembers).await;
    assert_eq!(again(&second, "k").await, order_id);

    let other = again(&second, "another").await;
    assert_ne!(other, order_id);
    becomes(&mut connection, 2901, other, "confirmed").await;
    assert_eq!(again(&first, "k").await, order_id, "though there is a second order now");
    sale.settles_at(1).await;
}
