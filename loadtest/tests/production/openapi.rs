//! Chapter 6's OpenAPI document against the shop: every answer is documented, and every documented path exists.

use crate::support::{
    SALE, json as body_of,
    openapi::Document,
    orders::{DECLINED, GOOD, card, confirmed},
    production::{Production, shared},
    requests::{log_in, request},
};
use loadtest::{
    buyer::client::{Reply, home},
    lab::shop_process::ShopProcess,
};
use serde_json::{Value, json};

const OPERATORS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Sends a request, and asserts that the document has its answer.
async fn ask(document: &Document, shop: &ShopProcess, line: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let reply = request(shop.address, line, headers, body).await;
    assert_eq!(document.allows(line, &reply), Ok(()));
    reply
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn all_the_way_the_answers_are_as_the_document_says() {
    let sale = Production::new(shared(), 5).await;
    let args: Vec<_> = sale.args(&[]).into_iter().filter(|arg| arg != "--puzzle=off").collect();
    let shop = sale.instance_with(&args).await;
    let document = Document::of(shop.address).await;
    let ask = async |line: &str, headers: &[(&str, &str)], body: &str| ask(&document, &shop, line, headers, body).await;

    for line in
        ["GET /", "GET /openapi.json", "GET /healthz", "GET /readyz", "GET /metrics", "GET /sales/42", "GET /sales/43"]
    {
        ask(line, &[], "").await;
    }
    assert_eq!(body_of(&ask("POST /session?sale=42", &[], "").await)["buy"]["ask"][0]["name"], "name");
    let login = ask("POST /session?sale=42", &[], r#"{"name": "5001"}"#).await;
    let cookie = login.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let mine = [("cookie", cookie.as_str())];
    ask("POST /session", &mine, "").await;
    let step = body_of(&ask("POST /sales/42/path", &mine, "").await);
    let prompt = step["buy"]["ask"][0]["prompt"].as_str().unwrap();
    let sum: i64 = prompt.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<i64>().ok()).sum();
    let answer = json!({ "answer": sum.to_string() }).to_string();
    let puzzle = format!("POST {}", step["buy"]["href"].as_str().unwrap());
    let given = body_of(&ask(&puzzle, &mine, &answer).await);
    let wrong = body_of(&ask("POST /sales/42/path", &mine, "").await);
    let wrong = format!("POST {}", wrong["buy"]["href"].as_str().unwrap());
    assert_eq!(ask(&wrong, &mine, r#"{"answer": "0"}"#).await.status, 403);
    let buy = format!("POST {}", given["buy"]["href"].as_str().unwrap());
    assert_eq!(ask(&buy, &[], "").await.status, 401);
    let queued = ask(&buy, &mine, "").await;
    assert_eq!(queued.status, 202);
    assert_eq!(ask(&buy, &mine, "").await.status, 404); // used
    let order = body_of(&queued)["order_id"].as_i64().unwrap();
    sale.settles_at(1).await;
    let seen = body_of(&ask(&format!("GET /orders/{order}"), &mine, "").await);
    assert_eq!(seen["status"], "confirmed");

    let pay = format!("POST /orders/{order}/payment");
    let keyed = |key: &'static str| [mine[0], ("idempotency-key", key)];
    assert_eq!(ask(&pay, &mine, &card(GOOD)).await.status, 400);
    assert_eq!(ask(&pay, &keyed("a"), &card(DECLINED)).await.status, 402);
    assert_eq!(ask(&pay, &keyed("a"), &card(GOOD)).await.status, 422);
    assert_eq!(ask(&pay, &keyed("b"), &card(GOOD)).await.status, 200);
    assert_eq!(ask(&pay, &keyed("c"), &card(GOOD)).await.status, 409);
    ask(&format!("GET /orders/{order}"), &mine, "").await;
    assert_eq!(ask(&format!("POST /orders/{order}/cancel"), &mine, "").await.status, 409);
    ask("GET /orders/1", &mine, "").await;
    ask("POST /session", &[("origin", "http://evil.example")], "").await;
    sqlx::query("update orders set status = 'expired'").execute(&sale.pool).await.unwrap();
    assert_eq!(ask(&pay, &keyed("d"), &card(GOOD)).await.status, 410);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn what_the_document_lists_is_there_and_takes_no_other_method() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let document = Document::of(shop.address).await;
    for schema in document.0["components"]["schemas"].as_object().unwrap().values() {
        let refused = document.check(schema, &json!("no object"));
        assert!(refused.unwrap_err().contains("no object"), "{schema}");
    }
    assert!(document.operations().len() >= 12);
    for (path, method) in document.operations() {
        let address = path
            .replace("{sale_id}", "42")
            .replace("{order_id}", "7")
            .replace("{code}", "0000")
            .replace("{reference}", "7");
        let address = address.replace("{path}", &"0".repeat(48)).replace("{file}", "page.0000000000000000.css");
        let line = format!("{} {address}", method.to_uppercase());
        ask(&document, &shop, &line, &[], "").await;
        if !OPERATORS.contains(&path) {
            let metrics = request(shop.address, "GET /metrics", &[], "").await;
            let counted = format!("http_requests_total{{route=\"{path}\"");
            assert!(String::from_utf8_lossy(&metrics.body).contains(&counted), "{path} is none of the shop's routes");
        }
        for other in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            if document.0["paths"][path].get(other.to_lowercase()).is_none() {
                let reply = ask(&document, &shop, &format!("{other} {address}"), &[], "").await;
                assert_eq!(reply.status, 405, "{other} {path}");
            }
        }
    }
}

/// A value for a parameter: a valid one, or anything.
fn value(random: &mut fastrand::Rng, schema: &Value, order: i64) -> String {
    let junk = [
        "",
        "0",
        "-1",
        "7.5",
        "1e9",
        "x",
        "é",
        "%",
        "..",
        "../..",
        "\u{0}",
        "' or 1=1 --",
        "<script>",
        "null",
        "\u{202e}",
        " 42",
        "42 ",
    ];
    match random.u8(..10) {
        0..4 if schema["type"] == "integer" => [SALE, 43, order, 1, i64::MAX][random.usize(..5)].to_string(),
        0..4 if schema["pattern"].as_str().is_some_and(|pattern| pattern.contains("48")) => {
            (0..48).map(|_| char::from(b"0123456789abcdef"[random.usize(..16)])).collect()
        }
        0..4 => (0..random.usize(1..12)).map(|_| random.alphanumeric()).collect(),
        4 => "9".repeat(random.usize(1..60)),
        5 => (0..random.usize(1..30)).map(|_| random.char(..)).collect(),
        _ => junk[random.usize(..junk.len())].to_owned(),
    }
}

fn body(random: &mut fastrand::Rng) -> String {
    let number = random.i64(..).to_string();
    let good = [
        json!({ "name": format!("fuzz{}", random.u8(..)) }).to_string(),
        json!({ "answer": number }).to_string(),
        card(GOOD),
    ];
    match random.u8(..8) {
        0..3 => good[random.usize(..3)].clone(),
        3 => String::new(),
        4 => json!({ "name": random.i64(..), "answer": [], "card": {} }).to_string(),
        5 => "[".repeat(random.usize(..300)),
        6 => (0..random.usize(..100)).map(|_| random.char(..)).collect(),
        _ => good[random.usize(..3)].split_at(5).0.to_owned(),
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Valid and invalid requests, generated from the document, to the shop and through nginx.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn a_thousand_random_requests_change_nothing_and_are_answered_as_the_document_says() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&["--trusted-proxies", "127.0.0.1"]).await;
    let nginx = sale.nginx(&[&shop]).await;
    let document = Document::of(shop.address).await;
    let order = confirmed(&shop, 5101).await; // another buyer's order
    let cookie = log_in(shop.address, 5102).await;
    sale.settles_at(1).await;
    let before = sale.everything().await;

    let mut random = fastrand::Rng::with_seed(7);
    let operations = document.operations();
    let (mut wrong, mut statuses) = (Vec::new(), std::collections::BTreeMap::new());
    for n in 0..2000 {
        let (door, behind_nginx) = if n % 2 == 0 { (&shop, false) } else { (&nginx, true) };
        let (path, method) = operations[random.usize(..operations.len())];
        if behind_nginx && OPERATORS.contains(&path) {
            continue;
        }
        let operation = &document.0["paths"][path][method];
        let (mut address, mut headers) = (path.to_owned(), vec![("x-forwarded-for".to_owned(), home(n).to_string())]);
        let mut query = Vec::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = document.follow(parameter);
            let (name, value) = (parameter["name"].as_str().unwrap(), value(&mut random, &parameter["schema"], order));
            match parameter["in"].as_str().unwrap() {
                "path" => address = address.replace(&format!("{{{name}}}"), &encoded(&value)),
                "query" if random.bool() => query.push(format!("{name}={}", encoded(&value))),
                "header" if random.bool() => headers.push((name.to_lowercase(), encoded(&value))),
                _ => {}
            }
        }
        if !query.is_empty() {
            address += &format!("?{}", query.join("&"));
        }
        match random.u8(..4) {
            0 => {}
            1 => headers
                .push(("cookie".into(), format!("session={}", encoded(&value(&mut random, &Value::Null, order))))),
            _ => headers.push(("cookie".into(), cookie.clone())),
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let method = if random.u8(..20) == 0 { "PUT".into() } else { method.to_uppercase() };
        let (line, body) = (format!("{method} {address}"), body(&mut random));
        let reply = request(door.address, &line, &headers, &body).await;
        *statuses.entry(reply.status.as_u16()).or_insert(0) += 1;
        // For nginx, an empty path segment or dots make another path. It refuses a zero byte with any method.
        let same = !behind_nginx
            || !(address.contains("//") || address.contains("..") || address.ends_with('/') || address.contains("%00"));
        if reply.status.is_server_error() {
            wrong.push(format!("{line}: {}", reply.status));
        } else if let Err(why) = document.allows(&line, &reply)
            && same
        {
            wrong.push(why);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    eprintln!("{statuses:?}");
    assert!([200, 400, 401, 404, 405].iter().all(|status| statuses.contains_key(status)), "{statuses:?}");
    sale.settles_at(1).await;
    assert_eq!(sale.everything().await, before);
}
