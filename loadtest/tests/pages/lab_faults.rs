//! The lab's third tab in a real browser: chapter 6 and its servers.

use std::time::Duration;

use crate::support::{
    browser::Browser,
    eventually,
    lab_page::{LabPage, descendants, shows},
    within,
};

async fn figure(browser: &Browser, name: &str) -> i64 {
    let script = format!("return document.querySelector('#faults [data-figure={name}] dd')?.textContent ?? ''");
    browser.script(&script).await.as_str().unwrap_or_default().replace(',', "").parse().unwrap_or(-1)
}

/// How many instances of the shop are stopped, as the system says.
fn frozen(lab: &LabPage) -> usize {
    let stat = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    descendants(lab.pid(), "loadtest").into_iter().filter(|pid| stat(*pid).contains(") T ")).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs all servers and chromium-driver: make test"]
async fn orders_wait_while_rabbitmq_is_dead_and_none_is_lost() {
    let lab = LabPage::start(&[]);
    let browser = Browser::start().await;
    browser.page.goto(&lab.url("#faults")).await.unwrap();
    shows(&browser, "#faults button.go", "Open the sale").await;
    browser.click("#faults button.go").await;
    let minutes = Duration::from_secs(300); // all servers start, and the machine may be busy
    within(minutes, "the sale is open", async || figure(&browser, "orders").await > 10).await;
    let box_of = |part: &str| format!("#faults [data-part={part}]");

    browser.click("[data-turn=rabbitmq-killed]").await;
    shows(&browser, &box_of("rabbitmq"), "killed").await;
    // What the queue has given to a worker is still confirmed, the display is late, and after ten seconds the instances place what
    // waits without the queue, a hundred orders at once. In between, buyers wait.
    let now = async || (figure(&browser, "orders").await, figure(&browser, "wait").await);
    let mut since = now().await;
    within(minutes, "twenty more buyers wait, and hardly any order is confirmed meanwhile", async || {
        let (orders, wait) = now().await;
        if orders - since.0 > 10 || wait < since.1 {
            since = (orders, wait);
        }
        wait - since.1 > 20
    })
    .await;
    let before = figure(&browser, "orders").await;
    browser.screenshot("lab-faults.png").await;
    browser.click("[data-turn=rabbitmq-up]").await;
    shows(&browser, &box_of("rabbitmq"), "works").await;
    within(minutes, "orders go on", async || figure(&browser, "orders").await > before + 20).await;

    browser.click("[data-turn=second-instance-silent]").await;
    shows(&browser, &box_of("second-instance"), "frozen").await;
    eventually("its process is stopped", async || frozen(&lab) == 1).await;
    browser.screenshot("lab-faults-frozen.png").await;
    let before = figure(&browser, "orders").await;
    browser.click("[data-turn=second-instance-up]").await;
    shows(&browser, &box_of("second-instance"), "works").await;
    eventually("its process continues", async || frozen(&lab) == 0).await;
    within(minutes, "orders go on", async || figure(&browser, "orders").await > before + 20).await;

    browser.click("[data-turn=first-instance-silent]").await;
    shows(&browser, &box_of("first-instance"), "frozen").await;
    let end =
        "[...document.querySelectorAll('#faults button')].find((one) => one.textContent.startsWith('End')).click()";
    browser.script(end).await;
    within(minutes, "the audit", async || browser.text("#faults .phase").await.starts_with("The audit of")).await;
    let audit = browser.text("#faults .phase").await;
    assert!(audit.contains("nothing is lost, bought twice or oversold"), "{audit}");
    assert!(browser.text("#faults .log").await.contains("RabbitMQ is brought back"));
    eventually("it can begin again", async || {
        browser.script("return !document.querySelector('#faults .go').disabled").await == true
    })
    .await;
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
    browser.as_telephone().await;
    assert!(!browser.scrolls_sideways().await);
    browser.screenshot("lab-faults-phone.png").await;
}
