//! Chapter 6 as its buyers use it: a browser, nginx, and two instances.

use crate::support::browser::Browser;
use crate::support::buying::{buy_as, dark, errors, fill, pay_with, press};
use crate::support::{
    SALE, eventually,
    production::{Production, shared},
};

/// The answer to the puzzle: the sum that the page asks for.
async fn asked(browser: &Browser) -> i64 {
    let question = browser.wait_for_text("#asked", "What is ").await;
    question.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<i64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ, nginx and chromium-driver: make test"]
async fn the_whole_way_through_nginx_and_an_instance_dies_on_it() {
    let sale = Production::new(shared(), 5).await;
    let args = sale.args(&["--trusted-proxies", "127.0.0.1", "--role", "api"]);
    let args: Vec<_> = args.into_iter().filter(|arg| arg != "--puzzle=off").collect();
    let mut shops = [sale.instance_with(&args).await, sale.instance_with(&args).await];
    let nginx = sale.nginx(&shops.each_ref()).await;
    let browser = Browser::start().await;
    dark(&browser).await;
    browser.page.goto(&format!("http://{}/?sale={SALE}", nginx.address)).await.unwrap();
    browser.wait_for_text("#state", "Open for").await;

    buy_as(&browser, "ada").await;
    let sum = asked(&browser).await;
    browser.wait_for_text("#asked", "It is no security").await;
    browser.screenshot("edge-1-puzzle.png").await;
    fill(&browser, "#asked input", &(sum + 1).to_string()).await;
    press(&browser, "#buy").await;
    browser.wait_for_text("#outcome", "That was not the answer. Here is another question.").await;
    fill(&browser, "#asked input", &asked(&browser).await.to_string()).await;
    press(&browser, "#buy").await;
    browser.wait_for_text("#outcome", "You are in the queue.").await;
    eventually("the WebSocket is open", async || browser.script("return socket.readyState").await == 1).await;

    // Either instance may have the WebSocket, so each of them dies once and returns at the same address.
    for shop in &mut shops {
        shop.kill_and_start_again().await.unwrap();
    }
    let _worker = sale.instance(&["--role", "worker"]).await;
    browser.wait_for_text("#outcome", "It is yours.").await;
    browser.screenshot("edge-2-confirmed.png").await;
    pay_with(&browser, "4242 4242 4242 4242").await;
    browser.wait_for_text("#outcome", "Paid. Thank you!").await;
    browser.screenshot("edge-3-paid.png").await;
    assert_eq!(sale.orders("paid").await, 1);

    // The short link that is shared.
    let link = browser.text("#link").await;
    browser.page.goto(&format!("http://{link}")).await.unwrap();
    browser.wait_for_text("#outcome", "Paid. Thank you!").await;
    assert!(browser.page.current_url().await.unwrap().as_str().ends_with("/?sale=42"));
    assert_eq!(errors(&browser).await, [""; 0]);
    sale.settles_at(1).await;
}
