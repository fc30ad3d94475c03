//! nginx in front of chapter 6, with the configuration that it is deployed with.

use std::{net::SocketAddr, time::Duration};

use crate::support::{
    assert_problem, eventually, json, lab, loadtest,
    orders::{heard, open, watch},
    production::{Production, shared},
    requests::{click, counter, log_in, order, queued, request},
    wire::exchange,
};
use hyper::{Method, StatusCode};
use loadtest::{
    buyer::{
        client::{Connection, Link, home},
        progress::Progress,
    },
    lab::{Lab, servers::nginx::Nginx},
    scenario::{Scenario, plan::Plan},
    verdict::Verdict,
    version::Version,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::spawn_blocking,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn only_answers_that_are_the_same_for_all_buyers_are_cached() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&["--trusted-proxies", "127.0.0.1"]).await;
    let nginx = sale.nginx(&[&shop]).await;
    let mut connection = Connection::open(nginx.address).await.unwrap();
    let page = connection.get("/", Some(1)).await.unwrap();
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let files: Vec<_> = text.split('"').filter(|quoted| quoted.starts_with("/static/")).collect();
    assert_eq!(files.len(), 2, "{text}");
    for buyer in 1..=300 {
        for path in ["/", files[0], files[1], "/sales/42", "/sales/42?from=elsewhere"] {
            let reply = connection.get(path, Some(buyer)).await.unwrap();
            assert_eq!(reply.status, 200, "{path}");
            assert!(!reply.headers.contains_key("set-cookie"), "{path}");
        }
    }
    let counted = async |route: &str| {
        counter(shop.address, &format!("http_requests_total{{route=\"{route}\",status=\"200\"}}")).await
    };
    assert_eq!(counted("/static/{file}").await, 2);
    for (route, asked) in [("/", 301), ("/sales/{sale_id}", 600)] {
        let reached = counted(route).await;
        assert!((1..asked / 2).contains(&reached), "{route}: {reached} of {asked}");
    }

    // The cached sale is at most a second old, so buyers can see it sell.
    let order_id = queued(&click(&mut connection, 6001).await);
    eventually("it shows one less", async || json(&connection.get("/sales/42", Some(1)).await.unwrap())["sold"] == 1)
        .await;
    // One buyer's data is never served to another.
    assert_eq!(order(&mut connection, 6001, order_id).await["order_id"], order_id);
    assert_eq!(order(&mut connection, 6002, order_id).await["type"], "unauthenticated");
    log_in(nginx.address, 6002).await;
    assert_eq!(order(&mut connection, 6002, order_id).await["type"], "not-found");
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn operators_ask_an_instance_and_buyers_cannot() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let nginx = sale.nginx(&[&shop]).await;
    for path in
        ["/metrics", "/healthz", "/readyz", "/metrics?x", "/./metrics", "//metrics", "/%6detrics", "/s/../metrics"]
    {
        assert_eq!(request(shop.address, "GET /metrics", &[], "").await.status, 200);
        assert_problem(&request(nginx.address, &format!("GET {path}"), &[], "").await, 404, "not-found");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn a_clients_own_forwarded_address_is_not_believed() {
    let sale = Production::new(shared(), 5).await;
    let narrow = ["--trusted-proxies", "127.0.0.1", "--client-rate", "1", "--client-burst", "5"];
    let args = sale.args(&narrow).into_iter().filter(|arg| !arg.starts_with("--client-") || !arg.contains('='));
    let shop = sale.instance_with(&args.collect::<Vec<_>>()).await;
    let instances = vec![shop.address];
    let nginx =
        spawn_blocking(move || Nginx::start(([127, 0, 0, 1], 0).into(), &instances, false).unwrap()).await.unwrap();
    let door: SocketAddr = nginx.url().socket_addrs(|| None).unwrap()[0];

    // Each request claims another IP address. A token is added every second, so try until one is refused.
    let mut n = 0;
    eventually("the shop counts them as one", async || {
        n += 1;
        let from = home(n).to_string();
        let headers = [("x-forwarded-for", from.as_str()), ("x-real-ip", &from), ("forwarded", &format!("for={from}"))];
        let reply = request(door, "POST /session", &headers, r#"{"name": "x"}"#).await;
        reply.status == StatusCode::TOO_MANY_REQUESTS && reply.headers.contains_key("retry-after")
    })
    .await;
    assert!(n > 5, "{n}");

    // nginx has a rate limit of its own: no person sends this many requests at once.
    let burst = "GET /sales/42 HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 10.0.0.1\r\n\r\n".repeat(2000);
    let is_refused = |text: &str| text.split_once("HTTP/1.1 429 ").is_some_and(|(_, one)| one.contains("\r\n\r\n"));
    let refused = exchange(door, burst.as_bytes(), is_refused).await;
    let (_, refused) = refused.split_once("HTTP/1.1 429 ").expect("a refusal");
    assert!(refused.contains("Retry-After: 1") && refused.contains("application/problem+json"), "{refused}");
    spawn_blocking(|| drop(nginx)).await.unwrap();

    // A client behind a trusted proxy is counted by its own address.
    let believing = sale.nginx(&[&shop]).await;
    let mut connection = Connection::open(believing.address).await.unwrap();
    for n in 6201..6250 {
        let body = Some(format!(r#"{{"name": "{n}"}}"#));
        let reply = connection.send(&Link::new(Method::POST, "/session").unwrap(), Some(n), body).await.unwrap();
        assert_eq!(reply.status, 200, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn a_websocket_goes_through_and_ends_with_its_instance() {
    let sale = Production::new(shared(), 5).await;
    let args = ["--trusted-proxies", "127.0.0.1", "--role", "api"];
    let (one, other) = (sale.instance(&args).await, sale.instance(&args).await);
    let nginx = sale.nginx(&[&one, &other]).await;
    let order_id = queued(&click(&mut Connection::open(nginx.address).await.unwrap(), 6101).await);
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(watch(&nginx, 6101, order_id).await.unwrap());
    }
    let stranger = log_in(nginx.address, 6102).await;
    assert_eq!(open(nginx.address, order_id, &stranger).await.err(), Some(404));
    let _worker = sale.instance(&["--role", "worker"]).await;
    for socket in &mut sockets {
        assert_eq!([heard(socket).await, heard(socket).await], ["queued", "confirmed"]);
    }
    one.stop().await;
    other.stop().await;
    for socket in &mut sockets {
        assert_eq!(heard(socket).await, "closed 1001");
    }
    // Without an instance, nginx answers as a shop would.
    let reply = request(nginx.address, "POST /session", &[], "").await;
    assert_problem(&reply, 503, "timed-out");
    assert_eq!(reply.headers["retry-after"], "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn nginx_goes_with_whoever_has_started_it() {
    let sale = Production::new(shared(), 1).await;
    let shop = sale.instance(&["--role", "api"]).await;
    let nginx = sale.nginx(&[&shop]).await;
    let door = nginx.address;
    assert!(TcpStream::connect(door).await.is_ok());
    drop(nginx);
    eventually("nobody listens any more", async || TcpStream::connect(door).await.is_err()).await;
}

/// As on the command line: two instances behind nginx, the audit, and how many requests nginx kept away.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn a_run_behind_nginx_is_as_promised_and_says_what_nginx_kept_away() {
    let sale = Production::new(shared(), 1).await;
    let plan = Plan {
        buyers: 1000,
        stock: 50,
        instances: 2,
        connections: 100,
        nginx: true,
        ..Plan::stampede(Version::V6, None)
    };
    let lab_of_six = Lab::on(sale.lab.loadtest.clone(), shared()).await.unwrap().in_shared_process();
    let run = loadtest::run::run(&lab_of_six, &plan, Progress::default()).await.unwrap();
    assert_eq!((&run.verdict, run.audit.orders, run.audit.oversold), (&Verdict::AsPromised, 50, 0));
    let nginx = run.nginx.unwrap();
    // Each buyer opens the page, two files and the sale. Then it asks at least for a session, a puzzle, a purchase URL and a
    // unit.
    assert!(nginx.requests >= 8 * 1000, "{nginx:?}");
    assert!((4 * 1000..nginx.requests - 3000).contains(&nginx.passed_on), "{nginx:?}");
    let wrong = Plan { nginx: true, ..Plan::new(Version::V1, None, Scenario::Stampede) };
    let refused = loadtest::run::run(&lab("sqlite").await, &wrong, Progress::default()).await.unwrap_err();
    assert_eq!(refused.to_string(), "nginx is part of chapter 6; v1-naive has none");
}

/// With and without nginx, the office counts as one client: a narrow limit per IP address refuses some buyers, and the default
/// limit does not. If each buyer had its own address, the narrow limit would be wide enough.
#[test]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
fn an_office_has_one_address_and_all_of_it_can_buy() {
    // Each run has its own runtime, because sessions belong to a runtime: otherwise the buyers would already be logged in.
    let office = |nginx, shop_args: &[&str]| {
        Runtime::new().unwrap().block_on(async {
            let lab = Lab::on(loadtest(), shared()).await.unwrap().in_shared_process();
            let shop_args = shop_args.iter().map(|&arg| arg.to_owned()).collect();
            let plan = Plan { nginx, shop_args, ..Plan::new(Version::V6, None, Scenario::Office) };
            let run = loadtest::run::run(&lab, &plan, Progress::default()).await.unwrap();
            assert_eq!(run.promised.word(), "holds", "{run:?}");
            assert!(run.audit.is_sound() && run.audit.not_conserved == 0, "{run:?}");
            // Each buyer asks at least for the page, two files and the sale.
            assert!(run.nginx.is_none_or(|edge| edge.requests >= 4 * 50), "{:?}", run.nginx);
            assert_eq!(run.told_yes(), run.audit.orders, "{run:?}");
            run
        })
    };
    for nginx in [false, true] {
        let narrow = office(nginx, &["--client-rate=1", "--client-burst=4"]);
        assert!(narrow.audit.orders < 50 && narrow.outcomes["rate-limited"] > 0, "nginx: {nginx}, {narrow:?}");
        assert_eq!(narrow.verdict, Verdict::NotAsPromised);
        // With the default limit, every buyer gets a unit. How soon depends on the machine's load.
        let usual = office(nginx, &[]);
        assert_eq!((usual.audit.orders, usual.outcomes.get("rate-limited")), (50, None), "nginx: {nginx}, {usual:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx: make test"]
async fn an_address_that_is_taken_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = taken.local_addr().unwrap();
    let start = spawn_blocking(move || Nginx::start(at, &[([127, 0, 0, 1], 1).into()], false).err());
    let why = tokio::time::timeout(Duration::from_secs(30), start).await.unwrap().unwrap().unwrap();
    assert!(why.to_string().contains("nginx does not start") && why.to_string().contains("bind()"), "{why}");
}
