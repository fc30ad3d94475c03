//! Is the load generator fast enough? Compares it with `wrk` in turns, against a handler that does nothing.
//!
//! ```text
//! cargo bench -p loadtest --bench generator -- --json FILE     # needs wrk (Debian's package of that name)
//! ```

mod json;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
};

use anyhow::Context;
use axum::{
    Json, Router,
    routing::{get, post},
};
use loadtest::{
    bench::wrk::wrk,
    buyer::crowd::{self, Crowd},
    record::benches::{Generator, Rates},
};
use serde_json::json;
use v1_naive::shop::{self, Placed};

/// The same as in the load test.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: u64 = 5;
const CONNECTIONS: usize = 1000;
const BUYERS: usize = 300_000;
/// The same request that our buyers send.
const SCRIPT: &str = "wrk.method = 'POST'\nwrk.headers['x-buyer-id'] = '7'\n";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if std::env::args().any(|arg| arg == "serve") {
        return no_op_shop().await;
    }
    // In its own process, like the shop under test.
    let mut server = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().context("no output")?).read_line(&mut line)?;
    let result = compare(line.trim().parse()?).await;
    server.kill()?;
    result
}

async fn no_op_shop() -> anyhow::Result<()> {
    let sale = || async { Json(json!({ "buy": { "method": "POST", "href": "/sales/1/purchase" } })) };
    let app = Router::new().route("/sales/1", get(sale)).route("/sales/1/purchase", post(async || Placed(1)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    shop::serve(listener, app, std::future::pending()).await;
    Ok(())
}

async fn compare(server: SocketAddr) -> anyhow::Result<()> {
    println!("{CONNECTIONS} connections; wrk for 3 s, then {BUYERS} buyers, by turns");
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        let by_wrk = wrk(2, CONNECTIONS, 3, SCRIPT, &format!("http://{server}/sales/1/purchase")).await?;
        let (buyers, connections) = (BUYERS, CONNECTIONS);
        let crowd = Crowd { shops: vec![server], sales: vec![1], buyers, connections, seed: round, ..Crowd::default() };
        let ours = crowd::run(&crowd, Default::default(), async || {}).await?;
        let ours = ours.requests as f64 / ours.elapsed.as_secs_f64();
        println!("round {round}: wrk {by_wrk:>7.0} requests/s, stampede {ours:>7.0}, ratio {:.2}", ours / by_wrk);
        rounds.push(Rates { wrk: by_wrk, ours });
    }
    let mut ratios: Vec<f64> = rounds.iter().map(|round| round.ours / round.wrk).collect();
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2} ({:.2} to {:.2})", ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1]);
    json::write("generator", Generator { seed: 1, connections: CONNECTIONS, buyers: BUYERS, generator: rounds })
}
