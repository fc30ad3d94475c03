//! Chapter 4 over HTTP: which clients pass, which have to wait, and which IP address the shop believes.

use std::{fs, io::Write, time::Duration};

use crate::support::{Shop, assert_problem, buy, eventually};
use loadtest::{
    buyer::client::{Connection, Reply},
    version::Version::V4,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, sleep},
};

const TRUST: [&str; 2] = ["--trusted-proxies", "127.0.0.1"];
/// Limits that are too wide to have an effect, where they are not under test.
const WIDE: [&str; 4] =
    ["--client-rate=1000000", "--client-burst=1000000", "--global-rate=1000000", "--global-burst=1000000"];

/// `n` buyers, one after the other, each from its own IP address.
async fn buyers(shop: &Shop, n: i64) -> Vec<u16> {
    let mut connection = shop.connect().await;
    let mut answers = Vec::new();
    for buyer in 1..=n {
        answers.push(buy(&mut connection, V4, buyer).await.status.as_u16());
    }
    answers
}

fn count(answers: &[u16], status: u16) -> usize {
    answers.iter().filter(|answer| **answer == status).count()
}

/// The requests that pass a bucket with three tokens, plus one for each second that this machine has taken.
#[track_caller]
fn assert_three(got: usize, start: Instant) {
    assert!((3..=4 + start.elapsed().as_secs() as usize).contains(&got), "{got} got through");
}

