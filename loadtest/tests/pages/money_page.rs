//! Chapter 6's page and payments: a pending payment, a payment refused in the end, and an order that its buyer cancels.

use crate::support::{
    browser::Browser,
    buying::{buy_as, errors, pay_with, press},
    money::{PENDING, Provider, REFUSED},
    orders::{GOOD, given_back},
    production::{Production, shared},
};
use loadtest::{
    lab::{servers::Server, shop_process::ShopProcess},
    provider::{
        Callbacks, Does,
        Standing::{Authorised, Captured, Pending, Refused},
        Step,
    },
};

async fn open(sale: &Production, provider: &Provider) -> (ShopProcess, Browser) {
    let shop = sale.instance_with(&sale.args_with(Server::Provider, &provider.url, &[])).await;
    let browser = Browser::start().await;
    browser.page.goto(&format!("http://{}/?sale={}", shop.address, sale.sale)).await.unwrap();
    buy_as(&browser, "ada").await;
    browser.wait_for_text("#outcome", "It is yours.").await;
    (shop, browser)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn a_payment_that_is_confirmed_later_is_told_later() {
    let (sale, provider) = (Production::new(shared(), 1).await, Provider::start());
    provider.calls(Callbacks::Late(8000)).await;
    let (_shop, browser) = open(&sale, &provider).await;
    // It is told for a second. A browser that is asked from outside may look too late.
    let watch = "window.noted = []; const outcome = document.getElementById('outcome'); \
                 new MutationObserver(() => noted.push(outcome.textContent)).observe(outcome, { childList: true })";
    browser.script(watch).await;
    pay_with(&browser, PENDING).await;
    browser.wait_for_text("#outcome", "Paid. Thank you!").await;
    let told = browser.script("return noted.join()").await;
    assert!(told.as_str().unwrap().contains("No answer yet. Asking again"), "{told}");
    assert_eq!(sale.movements(&provider.remote).await, [[Pending, Authorised, Captured]]);
    assert_eq!(errors(&browser).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn a_payment_that_the_provider_does_not_answer_is_not_called_free() {
    let (sale, provider) = (Production::new(shared(), 1).await, Provider::start());
    let (_shop, browser) = open(&sale, &provider).await;
    provider.at(Step::Capture, Does::Refuse).await;
    pay_with(&browser, GOOD).await;
    browser.wait_for_text("#outcome", "The payment is under way. This page tells you what comes of it.").await;
    browser.screenshot("v6-14-under-way.png").await;
    browser.wait_for_text("#time", "The payment is under way").await;
    assert_eq!(browser.script("return document.querySelector('#pay').checkVisibility()").await, false);
    provider.is_well().await;
    browser.wait_for_text("#outcome", "Paid. Thank you!").await;
    assert_eq!(sale.movements(&provider.remote).await, [[Authorised, Captured]]);
    assert_eq!(errors(&browser).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn a_card_that_fails_in_the_end_and_an_order_that_is_canceled_leave_a_unit_to_buy() {
    let (sale, provider) = (Production::new(shared(), 1).await, Provider::start());
    let (_shop, browser) = open(&sale, &provider).await;
    pay_with(&browser, REFUSED).await;
    browser.wait_for_text("#outcome", "could not be paid with this card, and its unit went back.").await;
    given_back(&sale, 1).await;
    press(&browser, "#buy").await;
    browser.wait_for_text("#outcome", "It is yours.").await;
    browser.screenshot("v6-15-cancel.png").await;
    press(&browser, "#cancel").await;
    browser.wait_for_text("#outcome", "is canceled. You may buy again.").await;
    given_back(&sale, 1).await;
    press(&browser, "#buy").await;
    browser.wait_for_text("#outcome", "It is yours.").await;
    pay_with(&browser, GOOD).await;
    browser.wait_for_text("#outcome", "Paid. Thank you!").await;
    sale.owes_nothing().await;
    assert_eq!(sale.movements(&provider.remote).await, [[Authorised, Refused], [Authorised, Captured]]);
    assert_eq!(errors(&browser).await, [""; 0]);
}
