//! How many requests per second each layer of chapter 6 answers: nginx from its cache, an instance that shows a sale, an instance
//! that refuses because the sale is sold out, and Redis. The layers are measured in turns; only their ratios on one machine
//! matter.
//!
//! ```text
//! cargo bench -p loadtest --bench edge     # needs wrk (Debian's package of that name)
//! ```

mod wrk;

use std::{net::SocketAddr, path::Path, time::Instant};

use anyhow::{Context, ensure};
use loadtest::{
    buyer::{
        click::{buy, click, open_sale},
        client::Connection,
        sessions,
    },
    lab::{
        Backend, Lab,
        machine::{Machine, commit},
        servers::nginx,
        shop_process::ShopProcess,
        stores::Stores,
    },
    verdict::history::Answer,
    version::Version::V6,
};
use v1_naive::shop::sales::{Sale, now_ms};

const ROUNDS: usize = 5;
const CONNECTIONS: usize = 256;
/// The ids of a sale with units, and of one that is sold out.
const SALES: [i64; 2] = [1001, 1002];
/// Purchases that Redis decides, each of another buyer.
const ATTEMPTS: i64 = 100_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let program = Path::new(env!("CARGO_BIN_EXE_loadtest"));
    let lab = Lab::open(program.into(), &Backend::Postgres).await?;
    let database = lab.fresh_database().await?;
    let stores = lab.fresh_stores(&database).await?;
    stores.put_up(&database.url, &[Sale::open(SALES[0], 10_000_000), Sale::open(SALES[1], 1)]).await?;
    let mut args = vec!["--database-url".to_owned(), database.url.to_string()];
    args.extend(["--trusted-proxies".into(), "127.0.0.1".into()]);
    args.extend(stores.shop_args());
    args.extend(V6.wide_limits().into_iter().map(str::to_owned));
    let shop = ShopProcess::start(&lab.loadtest, V6, &args, lab.folder.path().join("shop.log")).await?;
    let nginx = nginx::in_front_of(&lab.loadtest, &[shop.address], lab.folder.path().join("nginx.log")).await?;
    let mut connection = Connection::open(shop.address).await?;
    let sold_out = open_sale(&mut connection, SALES[1]).await?;
    ensure!(matches!(buy(&mut connection, &sold_out, 1).await.0, Answer::Bought { .. }), "the only unit is not sold");
    let (refused, _) = click(&mut connection, &sold_out, 2).await;
    ensure!(refused == Answer::Refused("sold-out".into()), "{refused:?}");
    let cookie = sessions::of(2).context("no session")?;
    let cookie = cookie.to_str()?;

    let machine = Machine::this();
    let commit = commit().unwrap_or_default();
    println!("{}, {} processors, {}; commit {commit}", machine.model, machine.cores, machine.system);
    println!("one instance, {CONNECTIONS} connections of wrk for 3 s each, by turns; requests/s");
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let edge = crowd(nginx.address, "GET", &format!("/sales/{}", SALES[0]), "")?;
        let view = crowd(shop.address, "GET", &format!("/sales/{}", SALES[0]), "")?;
        let refusal = crowd(shop.address, "POST", &format!("/sales/{}/path", SALES[1]), cookie)?;
        let [single, batched] = [reserve(&stores, 1).await?, reserve(&stores, 32).await?];
        println!(
            "round {round}: nginx's cache {edge:>7.0}, the shop's view {view:>7.0}, sold out {refusal:>7.0}; \
             reserve.lua {single:>7.0} attempts/s one by one, {batched:>7.0} in calls of 32"
        );
        ratios.push((edge / refusal, batched / refusal, batched / single));
    }
    let median = |of: fn(&(f64, f64, f64)) -> f64| {
        let mut all: Vec<f64> = ratios.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "median ratios: nginx's cache {:.1} times a refusal, reserve.lua {:.1} times, and {:.1} times what it does one by one",
        median(|ratios| ratios.0),
        median(|ratios| ratios.1),
        median(|ratios| ratios.2)
    );
    nginx.stop().await;
    shop.stop().await;
    stores.remove().await?;
    lab.remove(database).await?;
    lab.close().await;
    Ok(())
}

/// Runs `wrk` for three seconds, each request with another client IP, as from a crowd.
fn crowd(door: SocketAddr, method: &str, path: &str, cookie: &str) -> anyhow::Result<f64> {
    let script = format!(
        "local n = 0\nfunction request()\n  n = n + 1\n  local from = string.format('10.%d.%d.%d', n / 65536 % 256, n / 256 % 256, n % 256)\n  \
         return wrk.format('{method}', '{path}', {{ ['x-forwarded-for'] = from, cookie = '{cookie}' }})\nend\n"
    );
    wrk::wrk(1, CONNECTIONS, &script, &format!("http://{door}"))
}

/// Runs the script itself on its own sale: `per_call` purchases in each call, and sixteen calls in flight. Returns purchases per
/// second.
async fn reserve(stores: &Stores, per_call: i64) -> anyhow::Result<f64> {
    let script = redis::Script::new(include_str!("../../v6-production/src/reserve.lua"));
    let mut redis = stores.connect().await?;
    let info: String = redis::cmd("INFO").arg("replication").query_async(&mut redis).await?;
    let data =
        info.lines().find_map(|line| line.strip_prefix("master_replid:")).context("no master_replid")?.to_owned();
    let key = |what: &str| format!("{}:{{bench}}:{what}", stores.namespace);
    let keys = ["sale", "held", "outbox", "tries", "spent", "denied", "ended"].map(key);
    let mut make = redis::pipe();
    make.del(&keys).ignore();
    let fields =
        [("epoch", "1"), ("number", "0"), ("stock", "100000000"), ("opens_at", "0"), ("replid", data.as_str())];
    make.hset_multiple(&keys[0], &fields).ignore();
    make.hset(&keys[0], "closes_at", now_ms() + 3_600_000).ignore();
    make.query_async::<()>(&mut redis).await?;
    let began = Instant::now();
    let calls: Vec<_> = (1..=ATTEMPTS).step_by(per_call as usize).collect();
    for calls in calls.chunks(16) {
        let under_way = calls.iter().map(|&first| {
            let mut call = script.key(&keys[0]);
            for key in &keys[1..] {
                call.key(key);
            }
            call.arg(1).arg(8_623_489_024_i64).arg("bench").arg(1).arg(33_554_431).arg(6).arg(10_000).arg(10_000_000);
            call.arg(60_000).arg(0).arg(2 * 86_400_000).arg(1 << 12);
            for buyer in first..first + per_call {
                call.arg(&buyer.to_be_bytes())
                    .arg(&buyer.to_be_bytes())
                    .arg(&(now_ms() << 12 | buyer & 4095).to_be_bytes());
            }
            let mut redis = redis.clone();
            async move { call.invoke_async::<Vec<i64>>(&mut redis).await }
        });
        for answer in futures_util::future::join_all(under_way).await {
            let answer = answer?;
            ensure!(answer.iter().all(|order| *order > 0), "refused: {answer:?}");
        }
    }
    let took = began.elapsed().as_secs_f64();
    redis::cmd("DEL").arg(&keys).query_async::<()>(&mut redis).await?;
    Ok(ATTEMPTS as f64 / took)
}
