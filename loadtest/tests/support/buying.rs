//! Uses a sale's page as a buyer does, mostly that of chapter 6.

use std::net::SocketAddr;

use fantoccini::Locator;
use serde_json::json;
use v1_naive::shop::sales::{Sale, now_ms};

use super::{browser::Browser, eventually};

/// Reads both in one call: between two calls the sale may open.
const COUNTING_DOWN: &str = "return document.getElementById('state').textContent.startsWith('Opens in 00:0') && \
                    document.getElementById('buy').disabled";

/// Opens the page of a sale.
pub async fn visit(browser: &Browser, address: SocketAddr, sale: &str) {
    browser.page.goto(&format!("http://{address}/?sale={sale}")).await.unwrap();
}

/// Opens the page of a sale in a browser of its own.
pub async fn open(address: SocketAddr, sale: &str) -> Browser {
    let browser = Browser::start().await;
    visit(&browser, address, sale).await;
    browser
}

/// Puts up a sale that opens soon, and visits it until its page shows the countdown. On a busy machine the sale may open before the page
/// is shown. Then the next sale gets twice the time.
pub async fn counting_down(browser: &Browser, address: SocketAddr, units: i64, put_up: impl AsyncFn(&Sale)) -> Sale {
    for id in 7..12 {
        let sale = Sale { opens_at: now_ms() + (8000 << (id - 7)), ..Sale::open(id, units) };
        put_up(&sale).await;
        visit(browser, address, &id.to_string()).await;
        let is_counting = async || browser.script(COUNTING_DOWN).await == true;
        eventually("a countdown or an open sale", async || is_counting().await || !is_grey(browser, "#buy").await)
            .await;
        if is_counting().await {
            return sale;
        }
    }
    panic!("no sale is seen counting down")
}

pub async fn is_grey(browser: &Browser, button: &str) -> bool {
    browser.script(&format!("return document.querySelector('{button}').disabled")).await == true
}

/// Presses the button as soon as it is enabled.
pub async fn press(browser: &Browser, button: &str) {
    eventually(&format!("{button} can be pressed"), async || {
        let script =
            format!("const b = document.querySelector('{button}'); return !b.disabled && b.offsetParent !== null");
        browser.script(&script).await == true
    })
    .await;
    browser.click(button).await;
}

pub async fn fill(browser: &Browser, field: &str, text: &str) {
    let field = browser.page.find(Locator::Css(field)).await.unwrap();
    field.clear().await.unwrap();
    field.send_keys(text).await.unwrap();
}

/// Buys under a name that the shop asks for.
pub async fn buy_as(browser: &Browser, name: &str) {
    press(browser, "#buy").await;
    browser.wait_for_text("#asked", "Your name").await;
    fill(browser, "#asked input", name).await;
    press(browser, "#buy").await;
}

pub async fn pay_with(browser: &Browser, card: &str) {
    fill(browser, "#pay-asked input", card).await;
    press(browser, "#pay").await;
}

pub async fn dark(browser: &Browser) {
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    browser.devtools("Emulation.setEmulatedMedia", dark).await;
}

/// Console errors, without those of failed WebSockets and lost answers, which Chromium logs too.
pub async fn errors(browser: &Browser) -> Vec<String> {
    let errors = browser.console_errors().await.into_iter();
    let faults = [
        "WebSocket connection to",
        "the server responded with a status of 503",
        "the server responded with a status of 504",
    ];
    errors.filter(|error| !faults.iter().any(|fault| error.contains(fault))).collect()
}
