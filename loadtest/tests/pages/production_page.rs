//! Chapter 6's page, in a real browser, on real servers.

use crate::support::{
    SALE,
    browser::Browser,
    buying::{buy_as, counting_down, errors, fill, is_grey, open, pay_with, press, visit},
    edge::Edge,
    eventually,
    orders::{DECLINED, GOOD, payments},
    production::{Production, held, shared},
    requests::{address, click, log_in, queued},
};
use loadtest::buyer::client::Connection;
use v1_naive::shop::sales::{Sale, now_ms};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn from_the_grey_button_to_a_paid_order() {
    let mut sale = Production::new(shared(), 9).await;
    // Nothing leaves the queue before the worker runs.
    let api = sale.instance(&["--role", "api"]).await;
    let browser = Browser::start().await;
    let put_up = async |it: &Sale| sale.put_up(std::slice::from_ref(it)).await;
    let Sale { id, opens_at, .. } = counting_down(&browser, api.address, 5, put_up).await;
    sale.sale = id;
    browser.screenshot("v6-1-before.png").await;
    eventually("it opens by itself", async || !is_grey(&browser, "#buy").await).await;
    assert!(now_ms() >= opens_at, "too early");
    browser.wait_for_text("#outcome", "You can buy now.").await;
    assert_eq!(browser.text("#left").await, "5 of 5");

    press(&browser, "#buy").await;
    browser.wait_for_text("#asked", "Your name").await;
    browser.screenshot("v6-2-name.png").await;
    fill(&browser, "#asked input", "ada").await;
    press(&browser, "#buy").await;
    browser.wait_for_text("#outcome", "You are in the queue.").await;
    assert_eq!(browser.text("#steps [aria-current]").await, "In the queue");
    browser.screenshot("v6-3-queued.png").await;

    // From here on the page does not poll; it gets all news by WebSocket.
    eventually("the WebSocket is open", async || browser.script("return socket.readyState").await == 1).await;
    browser.script("clearTimeout(timer); lookIn = () => {}").await;
    let _worker = sale.instance(&["--role", "worker"]).await;
    browser.wait_for_text("#outcome", "It is yours.").await;
    assert_eq!(browser.text("#steps [aria-current]").await, "Confirmed");
    browser.wait_for_text("#time", "Pay within 14:").await; // it counts down
    browser.screenshot("v6-4-confirmed.png").await;

    pay_with(&browser, "4242").await;
    browser.wait_for_text("#outcome", "The shop did not take that: a card number has 12 to 19 digits.").await;
    pay_with(&browser, DECLINED).await;
    browser.wait_for_text("#outcome", "Not paid: the card was declined; nothing was charged.").await;
    browser.screenshot("v6-5-declined.png").await;
    pay_with(&browser, GOOD).await;
    browser.wait_for_text("#outcome", "Paid. Thank you!").await;
    assert_eq!(browser.wait_for_text("#steps [aria-current]", "Paid").await, "Paid");
    browser.screenshot("v6-6-paid.png").await;

    assert_eq!(sale.orders("paid").await, 1);
    assert_eq!(errors(&browser).await, [""; 0]);
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn without_a_websocket_it_asks() {
    let sale = Production::new(shared(), 9).await;
    let api = sale.instance(&["--role", "api"]).await;
    let edge = Edge::before(api.address).await;
    edge.refuse_websockets(true);
    let browser = open(edge.address, "42").await;
    buy_as(&browser, "ada").await;
    browser.wait_for_text("#outcome", "You are in the queue.").await;
    eventually("two WebSockets were refused", async || edge.asked() >= 2).await;
    let _worker = sale.instance(&["--role", "worker"]).await;
    browser.wait_for_text("#outcome", "It is yours.").await;
    assert_eq!(edge.websockets(), 0);

    edge.refuse_websockets(false);
    eventually("it has tried again", async || edge.websockets() == 1).await;
    edge.refuse_websockets(true);
    edge.cut_websockets();
    eventually("it is cut", async || edge.websockets() == 0).await;
    sale.expire().await;
    browser.wait_for_text("#outcome", "was not paid in time").await;
    assert_eq!(errors(&browser).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn an_order_that_is_not_paid_expires_and_its_buyer_may_buy_again() {
    let sale = Production::new(shared(), 1).await;
    let shop = sale.instance(&[]).await;
    let edge = Edge::before(shop.address).await;
    let browser = open(edge.address, "42").await;
    buy_as(&browser, "ada").await;
    browser.wait_for_text("#outcome", "It is yours.").await;
    eventually("the WebSocket is open", async || edge.websockets() == 1).await;
    sale.expire().await;
    let outcome = browser.wait_for_text("#outcome", "was not paid in time, and its unit went back.").await;
    assert!(outcome.ends_with("You may buy again."), "{outcome}");
    browser.screenshot("v6-7-expired.png").await;
    eventually("Redis has the unit again", async || held(&sale).await == 0).await;
    press(&browser, "#buy").await; // the name is remembered
    browser.wait_for_text("#outcome", "It is yours.").await;
    pay_with(&browser, GOOD).await;
    browser.wait_for_text("#outcome", "Paid.").await;
    assert_eq!((sale.orders("expired").await, sale.orders("paid").await), (1, 1));
    assert_eq!(errors(&browser).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn a_unit_that_comes_back_wakes_the_button() {
    let sale = Production::new(shared(), 1).await;
    let api = sale.instance(&["--role", "api"]).await;
    queued(&click(&mut Connection::open(api.address).await.unwrap(), 7).await);
    // SQL does not have it yet, so the page shows a unit that Redis does not have.
    let browser = open(api.address, "42").await;
    buy_as(&browser, "ada").await;
    browser.wait_for_text("#outcome", "Sold out. Units that are not paid come back").await;
    let _worker = sale.instance(&["--role", "worker"]).await;
    browser.wait_for_text("#state", "Sold out.").await;
    assert!(is_grey(&browser, "#buy").await);
    browser.screenshot("v6-8-sold-out.png").await;

    eventually("it is an order", async || sale.orders("confirmed").await == 1).await;
    sale.expire().await;
    eventually("Redis has the unit again", async || held(&sale).await == 0).await;
    let another = log_in(api.address, 8).await;
    eventually("the instance has heard of it", async || address(api.address, SALE, &another).await.is_ok()).await;
    browser.wait_for_text("#outcome", "You can buy now.").await;
    press(&browser, "#buy").await;
    browser.wait_for_text("#outcome", "It is yours.").await;
    assert_eq!(errors(&browser).await, [""; 0]);
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn a_second_tab_a_reload_and_a_login_that_ended_find_the_order() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let browser = open(shop.address, "42").await;
    let first = browser.page.window().await.unwrap();
    let second = browser.page.new_window(true).await.unwrap().handle;
    browser.page.switch_to_window(second.clone()).await.unwrap();
    visit(&browser, shop.address, "42").await;
    browser.wait_for_text("#state", "Open for").await;

    browser.page.switch_to_window(first).await.unwrap();
    buy_as(&browser, "ada").await;
    browser.wait_for_text("#outcome", "It is yours.").await;
    let order = browser.text("#order-name").await;

    browser.page.switch_to_window(second).await.unwrap();
    press(&browser, "#buy").await;
    browser.wait_for_text("#outcome", "You have your unit of this sale: this is its order.").await;
    assert_eq!(browser.text("#order-name").await, order);
    browser.screenshot("v6-9-second-tab.png").await;

    browser.page.refresh().await.unwrap();
    browser.wait_for_text("#outcome", "It is yours.").await;
    assert_eq!(browser.text("#order-name").await, order);

    browser.page.delete_all_cookies().await.unwrap();
    browser.page.refresh().await.unwrap();
    browser.wait_for_text("#outcome", "Log in again to see your order.").await;
    browser.wait_for_text("#buy", "Log in").await;
    buy_as(&browser, "ada").await;
    browser.wait_for_text("#outcome", "It is yours.").await;
    assert_eq!(browser.text("#order-name").await, order);
    assert_eq!(errors(&browser).await, [""; 0]);

    // The same buyer in another browser, which does not know of an order.
    let elsewhere = browser.another().await;
    visit(&elsewhere, shop.address, "42").await;
    buy_as(&elsewhere, "ada").await;
    elsewhere.wait_for_text("#outcome", "You have your unit of this sale: this is its order.").await;
    sale.settles_at(1).await;
}

/// "Nothing was bought" is said by the repetition, and is true of the repetition only.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn a_refusal_after_a_lost_answer_does_not_say_that_nothing_was_bought() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let edge = Edge::before(shop.address).await;
    let browser = open(edge.address, "42").await;
    edge.lose_and_overload("/purchase/");
    buy_as(&browser, "ada").await;
    browser.wait_for_text("#outcome", "Nobody knows whether you have bought.").await;
    assert_eq!((edge.losing(), edge.overloaded(), held(&sale).await), (0, 0, 1));
    edge.lose_and_overload("/payment ");
    press(&browser, "#buy").await;
    browser.wait_for_text("#outcome", "It is yours.").await;
    edge.refuse_websockets(true);
    edge.cut_websockets();
    pay_with(&browser, GOOD).await;
    browser.wait_for_text("#outcome", "Paid. Thank you!").await;
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn lost_answers_buy_once_and_pay_once() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let edge = Edge::before(shop.address).await;
    let browser = open(edge.address, "42").await;
    edge.lose(3, "/purchase/"); // as often as the page retries
    buy_as(&browser, "ada").await;
    browser.wait_for_text("#outcome", "Nobody knows whether you have bought.").await;
    assert_eq!((edge.losing(), held(&sale).await), (0, 1));
    browser.wait_for_text("#buy", "Ask again").await;
    browser.screenshot("v6-10-no-answer.png").await;
    browser.page.refresh().await.unwrap();
    browser.wait_for_text("#outcome", "Of your last attempt no answer has come.").await;
    edge.lose(1, "/purchase/");
    press(&browser, "#buy").await;
    browser.wait_for_text("#outcome", "It is yours.").await; // not limit-reached, because it was the same attempt

    edge.refuse_websockets(true);
    edge.cut_websockets();
    edge.lose(1, "/payment ");
    pay_with(&browser, GOOD).await;
    browser.wait_for_text("#outcome", "Paid. Thank you!").await;
    assert_eq!((edge.losing(), payments(&sale).await), (0, 1));
    assert_eq!(errors(&browser).await, [""; 0]);
    sale.settles_at(1).await;
}
