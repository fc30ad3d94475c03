//! Malformed and hostile requests, to nginx and to an instance: refused without a 5xx, and nothing changes.

use std::net::SocketAddr;

use crate::support::{
    SALE,
    production::{Production, shared},
    requests::{address, click, log_in, queued, request},
    wire::{exchange, raw},
};
use loadtest::{
    buyer::client::Connection,
    lab::{open_files, shop_process::ShopProcess},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Idle sockets; fewer if the limit of open files is lower.
const IDLE: [usize; 3] = [10_000, 4_000, 1_000];
/// Files that parallel tests open in the same process, most of them WebSockets.
const NEIGHBOURS: usize = 2_000;

struct Doors {
    sale: Production,
    shop: ShopProcess,
    nginx: ShopProcess,
}

impl Doors {
    async fn open() -> Doors {
        let sale = Production::new(shared(), 5).await;
        let shop = sale.instance(&["--trusted-proxies", "127.0.0.1"]).await;
        let nginx = sale.nginx(&[&shop]).await;
        Doors { sale, shop, nginx }
    }

    fn all(&self) -> [SocketAddr; 2] {
        [self.nginx.address, self.shop.address]
    }
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn tricks_with_paths_lead_nowhere() {
    let doors = Doors::open().await;
    let before = doors.sale.everything().await;
    let tricks = [
        "/../../etc/passwd",
        "/static/../../etc/passwd",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2fetc%2fpasswd",
        "/static/page.0000000000000000.js/../../openapi.json%00.js",
        "//evil.example/",
        "/%5c%5cevil.example",
        "/sales/42%2fpath",
        "/sales/42;x=1",
        "/sales/042",
        "/sales/+42",
        "/sales/42%20",
        "/sales/42%0d%0aset-cookie:%20session=1",
        "/sales/%00",
        "/s/%0d%0aLocation:%20x",
        "/s/..",
        "/s//evil.example",
        "/orders/../sales/42/purchase",
        "/orders/1%2fwatch",
        "/?sale=%0d%0ax:%20y",
        "/SALES/42",
        "/sales/42/",
        "/sales/42/purchase/%2e%2e",
        "/sales/42/path/../purchase/0",
        "*",
        "http://evil.example/sales/42",
        "/nginx.conf",
        "/site.conf",
        "/.git/config",
    ];
    for door in doors.all() {
        for method in ["GET", "POST", "HEAD"] {
            for path in tricks {
                let line =
                    format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let answer = exchange(door, line.as_bytes(), |_| false).await;
                let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
                let status = status(head);
                assert!((200..500).contains(&status), "{method} {path}: {answer}");
                assert!(!body.contains("root:") && !body.contains("worker_processes"), "{method} {path}: {answer}");
                assert!(!head.to_lowercase().contains("evil.example"), "{method} {path}: {head}");
                assert!(!head.to_lowercase().contains("set-cookie"), "{method} {path}: {head}");
            }
        }
    }
    assert_eq!(doors.sale.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn headers_cannot_be_injected_and_requests_not_smuggled() {
    let doors = Doors::open().await;
    let cookie = log_in(doors.shop.address, 7001).await;
    let before = doors.sale.everything().await;
    let buy = address(doors.shop.address, SALE, &cookie).await.unwrap();
    let smuggled = format!("POST {buy} HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\ncontent-length: 0\r\n\r\n");
    let long = "a".repeat(100_000);
    let wrong = [
        // Two lengths, or a length and chunks: if two servers disagree, the rest would be a request of its own (request
        // smuggling).
        format!(
            "POST /session HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-length: {}\r\n\r\n{smuggled}",
            smuggled.len()
        ),
        format!(
            "POST /session HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\ntransfer-encoding: xchunked\r\n\r\n{smuggled}",
            smuggled.len()
        ),
        format!("POST /session HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n{smuggled}"),
        format!(
            "POST /session HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\n{smuggled}"
        ),
        format!("POST /session HTTP/1.1\r\nhost : x\r\n\r\n{smuggled}"),
        format!("POST /session HTTP/1.1\r\n host: x\r\n\r\n{smuggled}"),
        "GET /sales/42 HTTP/1.1\r\nhost: x\r\nx-a: b\u{0}c\r\n\r\n".into(),
        format!("GET /sales/42 HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("GET /sales/42 HTTP/1.1\r\nhost: x\r\ncookie: session={long}\r\n\r\n"),
        "GET /sales/42 HTTP/1.1\r\n\r\n".into(), // no Host header
        "GET /sales/42 HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n".into(),
    ];
    for door in doors.all() {
        for request in &wrong {
            let (head, _) = raw(door, request.as_bytes()).await;
            let shown: String = request.chars().take(90).collect();
            assert!(head.is_empty() || (200..500).contains(&status(&head)), "{shown:?}: {head}");
        }
        // Input of a buyer never appears in a header.
        for evil in ["x%0d%0aset-cookie: a=b", "x\u{85}y", "\u{fc}"] {
            let headers =
                [("cookie", cookie.as_str()), ("idempotency-key", evil), ("x-request-id", evil), ("origin", evil)];
            let reply = request(door, "POST /session", &headers, r#"{"name": "a\r\nset-cookie: b=c"}"#).await;
            assert!(reply.status.is_client_error() && reply.headers.get("set-cookie").is_none(), "{evil}: {reply:?}");
        }
        let login = request(door, "POST /session", &[], "{\"name\": \"a\\r\\nset-cookie: b=c\"}").await;
        let cookies: Vec<_> = login.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies.len(), 1, "{cookies:?}");
    }
    assert_eq!(doors.sale.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn a_body_of_a_megabyte_is_refused_everywhere() {
    let doors = Doors::open().await;
    let cookie = log_in(doors.shop.address, 7101).await;
    let before = doors.sale.everything().await;
    for door in doors.all() {
        for path in
            ["/session", "/sales/42/path", "/sales/42/purchase/0", "/orders/1/payment", "/no/such/path", "/sales/42"]
        {
            let body = "x".repeat(1 << 20);
            let known = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let head =
                format!("POST {path} HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\ntransfer-encoding: chunked\r\n\r\n");
            let chunked = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
            for request in [known, chunked] {
                let (head, body) = raw(door, request.as_bytes()).await;
                assert_eq!(status(&head), 413, "{path}: {head}");
                assert!(body.contains(r#""type":"invalid-request""#), "{path}: {body}");
            }
        }
    }
    assert_eq!(doors.sale.everything().await, before);
}

/// Ten clients who never finish their request, to nginx and to an instance. No other client waits for them, and their connections
/// are closed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn slow_requests_are_disconnected_and_do_not_delay_others() {
    let doors = Doors::open().await;
    let begun = [
        "G",
        "GET /sales/42 HTTP/1.1\r\nhost: x\r\nx-slow: ",
        "POST /session HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"name\"",
        "POST /session HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"na",
        "GET /orders/1/watch HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n",
    ];
    let mut slow = JoinSet::new();
    for door in doors.all() {
        for begun in begun {
            slow.spawn(async move {
                let mut stream = TcpStream::connect(door).await.unwrap();
                stream.write_all(begun.as_bytes()).await.unwrap();
                let mut answer = String::new();
                let _ = stream.read_to_string(&mut answer).await; // until the server closes it
                (begun, answer)
            });
        }
    }
    let mut buyer = 7200..;
    for door in doors.all() {
        let mut connection = Connection::open(door).await.unwrap();
        queued(&click(&mut connection, buyer.next().unwrap()).await);
    }
    for (begun, answer) in slow.join_all().await {
        assert!(answer.is_empty() || [400, 408].contains(&status(&answer)), "{begun:?}: {answer}");
    }
    doors.sale.settles_at(2).await;
}

/// Sockets that were opened and never send anything.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn ten_thousand_idle_sockets_keep_nobody_from_buying() {
    let is_allowed = |many: &usize| open_files::allow(many + NEIGHBOURS).is_ok();
    let many = IDLE.into_iter().find(is_allowed).expect("a thousand open files");
    let doors = Doors::open().await; // after raising the limit, which they inherit
    for (door, buyer) in doors.all().into_iter().zip(7300..) {
        let mut idle = Vec::with_capacity(many);
        for _ in 0..many {
            idle.push(TcpStream::connect(door).await.unwrap());
        }
        queued(&click(&mut Connection::open(door).await.unwrap(), buyer).await);
        let mut open = 0;
        for socket in &idle {
            open += usize::from(
                socket.try_read(&mut [0; 1]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
            );
        }
        eprintln!("{door}: {open} of {many} are still open");
        assert!(open > 0, "no socket was idle while the buyer bought");
    }
    doors.sale.settles_at(2).await;
}
