//! What stands before and behind an instance of chapter 6: nginx's cache, and Redis with `reserve.lua`.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::join_all;
use hyper::Method;
use v1_naive::shop::sales::now_ms;

use super::{
    SALE,
    load::{self, Load, Loaded, Wanted},
    refusals::SoldOut,
};
use crate::{
    buyer::{
        client::{Connection, Link},
        crowd::Buyer,
    },
    lab::stores::Stores,
};

/// Calls of `reserve.lua` that are under way at the same time.
pub(super) const CALLS: usize = 16;

/// Reads of the sale through nginx, which answers from its cache; `None` without nginx.
pub(super) async fn cached(shop: &SoldOut, connections: usize, lasts: Duration) -> anyhow::Result<Option<Loaded>> {
    let Some(nginx) = &shop.market.deployment.nginx else { return Ok(None) };
    let link = Link::new(Method::GET, &format!("/sales/{SALE}"))?;
    let buyers = shop.market.buyers.iter().map(|buyer| Buyer { link: link.clone(), ..*buyer }).collect();
    let (shop, wanted) = (nginx.address, Wanted::Sale);
    // While nginx fetches an answer, requests for it wait half a second each (`proxy_cache_lock`). An answer is valid for a second.
    Connection::open(shop).await?.get(&format!("/sales/{SALE}"), None).await?;
    load::run(Load { shop, connections, buyers, repeats: true, lasts, rate: None, wanted }).await.map(Some)
}

/// Runs the script itself on its own sale, with `per_call` purchases in each call. Returns purchases per second.
pub(super) async fn reserve(stores: &Stores, attempts: i64, per_call: i64) -> anyhow::Result<f64> {
    let script = redis::Script::new(include_str!("../../../v6-production/src/reserve.lua"));
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
    let calls: Vec<_> = (1..=attempts).step_by(per_call as usize).collect();
    for calls in calls.chunks(CALLS) {
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
        for answer in join_all(under_way).await {
            let answer = answer?;
            ensure!(answer.iter().all(|order| *order > 0), "reserve.lua refuses: {answer:?}");
        }
    }
    let took = began.elapsed().as_secs_f64();
    redis::cmd("UNLINK").arg(&keys).query_async::<()>(&mut redis).await?;
    Ok((calls.len() as i64 * per_call) as f64 / took)
}
