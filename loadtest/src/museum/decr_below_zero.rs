//! Every buyer decrements the stock in Redis, and a negative result means sold out. Nothing is given back below zero, so the counter stands
//! far below it. Then orders expire, and the counter is raised from there: their units are free, and no buyer gets them.

use futures_util::future::LocalBoxFuture;
use redis::{AsyncCommands, RedisResult, aio::MultiplexedConnection};

use super::{
    exhibit::{Exhibit, Finding, Fix, Form, Play, Source},
    play::{Kit, Seen},
};
use crate::lab::{servers::Server::Redis, stores::connect};

/// The counter of units left.
const STOCK: &str = "stock";
/// The units on sale, the buyers who want one, and the units that come back.
const UNITS: i64 = 10;
const BUYERS: i64 = 50;
const BACK: i64 = 3;

pub(super) const EXHIBIT: Exhibit = Exhibit {
    name: "decr-below-zero",
    wrong: "`DECR` takes the counter below zero, and what it took there is never given back",
    code: "loadtest/src/museum/decr_below_zero.rs",
    seen: &[
        Source::Thread("qiurunze123/miaosha", 145, "the counter is negative, and fewer are sold than there are"),
        Source::Thread("hfbin/Seckill", 11, "the counter is below zero while units are left"),
    ],
    attack: "50 buyers for 10 units, 3 units come back, 3 more buyers come",
    finding: Finding::Figure,
    fix: Fix {
        file: "loadtest/src/ways/redis/decr.rs",
        what: "incr",
        how: "give back what was taken below zero; or check before taking, in one script, as chapter 6 does",
    },
    servers: &[Redis],
    play: Play::Own(play),
};

/// Takes one unit; false if none is left.
async fn take(redis: &mut MultiplexedConnection, form: Form) -> RedisResult<bool> {
    let left: i64 = redis.decr(STOCK, 1).await?;
    if left < 0 && form == Form::Fixed {
        let _: i64 = redis.incr(STOCK, 1).await?;
    }
    Ok(left >= 0)
}

fn play<'a>(kit: &'a Kit<'a>, form: Form) -> LocalBoxFuture<'a, anyhow::Result<Seen>> {
    Box::pin(async move {
        let mut redis = connect(kit.url(Redis)?).await?;
        redis.set::<_, _, ()>(STOCK, UNITS).await?;
        for _ in 0..BUYERS {
            take(&mut redis, form).await?;
        }
        let _: i64 = redis.incr(STOCK, BACK).await?;
        let mut served = 0;
        for _ in 0..BACK {
            served += i64::from(take(&mut redis, form).await?);
        }
        let left: i64 = redis.get(STOCK).await?;
        let line = format!("{BACK} units came back, and {served} of {BACK} buyers got one; the counter says {left}");
        Ok(Seen::figure(line, served == BACK))
    })
}
