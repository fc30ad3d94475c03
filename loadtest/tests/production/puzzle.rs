//! Chapter 6's entry puzzle, on real servers: one more step, answered once.

use crate::support::{
    SALE, assert_problem, eventually, json,
    production::{Production, shared},
    requests::{buy_at, log_in, open_sale, queued, request},
};
use loadtest::{
    buyer::{
        click::{self, Next},
        client::{Connection, Reply},
    },
    lab::shop_process::ShopProcess,
    verdict::history::Answer,
};
use redis::AsyncCommands;
use v1_naive::shop::sales::{Sale, now_ms};

const ASK: &str = "POST /sales/42/path";

/// An instance with the puzzle, as it is by default.
async fn instance(sale: &Production, further: &[&str]) -> ShopProcess {
    let args: Vec<_> = sale.args(further).into_iter().filter(|arg| arg != "--puzzle=off").collect();
    sale.instance_with(&args).await
}

/// The link for the answer, and the right answer.
async fn puzzle(shop: &ShopProcess, cookie: &str) -> (String, String) {
    let reply = request(shop.address, ASK, &[("cookie", cookie)], "").await;
    let step = json(&reply);
    let prompt = step["buy"]["ask"][0]["prompt"].as_str().expect("a question");
    let sum = prompt.trim_start_matches("What is ").trim_end_matches('?').split(" + ");
    let sum: i64 = sum.map(|number| number.parse::<i64>().unwrap()).sum();
    assert!(step["buy"]["why"].as_str().unwrap().contains("no security"), "{step}");
    (step["buy"]["href"].as_str().unwrap().to_owned(), sum.to_string())
}

async fn answer(shop: &ShopProcess, cookie: &str, href: &str, answer: &str) -> Reply {
    let body = serde_json::json!({ "answer": answer }).to_string();
    request(shop.address, &format!("POST {href}"), &[("cookie", cookie)], &body).await
}

/// The purchase URL that a right answer leads to.
fn given(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    json(reply)["buy"]["href"].as_str().expect("an address").to_owned()
}

