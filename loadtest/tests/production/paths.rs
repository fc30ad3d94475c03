//! Chapter 6's hidden purchase URLs, at two instances of one shop: for which buyer and sale they are valid, and how long.

use crate::support::{
    SALE, assert_problem, eventually,
    production::{Production, held, operate, pair, shared},
    requests::{address, assert_wrong_path, buy_at, log_in, path, purchase, queued},
};
use futures_util::future::join_all;
use loadtest::lab::shop_process::ShopProcess;
use v1_naive::shop::sales::Sale;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_path_is_valid_once_for_its_buyer_and_its_sale() {
    let sale = Production::new(shared(), 5).await;
    sale.put_up(&[Sale::open(43, 5)]).await;
    let shops = pair(&sale, &["--path-ttl", "600"]).await;
    let (mine, others) = (log_in(shops[0].address, 101).await, log_in(shops[1].address, 102).await);
    let at = path(&shops[0], &mine).await;
    let digits = at.strip_prefix("/sales/42/purchase/").unwrap();
    let elsewhere = address(shops[0].address, 43, &mine).await.unwrap().replace("/43/", "/42/");
    let mut wrong = vec![elsewhere, at.replace("/42/", "/43/")];
    wrong.extend([1, 2, 16, 32, 46, 47].map(|length| format!("/sales/42/purchase/{}", &digits[..length])));
    wrong.extend(["0", "00", "%00", "%2f"].map(|more| format!("{at}{more}")));
    wrong.extend((0..48).map(|place| {
        let mut forged = digits.to_owned();
        let digit = char::from(digits.as_bytes()[place]).to_digit(16).unwrap() ^ 1 << fastrand::u32(..4);
        forged.replace_range(place..=place, &format!("{digit:x}"));
        format!("/sales/42/purchase/{forged}")
    }));
    for shop in &shops {
        for (wrong, key) in wrong.iter().zip([None, Some("key")].into_iter().cycle()) {
            assert_wrong_path(&buy_at(shop.address, wrong, &mine, key).await);
        }
        for stripped in ["/sales/42/purchase", "/sales/42/purchase/"] {
            assert_problem(&buy_at(shop.address, stripped, &mine, None).await, 404, "not-found");
        }
        assert_wrong_path(&buy_at(shop.address, &at, &others, None).await);
    }
    sale.settles_at(0).await;

    let twice = join_all(shops.each_ref().map(|shop| buy_at(shop.address, &at, &mine, None))).await;
    let (yes, no): (Vec<_>, Vec<_>) = twice.iter().partition(|reply| reply.status == 202);
    assert_eq!(yes.len(), 1, "{twice:?}");
    assert_wrong_path(no[0]);
    for at in [&at, &format!("/sales/42/purchase/{}", digits.to_uppercase())] {
        for (shop, key) in [(&shops[0], None), (&shops[1], None), (&shops[1], Some("key"))] {
            assert_wrong_path(&buy_at(shop.address, at, &mine, key).await);
        }
    }
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_path_ends_by_the_clock_of_redis() {
    let sale = Production::new(shared(), 5).await;
    let shops = pair(&sale, &["--path-ttl", "1"]).await;
    let cookie = log_in(shops[0].address, 201).await;
    let at = path(&shops[0], &cookie).await;
    let issued = i64::from_str_radix(&at[at.len() - 48..][..16], 16).unwrap() >> 12;
    eventually("the path has ended", async || sale.redis_ms().await >= issued + 1000).await;
    for shop in &shops {
        for key in [None, Some("key")] {
            assert_wrong_path(&buy_at(shop.address, &at, &cookie, key).await);
        }
    }
    sale.settles_at(0).await;
    let buys = async || purchase(shops[1].address, SALE, &cookie, None).await.status == 202;
    eventually("a new path is used in time", buys).await;
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn who_did_not_pay_may_buy_again_but_not_at_the_old_path() {
    let sale = Production::new(shared(), 5).await;
    let shops = pair(&sale, &["--path-ttl", "600"]).await;
    let cookie = log_in(shops[0].address, 301).await;
    let old = path(&shops[0], &cookie).await;
    let first = queued(&buy_at(shops[0].address, &old, &cookie, Some("a")).await);
    sale.settles_at(1).await;
    sale.expire_order(first).await;
    eventually("it is given back", async || held(&sale).await == 0).await;
    let refused = async || {
        for (shop, key) in [(&shops[0], None), (&shops[1], None), (&shops[1], Some("b"))] {
            assert_wrong_path(&buy_at(shop.address, &old, &cookie, key).await);
        }
    };
    refused().await;
    let repeated = async || queued(&buy_at(shops[0].address, &old, &cookie, Some("a")).await);
    assert_eq!(repeated().await, first, "the same request is the same order, whatever became of it");
    let second = path(&shops[1], &cookie).await;
    operate(&sale, &["rebuild"]); // Redis loses everything, and is rebuilt from SQL
    for shop in &shops {
        let known = async || buy_at(shop.address, &old, &cookie, None).await.status != 503;
        eventually("the new epoch is known", known).await;
    }
    refused().await;
    sale.settles_at(0).await;
    queued(&buy_at(shops[0].address, &second, &cookie, None).await);
    refused().await;
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn two_paths_of_one_buyer_are_worth_one_unit() {
    let sale = Production::new(shared(), 60).await;
    let shops = pair(&sale, &[]).await;
    for buyer in 401..421 {
        let cookie = log_in(shops[0].address, buyer).await;
        let buying = async |shop: &ShopProcess, at: String| buy_at(shop.address, &at, &cookie, None).await;
        let one = path(&shops[0], &cookie).await;
        let mut other = String::new();
        eventually("they differ", async || {
            other = path(&shops[1], &cookie).await; // those of one millisecond can be the same
            other != one
        })
        .await;
        let (one, other) = tokio::join!(buying(&shops[0], one), buying(&shops[1], other));
        let (yes, no) = if one.status == 202 { (one, other) } else { (other, one) };
        queued(&yes);
        assert_problem(&no, 409, "limit-reached");
    }
    sale.settles_at(20).await;
}
