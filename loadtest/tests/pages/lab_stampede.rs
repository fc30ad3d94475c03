//! The lab's first tab in a real browser.

use std::time::Duration;

use crate::support::{browser::Browser, eventually, lab_page::LabPage, within};
use fantoccini::Locator;
use serde_json::{Value, json};

/// Notes what the page shows at the moment at which it turns red.
const NOTE_RED: &str = "window.red = null; new MutationObserver(() => {
    const lane = document.querySelector('.lane.oversold');
    if (lane && !window.red) window.red = { phase: lane.dataset.phase, text: lane.querySelector('.figures').innerText };
}).observe(document.body, { subtree: true, childList: true, attributes: true })";

async fn audited(browser: &Browser) {
    let all = "const lanes = [...document.querySelectorAll('.lane')]; \
               return lanes.length > 0 && lanes.every((lane) => lane.dataset.phase === 'done')";
    let minutes = Duration::from_secs(300); // two large crowds, and the machine may be busy
    within(minutes, "all runs are audited", async || browser.script(all).await == true).await;
}

async fn figure(browser: &Browser, lane: usize, name: &str) -> i64 {
    let script = format!(
        "return document.querySelectorAll('.lane')[{lane}].querySelector('[data-figure={name}] dd').textContent"
    );
    browser.script(&script).await.as_str().unwrap().replace(',', "").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn version_1_turns_red_in_the_middle_of_the_sale_and_version_2_beside_it_does_not() {
    let lab = LabPage::start(&["--database", "sqlite"]);
    let browser = Browser::start().await;
    // A link fills the form. The page reads the rows ten times a second, so the sale has to last for longer than that.
    let ask = |version| json!({ "version": version, "buyers": 10000, "stock": 20 });
    let asks = json!([ask("v1-naive"), ask("v2-pessimistic")]);
    let fragment = format!("#stampede/{}", asks.to_string().replace('"', "%22"));
    browser.page.goto(&lab.url(&fragment)).await.unwrap();
    eventually("the form is filled", async || {
        browser.script("return document.querySelectorAll('[name=version]')[1]?.value").await == "v2-pessimistic"
    })
    .await;
    assert_eq!(browser.script("return document.querySelector('[name=buyers]').value").await, "10000");
    browser.script(NOTE_RED).await;
    browser.click("button.go").await;
    eventually("it is red", async || browser.script("return window.red !== null").await == true).await;
    let red = browser.script("return window.red").await;
    assert!(red["phase"] == "selling" || red["phase"] == "auditing", "before the audit: {red}");

    // A second browser sees the same run, and cannot start another one meanwhile.
    let second = browser.another().await;
    second.page.goto(&lab.url("")).await.unwrap();
    eventually("the second browser sees it", async || {
        second.script("return document.querySelectorAll('.lane').length").await == 2
    })
    .await;
    audited(&browser).await;
    audited(&second).await;

    let (orders, over) = (figure(&browser, 0, "orders").await, figure(&browser, 0, "over").await);
    assert!(orders > 20 && over == orders - 20, "{orders} {over}");
    assert_eq!((figure(&browser, 1, "orders").await, figure(&browser, 1, "over").await), (20, 0));
    let runs = lab.runs();
    assert_eq!((runs.len(), runs[0]["orders"].as_i64(), runs[1]["orders"].as_i64()), (2, Some(orders), Some(20)));
    let told = browser.text(".lane:nth-child(2) .told").await;
    assert!(told.contains("20 told yes") && told.contains("9,980 sold-out"), "{told}");
    assert!(browser.text(".lane .badge").await.contains("oversells, as promised"));
    browser.screenshot("lab-stampede.png").await;

    // The runs are kept, and compared.
    browser.page.goto(&lab.url("#stampede")).await.unwrap();
    browser.page.refresh().await.unwrap();
    eventually("both runs are in the list", async || {
        browser.script("return document.querySelectorAll('.runs [type=checkbox]').length").await == 2
    })
    .await;
    let note = browser.page.find(Locator::Css(".runs [type=text]")).await.unwrap();
    note.send_keys("<b>mine</b>\t").await.unwrap();
    browser.script("document.querySelectorAll('.runs [type=checkbox]').forEach((box) => box.click())").await;
    let table = browser.text("table.compared").await;
    assert!(table.contains("v1-naive") && table.contains("<b>mine</b>") && table.contains("oversold"), "{table}");

    assert_eq!(browser.console_errors().await, Vec::<String>::new());
    browser.as_telephone().await;
    assert!(!browser.scrolls_sideways().await);
    browser.screenshot("lab-stampede-phone.png").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn a_gate_is_removed_and_scripts_buy_before_the_opening() {
    let lab = LabPage::start(&["--database", "sqlite"]);
    let browser = Browser::start().await;
    browser
        .page
        .goto(&lab.url("#stampede/[{%22version%22:%22v5-hidden-api%22,%22scenario%22:%22early-bird%22}]"))
        .await
        .unwrap();
    eventually("the gates are listed", async || {
        browser.script("return document.querySelectorAll('[name=gate]:checked').length").await == 5
    })
    .await;
    browser.click("[name=gate][value=window]").await;
    browser.click("button.go").await;
    audited(&browser).await;
    let run: Value = lab.runs().remove(0);
    assert_eq!((&run["without"], &run["measure"]["holds"]), (&json!(["window"]), &false.into()), "{run}");
    assert!(browser.text(".lane h2").await.contains("v5-hidden-api without window"));
    assert!(browser.text(".lane .badge.bad").await.contains("may break"), "nothing is promised without a gate");
}