async fn rows(sale: &Production) -> i64 {
    sqlx::query_scalar("select count(*) from orders").fetch_one(&sale.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_buyer_who_follows_links_and_can_add_gets_a_unit() {
    let sale = Production::new(shared(), 5).await;
    let shop = instance(&sale, &[]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    let mut next = open_sale(&mut connection).await;
    let mut asked = Vec::new();
    let told = loop {
        asked.extend(next.asks.iter().map(|asked| asked.name.clone()));
        match click::ask(&mut connection, &next, 4001).await {
            Next::Follow(link) => next = link,
            Next::Told(answer) => break answer,
        }
    };
    assert_eq!(asked, ["name", "answer"]);
    assert!(matches!(told, Answer::Queued { .. }), "{told:?}");
    sale.settles_at(1).await;

    // And by hand.
    let cookie = log_in(shop.address, 4002).await;
    let (href, right) = puzzle(&shop, &cookie).await;
    let address = json(&answer(&shop, &cookie, &href, &format!(" {right} ")).await)["buy"]["href"].clone();
    queued(&buy_at(shop.address, address.as_str().unwrap(), &cookie, None).await);
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn wrong_absent_and_foreign_answers_lead_nowhere() {
    let sale = Production::new(shared(), 5).await;
    let shop = instance(&sale, &[]).await;
    sale.put_up(&[Sale::open(43, 5)]).await;
    let (ada, bob) = (log_in(shop.address, 4101).await, log_in(shop.address, 4102).await);

    let (href, right) = puzzle(&shop, &ada).await;
    for body in ["", "{}", "[]", "7", "null", r#"{"answer": 7}"#, r#"{"answer": null}"#, "{\"answer\": \"7\"", "\u{0}"]
    {
        let reply = request(shop.address, &format!("POST {href}"), &[("cookie", &ada)], body).await;
        assert_problem(&reply, 400, "invalid-request");
    }
    assert_problem(&request(shop.address, &format!("POST {href}"), &[], "").await, 401, "unauthenticated");
    assert_problem(&answer(&shop, &bob, &href, &right).await, 403, "wrong-answer"); // the puzzle stays Ada's
    let elsewhere = href.replace("/42/", "/43/");
    assert_problem(&answer(&shop, &ada, &elsewhere, &right).await, 403, "wrong-answer");
    let (path, token) = href.split_once("?puzzle=").unwrap();
    let long = "a".repeat(5000);
    for forged in
        ["", "0", "é", &token[1..], &format!("1{}", &token[1..]), &token.to_uppercase()[..47], &long, "%00", "%ff"]
    {
        let reply = answer(&shop, &ada, &format!("{path}?puzzle={}", forged.replace('é', "%C3%A9")), &right).await;
        assert!([400, 403].contains(&reply.status.as_u16()), "{forged}: {}", reply.status);
    }
    let twice = answer(&shop, &ada, &format!("{href}&puzzle={token}"), &right).await;
    assert_problem(&twice, 400, "invalid-request");
    assert_eq!(answer(&shop, &ada, &href, &right).await.status, 200, "all this took nothing from it");

    // Guessing does not work: after a wrong answer, the right one leads to a used URL.
    for wrong in ["0", "-1", "1e2", "", "99999999999999999999", "NaN"] {
        let (href, right) = puzzle(&shop, &ada).await;
        assert_problem(&answer(&shop, &ada, &href, wrong).await, 403, "wrong-answer");
        let address = given(&answer(&shop, &ada, &href, &right).await);
        assert_problem(&buy_at(shop.address, &address, &ada, None).await, 404, "wrong-path");
    }
    assert_eq!(rows(&sale).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_puzzle_is_good_for_one_purchase_at_all_instances_together() {
    let sale = Production::new(shared(), 5).await;
    let args = ["--path-ttl", "600"];
    let (one, mut other) = (instance(&sale, &args).await, instance(&sale, &args).await);
    let ada = log_in(one.address, 4201).await;
    let (href, right) = puzzle(&one, &ada).await;

    // Repeated answers, at any instance and at the same time, lead to the same URL.
    let mut answers = tokio::task::JoinSet::new();
    for n in 0..20 {
        let shop = if n % 2 == 0 { one.address } else { other.address };
        let (cookie, href, body) = (ada.clone(), href.clone(), serde_json::json!({ "answer": right }).to_string());
        answers
            .spawn(async move { given(&request(shop, &format!("POST {href}"), &[("cookie", &cookie)], &body).await) });
    }
    let addresses: std::collections::BTreeSet<String> = answers.join_all().await.into_iter().collect();
    assert_eq!(addresses.len(), 1);
    other.kill_and_start_again().await.unwrap();
    let address = given(&answer(&other, &ada, &href, &right).await);
    assert!(addresses.contains(&address));

    // That URL buys one unit and no other, even after the unit was released.
    queued(&buy_at(other.address, &address, &ada, None).await);
    sale.settles_at(1).await;
    assert_problem(&buy_at(one.address, &address, &ada, None).await, 404, "wrong-path");
    sale.expire().await;
    eventually("the unit is back", async || sale.held().await.is_empty()).await;
    assert_eq!(given(&answer(&one, &ada, &href, &right).await), address);
    assert_problem(&buy_at(one.address, &address, &ada, None).await, 404, "wrong-path");
    let (href, right) = puzzle(&one, &ada).await;
    let address = given(&answer(&other, &ada, &href, &right).await);
    queued(&buy_at(one.address, &address, &ada, None).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_old_puzzle_is_over_and_what_is_remembered_has_an_end() {
    let sale = Production::new(shared(), 5).await;
    let shop = instance(&sale, &["--path-ttl", "2", "--frequency-buyers", "2"]).await;
    let ada = log_in(shop.address, 4301).await;
    let (href, right) = puzzle(&shop, &ada).await;
    let too_old = now_ms() + 2000 + 250; // the shop's clock may be wrong by an eighth of a second, both times
    eventually("it is too old", async || now_ms() > too_old).await;
    assert_problem(&answer(&shop, &ada, &href, &right).await, 403, "wrong-answer");

    // Two wrong answers are remembered, and the third client is told to retry later.
    eventually("one too many", async || {
        let (href, _) = puzzle(&shop, &ada).await;
        let reply = answer(&shop, &ada, &href, "0").await;
        assert!([403, 503].contains(&reply.status.as_u16()), "{reply:?}");
        reply.status == 503
    })
    .await;
    let mut redis = sale.stores.connect().await.unwrap();
    let spent = sale.stores.key(SALE, "spent");
    assert!(redis.scard::<_, i64>(&spent).await.unwrap() <= 2);
    eventually("all of it is forgotten", async || !redis.exists::<_, bool>(&spent).await.unwrap()).await;
}
