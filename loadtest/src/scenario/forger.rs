use std::time::{Duration, Instant};

use anyhow::bail;
use hyper::Method;
use md5::{Digest, Md5};
use tokio::time::sleep;
use v1_naive::shop::sales::Sale;

use super::{Measure, Played, Stage, told};
use crate::{
    buyer::{Next, ask, open_sale},
    client::{Connection, Link},
    history::{Answer, Told},
};

/// The forger's connections.
const CONNECTIONS: usize = 25;
/// Times that one path is tried: a buyer's tries are counted, and the cap is not what is looked at.
const AGAIN: usize = 4;
/// Longer than the shop is told to keep a path.
const EXPIRES: Duration = Duration::from_millis(2500);

/// A quarter of the tries each with paths that were computed, given to somebody else, used, and expired: how many are
/// taken. A fresh path has to work, or this would measure nothing.
///
/// # Errors
/// The database's, or the shop's: it does not answer, gives out no paths, or refuses one that it gave out.
pub async fn play(stage: &Stage<'_>) -> anyhow::Result<Played> {
    let (sale_id, tries) = (stage.sale, stage.plan.buyers);
    stage.put_up(&[Sale::open(sale_id, 2 * tries as i64)]).await?;
    let start = Instant::now();
    let each = tries.div_ceil(4 * CONNECTIONS);
    let work = async |n: usize| {
        let mut connection = Connection::open(stage.shops[n % stage.shops.len()]).await?;
        let first = open_sale(&mut connection, sale_id).await?;
        let next_buyer = 1 + (n * 1_000_000) as i64;
        let mut forger = Forger { connection, first, sale_id, start, next_buyer, told: Vec::new(), requests: 0 };
        forger.computed(each).await?;
        forger.foreign(each).await?;
        forger.used(each).await?;
        forger.expired(each).await?;
        anyhow::Ok((forger.told, forger.requests))
    };
    let (told_as, requests) = super::at_once(CONNECTIONS, work).await?;
    let (forged, honest): (Vec<_>, Vec<_>) = told_as.into_iter().partition(|(forged, _)| *forged);
    let [forged, mut history] = [forged, honest].map(|part| part.into_iter().map(|(_, told)| told).collect::<Vec<_>>());
    // What this gate has not refused has passed it, also if another stopped it then.
    let taken = forged.len() - told(&forged, "wrong-path");
    let what = format!("forged addresses taken, of {}", forged.len());
    history.extend(forged);
    Ok(Played {
        sales: vec![sale_id],
        requests,
        elapsed: start.elapsed(),
        measure: Some(Measure::none_of(&what, taken)),
        history,
        ..Played::default()
    })
}

struct Forger {
    connection: Connection,
    /// Where paths are given out.
    first: Link,
    sale_id: i64,
    start: Instant,
    /// Every path and every theft is another buyer's.
    next_buyer: i64,
    /// What came of it, and whether it was a forgery.
    told: Vec<(bool, Told)>,
    requests: u64,
}

impl Forger {
    /// Made of what everybody knows: the buyer, the sale, the salt of the classic sample; or of nothing.
    async fn computed(&mut self, tries: usize) -> anyhow::Result<()> {
        for n in 0..tries {
            let (buyer, sale) = (self.buyer(), self.sale_id);
            let text = match n % 3 {
                0 => format!("{buyer}{sale}"),
                1 => format!("{}!AW#", buyer + sale),
                _ => fastrand::u128(..).to_string(),
            };
            let path: String = Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
            let link = Link::new(Method::POST, &format!("/sales/{sale}/purchase/{path}"))?;
            self.attempt(true, &link, buyer).await;
        }
        Ok(())
    }

    /// Given out, but to another buyer.
    async fn foreign(&mut self, tries: usize) -> anyhow::Result<()> {
        for _ in 0..tries.div_ceil(AGAIN) {
            let (_, link) = self.given().await?;
            for _ in 0..AGAIN {
                let thief = self.buyer();
                self.attempt(true, &link, thief).await;
            }
        }
        Ok(())
    }

    /// Good once.
    async fn used(&mut self, tries: usize) -> anyhow::Result<()> {
        for _ in 0..tries.div_ceil(AGAIN) {
            let (buyer, link) = self.given().await?;
            if let Answer::Refused(kind) = self.attempt(false, &link, buyer).await
                && kind == "wrong-path"
            {
                bail!("the shop refuses the address that it gave out");
            }
            for _ in 0..AGAIN {
                self.attempt(true, &link, buyer).await;
            }
        }
        Ok(())
    }

    /// Too old.
    async fn expired(&mut self, tries: usize) -> anyhow::Result<()> {
        let mut given = Vec::new();
        for _ in 0..tries.div_ceil(AGAIN) {
            given.push(self.given().await?);
        }
        sleep(EXPIRES).await;
        for (buyer, link) in given {
            for _ in 0..AGAIN {
                self.attempt(true, &link, buyer).await;
            }
        }
        Ok(())
    }

    fn buyer(&mut self) -> i64 {
        self.next_buyer += 1;
        self.next_buyer
    }

    /// A buyer and the address it was given.
    async fn given(&mut self) -> anyhow::Result<(i64, Link)> {
        let buyer = self.buyer();
        self.requests += 1;
        match ask(&mut self.connection, &self.first, buyer).await {
            Next::Follow(link) => Ok((buyer, link)),
            Next::Told(answer) => bail!("the shop gives out no address: {}", answer.kind()),
        }
    }

    async fn attempt(&mut self, forged: bool, link: &Link, buyer_id: i64) -> Answer {
        let wanted = self.start.elapsed();
        self.requests += 1;
        let answer = match ask(&mut self.connection, link, buyer_id).await {
            Next::Told(answer) => answer,
            Next::Follow(_) => Answer::Unknown,
        };
        let told = Told { buyer_id, sale_id: self.sale_id, wanted, answered: self.start.elapsed(), answer };
        let answer = told.answer.clone();
        self.told.push((forged, told));
        answer
    }
}
