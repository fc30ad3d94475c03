//! The sale's page, in a real browser.

use crate::support::{
    SALE, Shop,
    browser::Browser,
    buying::{counting_down, is_grey, open, visit},
    eventually, serve,
};
use axum::{Json, Router, extract::Path, http::StatusCode, middleware::from_fn, routing::post};
use loadtest::version::Version::{V1, V5};
use serde_json::{Value, json};
use v1_naive::shop::{
    self,
    sales::{Sale, now_ms},
};

/// The number of processes with `text` on their command line.
fn processes(text: &str) -> usize {
    let command_line = |process: std::fs::DirEntry| std::fs::read(process.path().join("cmdline")).unwrap_or_default();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(command_line);
    processes.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn a_browser_ends_with_its_test() {
    let browser = Browser::start().await;
    let profile = browser.profile.path().display().to_string();
    assert!(processes(&profile) > 0);
    drop(browser);
    eventually("the browser is gone", async || processes(&profile) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn grey_then_open_then_bought_then_sold_out() {
    let shop = Shop::start(V1, "sqlite", 9, &[]).await;
    let browser = Browser::start().await;
    let put_up = async |sale: &Sale| sale.insert(&shop.pool).await.unwrap();
    let Sale { id, opens_at, .. } = counting_down(&browser, shop.address(), 1, put_up).await;
    browser.screenshot("page-before.png").await;

    // The button changes by itself, and not too early.
    let now = "const text = (id) => document.getElementById(id).textContent; \
               return [document.getElementById('buy').disabled, text('state'), text('left')]";
    let mut seen = Value::Null;
    eventually("the button opens", async || {
        seen = browser.script(now).await; // at once: a late answer can set the page's clock back for a moment
        seen[0] == false
    })
    .await;
    assert!(now_ms() >= opens_at);
    assert!(seen[1].as_str().unwrap().starts_with("Open for another "), "{seen}");
    assert_eq!(seen[2], "1 of 1");
    browser.screenshot("page-open.png").await;

    // The button stays grey for at least a second after the click, whatever the answer is.
    let script = "const buy = document.getElementById('buy'); if (buy.disabled) return null; \
                  window.clicked = performance.now(); buy.click(); return buy.disabled";
    let mut is_grey_at_once = Value::Null;
    eventually("it is clicked", async || {
        is_grey_at_once = browser.script(script).await;
        !is_grey_at_once.is_null()
    })
    .await;
    assert_eq!(is_grey_at_once, true);
    let outcome = browser.wait_for_text("#outcome", "Yours!").await;
    let orders = sqlx::query_as("select id, buyer_id from orders where sale_id = $1").bind(id);
    let orders: Vec<(i64, i64)> = orders.fetch_all(&shop.pool).await.unwrap();
    let buyer = browser.script("return document.getElementById('buyer').value").await;
    assert_eq!(orders.len(), 1);
    assert_eq!((outcome, buyer), (format!("Yours! Order {}.", orders[0].0), json!(orders[0].1.to_string())));
    let grey_for = "const [done] = arguments; const timer = setInterval(() => { if (!document.getElementById('buy').disabled) \
                    { clearInterval(timer); done(performance.now() - window.clicked); } }, 5)";
    let grey_for = browser.page.execute_async(grey_for, Vec::new()).await.unwrap();
    assert!(grey_for.as_f64().unwrap() >= 999.0, "{grey_for}"); // clocks are rounded

    browser.wait_for_text("#state", "Sold out.").await;
    browser.click("#buy").await;
    browser.wait_for_text("#outcome", "Sold out. You came too late.").await;
    browser.screenshot("page-sold-out.png").await;
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn it_closes_by_itself() {
    let shop = Shop::start(V1, "sqlite", 9, &[]).await;
    let browser = Browser::start().await;
    // A slow browser may show the page when the sale is over. The next sale lasts twice as long.
    let mut was_open = false;
    for id in 7..12 {
        Sale { closes_at: now_ms() + (8000 << (id - 7)), ..Sale::open(id, 1) }.insert(&shop.pool).await.unwrap();
        visit(&browser, shop.address(), &id.to_string()).await;
        let state = async || browser.text("#state").await;
        let known = async || state().await.starts_with("Open for another") || state().await == "The sale is over.";
        eventually("the sale's state", known).await;
        was_open = state().await.starts_with("Open for another");
        if was_open {
            break;
        }
    }
    assert!(was_open, "no sale is seen open");
    let now = "return [document.getElementById('state').textContent, document.getElementById('buy').disabled]";
    let mut seen = Value::Null;
    eventually("the sale is over", async || {
        seen = browser.script(now).await;
        seen[0] == "The sale is over."
    })
    .await;
    assert_eq!(seen[1], true);
}

/// The shop's clock counts. The browser's clock is an hour ahead, so by its own clock the sale would be open.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn a_wrong_clock_opens_nothing() {
    let shop = Shop::start(V1, "sqlite", 9, &[]).await;
    let browser = Browser::start().await; // may wait for other tests
    let opens_at = now_ms() + 600_000;
    Sale { opens_at, ..Sale::open(7, 1) }.insert(&shop.pool).await.unwrap();
    let ahead = "const now = Date.now; Date.now = () => now() + 3600000";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": ahead })).await;
    visit(&browser, shop.address(), "7").await;
    let state = browser.wait_for_text("#state", "Opens in ").await;
    let left = (opens_at - now_ms()) / 1000; // less than when the page showed it
    let (minutes, seconds) = state.trim_start_matches("Opens in ").split_once(':').unwrap();
    let shown = 60 * minutes.parse::<i64>().unwrap() + seconds.parse::<i64>().unwrap();
    assert!((left..=600).contains(&shown), "{state}, and {left} s are left");
    assert!(is_grey(&browser, "#buy").await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn strange_input_is_text() {
    let shop = Shop::start(V1, "sqlite", 9, &[]).await;
    let name = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>".to_owned();
    Sale { name: name.clone(), ..Sale::open(7, 1) }.insert(&shop.pool).await.unwrap();
    let browser = open(shop.address(), "7").await;
    assert_eq!(browser.wait_for_text("#name", "<script>").await, name);

    visit(&browser, shop.address(), "999").await;
    browser.wait_for_text("#state", "There is no sale 999 here.").await;
    assert!(is_grey(&browser, "#buy").await);
    visit(&browser, shop.address(), "%3Cimg%20src=x%20onerror='window.hacked=1'%3E").await;
    browser.wait_for_text("#state", "There is no sale <img src=x onerror='window.hacked=1'> here.").await;
    assert_eq!(browser.script("return window.hacked ?? null").await, Value::Null);

    visit(&browser, shop.address(), &SALE.to_string()).await;
    browser.wait_for_text("#state", "Open for").await;
    browser.script("document.getElementById('buyer').value = 'nobody'").await;
    // The page asks for the sale again meanwhile, and a wrong buyer does not hide it.
    let answers = async || browser.script("return performance.getEntriesByType('resource').length").await.as_u64();
    let before = answers().await;
    eventually("the sale is read again", async || answers().await > before).await;
    assert!(browser.text("#state").await.starts_with("Open for"));
    browser.click("#buy").await;
    browser.wait_for_text("#outcome", "The shop did not understand.").await;
    assert!(shop.ledger().await.orders.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn a_stopped_shop_is_said() {
    let shop = Shop::start(V1, "sqlite", 9, &[]).await;
    let browser = open(shop.address(), "42").await;
    browser.wait_for_text("#state", "Open for").await;
    shop.process.stop().await;
    browser.wait_for_text("#state", "The shop does not answer.").await;
    assert!(is_grey(&browser, "#buy").await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn telephone_keyboard_and_no_script() {
    let shop = Shop::start(V1, "sqlite", 9, &[]).await;
    let browser = Browser::start().await;
    browser.as_telephone().await;
    browser
        .devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] }),
        )
        .await;
    visit(&browser, shop.address(), "42").await;
    browser.wait_for_text("#state", "Open for").await;
    assert!(!browser.scrolls_sideways().await);
    assert_eq!(browser.script("return getComputedStyle(document.body).backgroundColor").await, "rgb(23, 22, 20)");

    // Without a mouse: the button is the first tab stop.
    let body = browser.page.find(fantoccini::Locator::Css("body")).await.unwrap();
    body.send_keys("\u{e004}\u{e007}").await.unwrap(); // Tab, Enter
    browser.wait_for_text("#outcome", "Yours! Order 1.").await;
    browser.screenshot("page-phone-dark.png").await;

    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    visit(&browser, shop.address(), "42").await;
    assert!(browser.page.source().await.unwrap().contains("This page needs JavaScript"));
    browser.screenshot("page-no-script.png").await;
    assert!(is_grey_in_source(&browser.page.source().await.unwrap()));
}

fn is_grey_in_source(source: &str) -> bool {
    source.contains(r#"<button id="buy" disabled"#)
}

/// Answers of later chapters, from a purchase that only this test has: a step with a question, a rate limit, the queue.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn it_follows_the_links_of_later_chapters() {
    let config: v1_naive::Config = clap::Parser::try_parse_from(["v1"]).unwrap();
    let open = shop::Shop::open(&config.shop, "/sales/{sale_id}/puzzle").await.unwrap();
    let pool = open.pool.clone();
    sqlx::query("insert into orders (sale_id, buyer_id, status) values (1, 7, 'queued')").execute(&pool).await.unwrap();
    let puzzle = async |Path(sale): Path<i64>| {
        let ask = json!([{ "name": "answer", "prompt": "What is 2 + 3?" }]);
        Json(json!({ "buy": { "method": "POST", "href": format!("/sales/{sale}/answer"), "ask": ask } }))
    };
    let answer = async |Path(sale): Path<i64>, Json(body): Json<Value>| match body["answer"].as_str() {
        Some("6") => Err(([("retry-after", "")], shop::problem(StatusCode::FORBIDDEN, "later", "<b>not you</b>"))),
        Some("5") => Ok(Json(json!({ "buy": { "method": "POST", "href": format!("/sales/{sale}/hidden") } }))),
        _ => {
            let problem = shop::problem(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "too fast");
            Err(([("retry-after", "3")], problem))
        }
    };
    let hidden = async || (StatusCode::ACCEPTED, Json(json!({ "status": "queued", "order_id": 1, "watch": "/watch" })));
    let purchase = Router::new()
        .route("/sales/{sale_id}/puzzle", post(puzzle))
        .route("/sales/{sale_id}/answer", post(answer))
        .route("/sales/{sale_id}/hidden", post(hidden));
    let app = open.router(purchase).layer(from_fn(shop::header_login));
    let address = serve(app).await;

    let browser = Browser::start().await;
    browser.page.goto(&format!("http://{address}/")).await.unwrap();
    browser.wait_for_text("#state", "Open for").await;
    browser.script("document.getElementById('buyer').value = '7'").await;
    let answer = async |text: &str| {
        eventually("the button is there again", async || !is_grey(&browser, "#buy").await).await;
        browser.click("#buy").await;
        browser.wait_for_text("#asked", "What is 2 + 3?").await;
        let field = browser.page.find(fantoccini::Locator::Css("#asked input")).await.unwrap();
        field.send_keys(text).await.unwrap();
        eventually("the button is there again", async || !is_grey(&browser, "#buy").await).await;
        browser.click("#buy").await;
    };
    // What the button said, and whether it was disabled. A browser that is asked from outside may look too late.
    let watch = "window.said = []; const buy = document.getElementById('buy'); \
                 new MutationObserver(() => said.push(buy.textContent + buy.disabled)).observe(buy, { childList: true })";
    browser.script(watch).await;
    // It counts down. A browser that draws nothing for a second leaves out a number, and gets the answer again.
    let both = "return ['Wait 3 strue', 'Wait 2 strue'].every((text) => said.includes(text))";
    let mut counts_down = false;
    for _ in 0..5 {
        browser.script("said.length = 0").await;
        answer("4").await;
        browser.wait_for_text("#outcome", "Too fast. Try again in 3 s.").await;
        eventually("the button is there again", async || !is_grey(&browser, "#buy").await).await;
        counts_down = browser.script(both).await == true;
        if counts_down {
            break;
        }
    }
    assert!(counts_down, "{}", browser.script("return said").await);

    answer("6").await;
    browser.wait_for_text("#outcome", "No: <b>not you</b>.").await; // a problem type that this page does not know

    answer("5").await;
    browser.wait_for_text("#outcome", "You are in the queue.").await;
    sqlx::query("update orders set status = 'confirmed' where id = 1").execute(&pool).await.unwrap();
    browser.wait_for_text("#outcome", "Yours! Order 1.").await;
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
}

/// Chapter 5 with the same page: it opens by itself, sells one unit, and shows a limit and how long to wait.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn chapter_5_counts_down_sells_one_and_slows_down() {
    let shop = Shop::start(V5, "sqlite", 9, &["--frequency-limit", "4", "--frequency-window", "300"]).await;
    let browser = Browser::start().await;
    let put_up = async |sale: &Sale| sale.insert(&shop.pool).await.unwrap();
    let Sale { id, opens_at, .. } = counting_down(&browser, shop.address(), 5, put_up).await;
    let buy = async || {
        // In one step: just after the opening, a late answer can set the page's clock back for a moment.
        let click =
            "const buy = document.getElementById('buy'); if (buy.disabled) return false; buy.click(); return true";
        eventually("the button is clicked", async || browser.script(click).await == true).await;
    };
    buy().await; // as soon as the button is enabled, since the sale is open too
    browser.wait_for_text("#outcome", "Yours! Order 1.").await;
    assert!(now_ms() >= opens_at);

    buy().await;
    browser.wait_for_text("#outcome", "You have your share of this sale.").await;
    buy().await;
    let outcome = browser.wait_for_text("#outcome", "Too fast. Try again in ").await;
    let wait: u32 = outcome.trim_start_matches("Too fast. Try again in ").trim_end_matches(" s.").parse().unwrap();
    assert!((1..=300).contains(&wait), "{outcome}");
    assert!(is_grey(&browser, "#buy").await);
    browser.wait_for_text("#buy", "Wait ").await;
    browser.screenshot("page-too-fast.png").await;
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
    let orders = sqlx::query_scalar("select count(*) from orders where sale_id = $1").bind(id);
    let orders: i64 = orders.fetch_one(&shop.pool).await.unwrap();
    assert_eq!(orders, 1);
}