async fn from(shop: &Shop, address: &str) -> Reply {
    let mut connection = shop.connect().await;
    connection.from = Some(address.parse().unwrap());
    buy(&mut connection, V4, 7).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_its_limit_waits_and_others_do_not() {
    let args = [&TRUST[..], &["--client-rate", "1", "--client-burst", "3"]].concat();
    let shop = Shop::start(V4, "sqlite", 100, &args).await;
    let start = Instant::now();
    let mut greedy = Vec::new();
    for _ in 0..10 {
        greedy.push(from(&shop, "198.51.100.7").await);
    }
    let got = greedy.iter().filter(|reply| reply.status == 201).count();
    assert_three(got, start);
    let refused = greedy.iter().find(|reply| reply.status != 201).unwrap();
    assert_problem(refused, 429, "rate-limited");
    assert_eq!(refused.headers["retry-after"], "1");
    // Each of these shares a bucket with the greedy client once in 65,536 times.
    let others = count(&buyers(&shop, 20).await, 201);
    assert!(others >= 19, "{others} of 20");
    assert_eq!(shop.ledger().await.orders.len(), got + others);
}

/// The bucket of the whole shop. The wait is given in whole seconds and is never too short.
#[tokio::test(flavor = "multi_thread")]
async fn all_clients_together_have_a_limit() {
    let args = [&TRUST[..], &["--global-rate", "1", "--global-burst", "3"]].concat();
    let shop = Shop::start(V4, "sqlite", 100, &args).await;
    let start = Instant::now();
    let answers = buyers(&shop, 20).await;
    let got = count(&answers, 201);
    assert_three(got, start);
    assert_eq!(count(&answers, 429), 20 - got);
    assert_eq!(shop.ledger().await.orders.len(), got);
}

/// The order of the checks: a client over its own limit takes no token from the shared bucket.
#[tokio::test(flavor = "multi_thread")]
async fn a_greedy_client_leaves_the_tokens_of_all_alone() {
    let limits = ["--client-rate", "1", "--client-burst", "3", "--global-rate", "1", "--global-burst", "30"];
    let buckets = ["--client-buckets", "1000000"]; // so that hardly a buyer shares the greedy one's
    let shop = Shop::start(V4, "sqlite", 100, &[&TRUST[..], &limits, &buckets].concat()).await;
    let start = Instant::now();
    for _ in 0..50 {
        from(&shop, "198.51.100.7").await;
    }
    let taken = (3 + start.elapsed().as_secs() as i64 + 1).min(29);
    assert_eq!(buyers(&shop, 30 - taken).await, vec![201; (30 - taken) as usize]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_address_is_not_believed() {
    // No proxy is trusted, so all requests come from one client, whatever they claim.
    let shop = Shop::start(V4, "sqlite", 100, &["--client-rate", "1", "--client-burst", "3"]).await;
    let start = Instant::now();
    let answers = buyers(&shop, 50).await;
    let got = count(&answers, 201);
    assert_three(got, start);
    assert_eq!(count(&answers, 429), 50 - got);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_address_left_of_the_true_one_is_not_believed() {
    let args = [&TRUST[..], &["--client-rate", "1", "--client-burst", "3"]].concat();
    let shop = Shop::start(V4, "sqlite", 100, &args).await;
    let start = Instant::now();
    let mut answers = Vec::new();
    for n in 0..50 {
        answers.push(raw(&shop, &format!("x-forwarded-for: 10.0.0.{n}, 198.51.100.7\r\n")).await);
    }
    let got = count(&answers, 201);
    assert_three(got, start);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_address_is_the_proxys() {
    let args = [&TRUST[..], &["--client-rate", "1", "--client-burst", "3"]].concat();
    let shop = Shop::start(V4, "sqlite", 100, &args).await;
    let start = Instant::now();
    let long = "1.1.1.1,".repeat(2000);
    let mut answers = Vec::new();
    for value in ["x", "", ",,,,", "999.9.9.9", "::gggg", "\u{fc}", "10.0.0.1, unknown", "127.0.0.1,x", &long, "-"] {
        answers.push(raw(&shop, &format!("x-forwarded-for: {value}\r\n")).await);
    }
    let got = count(&answers, 201);
    assert_three(got, start);
    assert_eq!(count(&answers, 429), 10 - got);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_of_version_6_is_one_client() {
    let args = [&TRUST[..], &["--client-rate", "1", "--client-burst", "3"]].concat();
    let shop = Shop::start(V4, "sqlite", 100, &args).await;
    let start = Instant::now();
    let mut answers = Vec::new();
    for n in 0..20 {
        answers.push(raw(&shop, &format!("x-forwarded-for: 2001:db8::{n:x}\r\n")).await);
    }
    let got = count(&answers, 201);
    assert_three(got, start);
    assert_eq!(raw(&shop, "x-forwarded-for: 2001:db8:0:1::1\r\n").await, 201);
}

/// Buys with this header and returns the status.
async fn raw(shop: &Shop, header: &str) -> u16 {
    let mut stream = TcpStream::connect(shop.address()).await.unwrap();
    let head =
        "POST /sales/42/purchase HTTP/1.1\r\nhost: x\r\nx-buyer-id: 7\r\nconnection: close\r\ncontent-length: 0\r\n";
    stream.write_all(format!("{head}{header}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_request_is_served_in_time_or_refused() {
    let slow = ["--global-rate", "20", "--global-burst", "1", "--policy", "wait"];
    let args = [&TRUST[..], &slow, &["--wait-timeout", "30"]].concat();
    let shop = Shop::start(V4, "sqlite", 100, &args).await;
    let start = Instant::now();
    let together = (1..=10).map(|buyer| {
        let address = shop.address();
        tokio::spawn(async move { buy(&mut Connection::open(address).await.unwrap(), V4, buyer).await.status.as_u16() })
    });
    for answer in together.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), 201);
    }
    assert!(start.elapsed() >= Duration::from_millis(440), "ten at 20 a second take nine intervals of 50 ms");

    // Only as many requests may wait as can be served in time. Here that is one, and it has to wait too long.
    let slow = ["--global-rate", "1", "--global-burst", "1", "--policy", "wait"];
    let args = [&TRUST[..], &slow, &["--wait-timeout", "0.05"]].concat();
    let shop = Shop::start(V4, "sqlite", 100, &args).await;
    let mut answers = Vec::new();
    while answers.len() < 20 {
        answers.push(shop.buy(1 + answers.len() as i64).await);
    }
    let refused = answers.iter().find(|reply| reply.status != 201).expect("somebody waited in vain");
    assert_problem(refused, 429, "rate-limited");
    assert_eq!(refused.headers["retry-after"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_block_list_counts_as_soon_as_it_is_written() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "# nobody yet").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    // The shop never reads a file that is half written.
    let write = |text: &str| {
        fs::write(format!("{path}.new"), text).unwrap();
        fs::rename(format!("{path}.new"), &path).unwrap();
    };
    let shop = Shop::start(V4, "sqlite", 1000, &[&TRUST[..], &WIDE[..], &["--block-list", &path]].concat()).await;
    assert_eq!(from(&shop, "198.51.100.7").await.status, 201);

    write("203.0.113.1\n198.51.100.0/24 # the lot\n");
    eventually("blocked", async || from(&shop, "198.51.100.7").await.status == 403).await;
    assert_problem(&from(&shop, "198.51.100.200").await, 403, "blocked");
    assert_eq!(from(&shop, "192.0.2.1").await.status, 201);

    write("not an address\n");
    eventually("said in the log", async || shop.log().contains("block list left as it was: line 1")).await;
    assert_eq!(from(&shop, "198.51.100.7").await.status, 403);
    write("");
    eventually("let in again", async || from(&shop, "198.51.100.7").await.status == 201).await;
}

/// A client that disconnects leaves no partial state: every counted unit has an order, and the rest can still be bought.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_disconnect_leave_no_partial_state() {
    hang_up("sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn clients_that_disconnect_leave_no_partial_state_on_postgres() {
    hang_up("postgres").await;
}

async fn hang_up(database: &str) {
    let shop = Shop::start(V4, database, 100, &[&TRUST[..], &WIDE[..]].concat()).await;
    let address = shop.address();
    let hasty = (1..=300_u64).map(|buyer| {
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = "POST /sales/42/purchase HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n";
            let who = format!("x-buyer-id: {buyer}\r\nx-forwarded-for: 10.0.{}.{}\r\n\r\n", buyer / 250, buyer % 250);
            stream.write_all(format!("{head}{who}").as_bytes()).await.unwrap();
            sleep(Duration::from_millis(1 + buyer % 5)).await; // then the client disconnects
        })
    });
    for client in hasty.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    // The remaining clients buy what is left, and no more.
    let mut connection = shop.connect().await;
    let (mut bought, mut sold_out) = (0, false);
    for buyer in 1001..50_000 {
        match buy(&mut connection, V4, buyer).await.status.as_u16() {
            201 => bought += 1,
            409 => {
                sold_out = shop.ledger().await.sales[0].sold == 100;
                if sold_out {
                    break;
                }
            }
            status => panic!("{status}"),
        }
    }
    assert!(sold_out, "units that nobody can have");
    let ledger = shop.ledger().await;
    assert_eq!((ledger.orders.len(), ledger.sales[0].sold), (100, 100));
    assert!(bought <= 100 && ledger.orders.iter().filter(|order| order.buyer_id > 1000).count() == bought);
}
