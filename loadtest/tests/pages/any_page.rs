//! Chapter 6's page for all visitors: a phone, a keyboard, strange input and links, and its HTTP headers.

use crate::support::{
    assert_problem,
    browser::Browser,
    buying::{buy_as, dark, errors, fill, is_grey, open, press, visit},
    eventually,
    orders::GOOD,
    production::{Production, shared},
    requests::request,
    serve,
};
use axum::{Json, Router, extract::Query, http::StatusCode, response::IntoResponse, routing};
use fantoccini::Locator;
use serde_json::{Value, json};
use v1_naive::shop::{
    self,
    sales::{Sale, now_ms},
};

/// Records in the page when its form is submitted, before the page itself hears of it: a busy machine would see it too late.
const NOTE_SUBMITS: &str = "window.submits = []; \
    document.getElementById('form').addEventListener('submit', () => submits.push(performance.now()), { capture: true });";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn a_telephone_in_the_dark_and_a_keyboard_alone() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let browser = Browser::start().await;
    browser.as_telephone().await;
    dark(&browser).await;
    visit(&browser, shop.address, "42").await;
    browser.wait_for_text("#state", "Open for").await;
    assert_eq!(browser.script("return getComputedStyle(document.body).backgroundColor").await, "rgb(23, 22, 20)");
    browser.screenshot("v6-11-phone-dark.png").await;

    browser.script(NOTE_SUBMITS).await;
    let body = browser.page.find(Locator::Css("body")).await.unwrap();
    body.send_keys("\u{e004}\u{e007}").await.unwrap(); // Tab, Enter
    browser.wait_for_text("#asked", "Your name").await;
    let focused = || browser.page.active_element();
    focused().await.unwrap().send_keys("ada\u{e007}").await.unwrap();
    browser.wait_for_text("#outcome", "It is yours.").await;
    // Enter is pressed while the button is grey. It counts when the grey second is over.
    let grey_for = browser.script("return submits.length === 2 && submits[1] - submits[0]").await;
    assert!(grey_for.as_f64().is_some_and(|ms| ms >= 999.0), "{grey_for}"); // clocks are rounded
    browser.screenshot("v6-12-phone-dark-pay.png").await;
    eventually("Enter counts again", async || !is_grey(&browser, "#pay").await).await;
    focused().await.unwrap().send_keys(&format!("{GOOD}\u{e007}")).await.unwrap();
    browser.wait_for_text("#outcome", "Paid. Thank you!").await;
    assert!(!browser.scrolls_sideways().await);
    assert_eq!(errors(&browser).await, [""; 0]);

    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    visit(&browser, shop.address, "42").await;
    let source = browser.page.source().await.unwrap();
    assert!(source.contains("This page needs JavaScript") && source.contains(r#"<button id="buy" disabled"#));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn strange_input_is_text_and_a_stopped_shop_is_said() {
    let sale = Production::new(shared(), 5).await;
    let name = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>".to_owned();
    let strange = Sale { name: name.clone(), ..Sale::open(7, 5) };
    sale.put_up(&[strange]).await;
    let shop = sale.instance(&[]).await;
    let browser = Browser::start().await;
    visit(&browser, shop.address, "7").await;
    assert_eq!(browser.wait_for_text("#name", "<script>").await, name);
    for (sale, shown) in
        [("999", "999"), ("%3Cimg%20src=x%20onerror='window.hacked=1'%3E", "<img src=x"), ("..%2F1", "../1")]
    {
        visit(&browser, shop.address, sale).await;
        browser.wait_for_text("#state", &format!("There is no sale {shown}")).await;
        assert!(is_grey(&browser, "#buy").await);
    }

    visit(&browser, shop.address, "42").await;
    buy_as(&browser, &"é".repeat(51)).await;
    browser.wait_for_text("#outcome", "The shop did not take that: a name has 1 to 100 bytes.").await;
    fill(&browser, "#asked input", "<b onclick=alert(1)>ada</b>").await;
    press(&browser, "#buy").await;
    browser.wait_for_text("#outcome", "It is yours.").await;

    // The browser's storage may contain anything.
    for (kept, says) in
        [("{", "You have your unit of this sale:"), (r#"{"order_id":"../1"}"#, "is not known to the shop")]
    {
        let keep = format!("localStorage.setItem('order of sale 42', '{kept}'); sessionStorage.clear()");
        browser.script(&keep).await;
        browser.page.refresh().await.unwrap();
        if kept == "{" {
            press(&browser, "#buy").await;
        }
        browser.wait_for_text("#outcome", says).await;
    }
    assert_eq!(browser.script("return window.hacked ?? null").await, Value::Null);
    assert_eq!(errors(&browser).await, [""; 0]);

    shop.stop().await;
    browser.wait_for_text("#state", "The shop does not answer.").await;
    assert!(is_grey(&browser, "#buy").await);
    browser.screenshot("v6-13-stopped.png").await;
}

/// This test's own shop: it has a puzzle as an extra step, which the page does not know, and its own clock.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn it_follows_links_whatever_they_ask() {
    let show = async || {
        let now = now_ms();
        Json(json!({
            "id": 1, "name": "Lamp", "price_cents": 1250, "stock": 9, "sold": 2, "opens_at": now - 60_000,
            "closes_at": now + 60_000, "server_time": now, "buy": { "method": "POST", "href": "/sales/1/path" },
        }))
    };
    let puzzle = async |Query(query): Query<Value>, body: Option<Json<Value>>| {
        let answer = body.as_ref().and_then(|body| body["answer"].as_str());
        let buy = |buy: Value| Json(json!({ "buy": buy })).into_response();
        match (query["puzzle"].as_str(), answer) {
            (None, _) => buy(json!({
                "method": "POST", "href": "/sales/1/path?puzzle=x",
                "ask": [{ "name": "answer", "prompt": "What is 17 + 25?" }],
                "why": "Spreads the crowd over some seconds. It is no security: a program solves it, too.",
            })),
            (Some(_), Some("42")) => buy(json!({ "method": "POST", "href": "/sales/1/purchase/x" })),
            (Some(_), Some("43")) => {
                let problem = shop::problem(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "too fast");
                ([("retry-after", "8")], problem).into_response()
            }
            (Some(_), Some("44")) => shop::problem(StatusCode::IM_A_TEAPOT, "never-heard-of", "<b>not you</b>"),
            _ => shop::problem(StatusCode::FORBIDDEN, "wrong-answer", "that is not it"),
        }
    };
    let bought = async || (StatusCode::CREATED, Json(json!({ "order_id": 1, "status": "confirmed" })));
    let app = Router::new()
        .merge(v6_production::page_routes())
        .route("/sales/1", routing::get(show))
        .route("/sales/1/path", routing::post(puzzle))
        .route("/sales/1/purchase/x", routing::post(bought));
    let address = serve(app).await;
    let browser = Browser::start().await;
    browser.page.goto(&format!("http://{address}/")).await.unwrap();
    press(&browser, "#buy").await;
    browser.wait_for_text("#asked", "What is 17 + 25?").await;
    assert_eq!(browser.text("#buy").await, "Go on");
    assert!(browser.text("#asked small").await.starts_with("Spreads the crowd over some seconds."));
    browser.screenshot("v6-14-puzzle.png").await;
    let answer = async |text: &str| {
        fill(&browser, "#asked input", text).await;
        press(&browser, "#buy").await;
    };
    answer("41").await;
    browser.wait_for_text("#outcome", "That was not the answer. Here is another question.").await;
    answer("43").await;
    browser.wait_for_text("#outcome", "Too fast. Try again in 8 s.").await;
    browser.wait_for_text("#buy", "Wait ").await;
    for (text, says) in [("44", "No: <b>not you</b>."), ("42", "Yours! Order 1.")] {
        press(&browser, "#buy").await;
        browser.wait_for_text("#asked", "What is 17 + 25?").await;
        answer(text).await;
        browser.wait_for_text("#outcome", says).await;
    }

    // A better answer corrects the clock; a cached one does not set it back. In this order the best answer is not older than a minute.
    let fresh = "const before = shopTime(); hear(before + 700); return shopTime() - before";
    assert!((700.0..1200.0).contains(&browser.script(fresh).await.as_f64().unwrap()));
    let stale = "const before = shopTime(); hear(before - 900); return shopTime() - before";
    assert!((0.0..500.0).contains(&browser.script(stale).await.as_f64().unwrap()));
    assert_eq!(errors(&browser).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn answers_have_cache_and_security_headers() {
    let sale = Production::new(shared(), 5).await;
    let args = ["--mode", "production", "--session-secret", "a secret of this test's own and long enough"];
    let [shop, tls_only] = [sale.instance(&[]).await, sale.instance(&args).await];
    let get = async |path: &str| request(shop.address, &format!("GET {path}"), &[], "").await;

    let page = get("/").await;
    let source = String::from_utf8(page.body.to_vec()).unwrap();
    let file = |ending: &str| {
        let names = source.split('"').filter(|name| name.starts_with("/static/page.") && name.ends_with(ending));
        names.map(str::to_owned).next().expect("a file's name")
    };
    let files = [(file(".css"), "text/css; charset=utf-8"), (file(".js"), "text/javascript; charset=utf-8")];
    for (name, content_type) in &files {
        let reply = get(name).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.headers["content-type"], &reply.headers["cache-control"]),
            (200, &content_type.parse().unwrap(), &"public, max-age=31536000, immutable".parse().unwrap())
        );
    }
    let unknown = get("/static/page.0123456789abcdef.js").await;
    assert_problem(&unknown, 404, "not-found");

    // Until SQL has been read once, the shop does not know that there is no such sale.
    eventually("SQL was read", async || get("/sales/43").await.status != 503).await;

    let cached = "public, max-age=0, s-maxage=1";
    let answers = [
        (get("/").await, 200, cached),
        (get("/sales/42").await, 200, cached),
        (get("/sales/43").await, 404, "no-store"),
        (get("/orders/1").await, 401, "no-store"),
        (get("/healthz").await, 200, "no-store"),
        (get("/nothing").await, 404, "no-store"),
        (unknown, 404, "no-store"),
        (request(shop.address, "DELETE /", &[], "").await, 405, "no-store"),
        (request(shop.address, "POST /sales/42/path", &[], "").await, 401, "no-store"),
        (request(shop.address, "POST /session", &[("origin", "http://evil.example")], "").await, 403, "no-store"),
    ];
    for (reply, status, caches) in &answers {
        let header = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!((reply.status.as_u16(), header("cache-control")), (*status, *caches));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert!(header("content-security-policy").starts_with("default-src 'none'; "));
        assert_eq!(reply.headers.get_all("content-security-policy").iter().count(), 1);
        assert!(!reply.headers.contains_key("strict-transport-security"), "a browser does not forget it");
    }
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("; script-src 'self';"));
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert_eq!(page.headers["cross-origin-opener-policy"], "same-origin");
    assert!(page.headers["permissions-policy"].to_str().unwrap().contains("camera=()"));
    assert!(answers[1].0.headers["content-security-policy"].to_str().unwrap().ends_with("; sandbox"));
    let over_tls = request(tls_only.address, "GET /nothing", &[], "").await;
    assert!(over_tls.headers["strict-transport-security"].to_str().unwrap().starts_with("max-age=63072000"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and chromium-driver: make test"]
async fn a_short_link_leads_to_its_sale() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let browser = open(shop.address, "42").await;
    let link = browser.wait_for_text("#link", "/s/").await;
    assert_eq!(link, format!("{}/s/YMC6", shop.address));
    for code in ["YMC6", "ymc6"] {
        let reply = request(shop.address, &format!("GET /s/{code}"), &[], "").await;
        assert_eq!((reply.status.as_u16(), reply.headers["location"].as_bytes()), (302, &b"/?sale=42"[..]));
    }
    // A sale that does not exist, an invalid id, and an invalid code.
    for code in ["KRVR", "0000", "YMC", "YMC66", "YMCU", "%F0%9F%9B%92", "..%2F..", "%00%00%00%00"] {
        let reply = request(shop.address, &format!("GET /s/{code}"), &[], "").await;
        assert_problem(&reply, 404, "not-found");
    }
    browser.page.goto(&format!("http://{}/s/ymc6", shop.address)).await.unwrap();
    browser.wait_for_text("#state", "Open for").await;
    assert!(browser.page.current_url().await.unwrap().as_str().ends_with("/?sale=42"));
}
