//! False identities: sessions without a valid signature, orders of other buyers, and other sites.

use crate::support::{
    HOUR, SALE, assert_problem,
    orders::{GOOD, card, pay, pay_until_known, payments},
    production::{Production, shared},
    requests::{address, assert_wrong_path, buy_at, log_in, path, purchase, queued, request},
};
use futures_util::future::join_all;
use loadtest::{
    lab::shop_process::ShopProcess,
    provider::{
        Remote,
        Standing::{Authorised, Captured},
    },
};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, client::IntoClientRequest},
};
use v1_naive::shop::sales::now_ms;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_session_that_was_not_signed_here_is_none() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&["--role", "api"]).await;
    let other = sale.instance(&["--role", "api", "--session-secret", "another secret of 32 bytes or more"]).await;
    let login = request(shop.address, "POST /session", &[], r#"{"name": "1201"}"#).await;
    let cookie = login.headers["set-cookie"].to_str().unwrap().to_owned();
    let (session, attributes) = cookie.split_once("; ").unwrap();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"] {
        assert!(attributes.split("; ").any(|one| one == attribute), "{attribute}: {cookie}");
    }
    let [buyer, ends, signature] = session.strip_prefix("session=").unwrap().splitn(3, '.').collect::<Vec<_>>()[..]
    else {
        panic!("{session}")
    };
    let ends: i64 = ends.parse().unwrap();
    let altered = format!("{}{}", &signature[1..], &signature[..1]);
    let forged = [
        "session=".to_owned(),
        format!("session={buyer}"),
        format!("session={buyer}.{ends}"),
        format!("session={buyer}.{ends}."),
        format!("session={buyer}.{ends}.{}", &signature[2..]),
        format!("session={buyer}.{ends}.{altered}"),
        format!("session={buyer}.{ends}.{}", "0".repeat(64)),
        format!("session={}.{ends}.{signature}", v6_production::buyer_id("1202")),
        format!("session={buyer}.{}.{signature}", ends + HOUR),
        format!("session={buyer}.{}.{signature}", now_ms() - HOUR),
        format!("other={buyer}.{ends}.{signature}"),
    ];
    for forged in forged {
        let reply = purchase(shop.address, SALE, &forged, None).await;
        assert_eq!(reply.status, 401, "{forged}");
        assert_problem(&reply, 401, "unauthenticated");
    }
    assert_problem(&purchase(other.address, SALE, session, None).await, 401, "unauthenticated");
    assert_eq!(sale.ledger().await.stores.unwrap().sales[&SALE].held, 0);
    queued(&purchase(shop.address, SALE, &format!("theme=dark; {session}"), None).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_secret_is_changed_and_nobody_is_logged_out() {
    let sale = Production::new(shared(), 5).await;
    let (old, new) = ("the old secret of 32 bytes or more", "the new secret of 32 bytes or more");
    let signs_old = sale.instance(&["--session-secret", old, "--other-secrets", new]).await;
    let signs_new = sale.instance(&["--session-secret", new, "--other-secrets", old]).await;
    let knows_new = sale.instance(&["--session-secret", new]).await;
    let (early, late) = (log_in(signs_old.address, 1001).await, log_in(signs_new.address, 1002).await);
    let (at, mixed) = (path(&signs_old, &early).await, path(&signs_old, &late).await);
    assert_problem(&address(knows_new.address, SALE, &early).await.unwrap_err(), 401, "unauthenticated");
    assert_problem(&buy_at(knows_new.address, &at, &early, None).await, 401, "unauthenticated");
    assert_wrong_path(&buy_at(knows_new.address, &mixed, &late, None).await);
    sale.settles_at(0).await;

    let first = queued(&buy_at(signs_new.address, &at, &early, None).await);
    let second = queued(&buy_at(signs_new.address, &mixed, &late, None).await);
    let last = log_in(knows_new.address, 1003).await;
    queued(&buy_at(signs_old.address, &path(&signs_new, &last).await, &last, None).await);
    sale.settles_at(3).await;

    // Only the session identifies the buyer, at whichever instance.
    let look = async |shop: &ShopProcess, cookie: &str, order_id: i64| {
        let headers = [("cookie", cookie), ("x-buyer-id", "1002"), ("authorization", "Bearer 1002")];
        request(shop.address, &format!("GET /orders/{order_id}"), &headers, "").await.status.as_u16()
    };
    for shop in [&signs_old, &signs_new] {
        let statuses = [("", second), (&*early, first), (&early, second), (&late, first), (&late, second)];
        let statuses = join_all(statuses.map(|(cookie, order_id)| look(shop, cookie, order_id))).await;
        assert_eq!(statuses, [401, 200, 404, 404, 200]);
    }
    assert_eq!((look(&knows_new, &early, first).await, look(&knows_new, &late, second).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn nobody_sees_or_pays_the_order_of_somebody_else() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&["--role", "api"]).await;
    let (mine, stranger) = (log_in(shop.address, 1101).await, log_in(shop.address, 1102).await);
    let order_id = queued(&purchase(shop.address, SALE, &mine, None).await);
    let look = async |shop: &ShopProcess, order_id: i64| {
        request(shop.address, &format!("GET /orders/{order_id}"), &[("cookie", &stranger)], "").await
    };
    let none = look(&shop, order_id + 1).await;
    let refused = async |shop: &ShopProcess| {
        let (a, b) = (pay(shop, 1102, order_id, Some("a"), GOOD), pay(shop, 1102, order_id, Some("b"), GOOD));
        for reply in [look(shop, order_id).await, a.await, b.await] {
            assert_problem(&reply, 404, "not-found");
            assert_eq!(reply.body, none.body, "as if there were no such order");
        }
    };
    refused(&shop).await; // queued
    let other = sale.instance(&[]).await;
    sale.settles_at(1).await;
    refused(&other).await; // confirmed
    assert_eq!(pay_until_known(&shop, 1101, order_id, "a", GOOD).await.status, 200);
    refused(&shop).await; // paid, and the key "a" is already used
    refused(&other).await;
    assert_eq!(pay_until_known(&other, 1101, order_id, "a", GOOD).await.status, 200);
    let did = sale.movements(&Remote::new(&sale.stores.provider)).await;
    assert_eq!(did, [[Authorised, Captured]]);
    assert_eq!((payments(&sale).await, sale.orders("paid").await), (1, 1));
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn no_other_site_makes_a_browser_buy() {
    let sale = Production::new(shared(), 9).await;
    let shops = [sale.instance(&[]).await, sale.instance(&["--origins", "https://shop.example"]).await];
    let hosts = shops.each_ref().map(|shop| format!("http://{}", shop.address));
    let [evil, null, named, other, first, second] =
        ["http://evil.example", "null", "https://shop.example", "http://shop.example", &hosts[0], &hosts[1]]
            .map(|site| ("origin", site));
    let silent = ("sec-fetch-site", "cross-site");
    let cases = [(first, [evil, null, silent, named, second]), (named, [evil, null, silent, first, other])];
    for (n, (shop, (ours, theirs))) in shops.iter().zip(cases).enumerate() {
        let owner = log_in(shop.address, 1201 + n as i64).await;
        let order_id = queued(&purchase(shop.address, SALE, &owner, None).await);
        let buyer = log_in(shop.address, 1211 + n as i64).await;
        let (buy, pays) = (format!("POST {}", path(shop, &buyer).await), format!("POST /orders/{order_id}/payment"));
        let card = card(GOOD);
        let doors = [
            ("POST /session", "", r#"{"name": "1220"}"#, 200),
            ("POST /sales/42/path", &owner, "", 200),
            (&buy, &buyer, "", 202),
            (&pays, &owner, &card, 200),
        ];
        sale.settles_at(2 * n + 1).await;
        for header in theirs {
            for (line, cookie, body, _) in doors {
                let headers = [("cookie", cookie), ("idempotency-key", "a"), header];
                let reply = request(shop.address, line, &headers, body).await;
                assert_problem(&reply, 403, "cross-site");
                assert!(!reply.headers.contains_key("set-cookie"), "{line}");
            }
            assert_eq!(upgrade(shop, order_id, &owner, header).await, 403, "{header:?}");
        }
        assert_eq!(payments(&sale).await, n as i64);
        sale.settles_at(2 * n + 1).await;
        for (line, cookie, body, status) in doors {
            let headers = [("cookie", cookie), ("idempotency-key", "a"), ours];
            assert_eq!(request(shop.address, line, &headers, body).await.status, status, "{line} {ours:?}");
        }
        assert_eq!(upgrade(shop, order_id, &owner, ours).await, 101);
    }
    sale.settles_at(4).await;
    assert_eq!(sale.orders("paid").await, 2);
}

/// Requests an order's WebSocket with one more header; returns the status.
async fn upgrade(shop: &ShopProcess, order_id: i64, cookie: &str, header: (&'static str, &str)) -> u16 {
    let mut request = format!("ws://{}/orders/{order_id}/watch", shop.address).into_client_request().unwrap();
    for (name, value) in [("cookie", cookie), header] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}
