//! Forged purchase URLs and sessions: how many does the shop accept?

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hyper::Method;
use md5::{Digest, Md5};
use tokio::time::sleep;
use v1_naive::shop::sales::{Sale, now_ms};

use super::{
    Played, Stage,
    honest::{buy_beside, few_tries},
    plan::Plan,
    rules::Rules,
    stage::{LONGEST, at_once},
};
use crate::{
    buyer::{
        click::{Next, ask, buy, open_sale},
        client::{Connection, Link},
        sessions,
    },
    record::{Measure, Run},
    render::text::thousands,
    verdict::history::{Answer, Told},
    version::Version,
};

/// The forger's connections.
const CONNECTIONS: usize = 25;
/// How often one URL is tried. Each buyer's requests are rate-limited, and that limit is not under test here.
const AGAIN: usize = 4;
/// The lifetime of a purchase URL (`--path-ttl`), and how long the forger waits for one to expire.
const LIVES: Duration = Duration::from_secs(2);
const EXPIRES: Duration = Duration::from_millis(2500);

/// Tries equally many purchase URLs of each kind: computed, given to another buyer, used and expired. If the version has
/// sessions, altered sessions as well. The figure is how many are accepted. A fresh URL must work, or the result would mean
/// nothing. Meanwhile honest buyers of the same sale must each get a unit.
///
/// # Errors
/// The database fails; or the shop does not answer, hands out no purchase URL, or refuses one that is fresh.
pub async fn play(stage: &Stage<'_>) -> anyhow::Result<Played> {
    let (sale_id, tries, with_sessions) = (stage.sale, stage.plan.buyers, stage.plan.version.has_sessions());
    stage.put_up(&[Sale::open(sale_id, 2 * tries as i64)]).await?;
    let start = Instant::now();
    let kinds = if with_sessions { 5 } else { 4 };
    let each = tries.div_ceil(kinds * CONNECTIONS);
    let work = async |n: usize| {
        // Chapter 5's URLs are valid only at the instance that issued them. That is tested by `two-instances`, so here each
        // connection stays at one instance.
        let one = n % stage.shops.len();
        let shops = if with_sessions { stage.shops } else { &stage.shops[one..=one] };
        let mut instances = Vec::new();
        for &shop in shops {
            instances.push(Connection::open(shop).await?);
        }
        let first = open_sale(&mut instances[0], sale_id).await?;
        let next_buyer = 1 + (n * 1_000_000) as i64;
        let mut forger =
            Forger { instances, turn: n, first, sale_id, start, next_buyer, tried: Vec::new(), requests: 0 };
        forger.computed(each).await?;
        forger.foreign(each).await?;
        forger.used(each).await?;
        forger.expired(each).await?;
        if with_sessions {
            forger.altered(each).await?;
        }
        anyhow::Ok((forger.tried, forger.requests))
    };
    let forging = at_once(CONNECTIONS, work);
    let ((tried, requests), beside) = tokio::try_join!(forging, buy_beside(stage.shops, sale_id, start, Some(LIVES)))?;
    let forged = tried.iter().filter(|(refusal, _)| refusal.is_some()).count();
    // A forgery has passed its gate if it gets any answer except the gate's refusal, even if a later check refuses it.
    let taken = |(refusal, told): &&(Option<&str>, Told)| refusal.is_some_and(|refusal| told.answer.kind() != refusal);
    let taken = tried.iter().filter(taken).count();
    let what = if with_sessions { "addresses and sessions" } else { "addresses" };
    let what = format!("forged {what} taken, of {}", thousands(forged as i64));
    let history = tried.into_iter().map(|(_, told)| told).collect();
    let played = beside.played(history, requests, start, vec![sale_id], Measure::none_of(&what, taken));
    Ok(Played { invalid: few_tries(forged, tries), ..played })
}

/// The expected refusal of a forged URL, and of a forged session.
const WRONG_PATH: Option<&str> = Some("wrong-path");
const NOBODY: Option<&str> = Some("unauthenticated");

struct Forger {
    /// A connection to each instance, used in turn.
    instances: Vec<Connection>,
    turn: usize,
    /// The sale's first link, before any step.
    first: Link,
    sale_id: i64,
    start: Instant,
    /// The last buyer id that was used. Each attempt needs a new buyer.
    next_buyer: i64,
    /// The answers. A forgery has the refusal that is expected; a legitimate purchase has `None`.
    tried: Vec<(Option<&'static str>, Told)>,
    requests: u64,
}

impl Forger {
    /// URLs computed from public facts: the buyer, the sale, the salt of the classic sample; or random ones.
    async fn computed(&mut self, tries: usize) -> anyhow::Result<()> {
        for n in 0..tries {
            let ((buyer, _), sale) = (self.arrives().await?, self.sale_id);
            let text = match n % 3 {
                0 => format!("{buyer}{sale}"),
                1 => format!("{}!AW#", buyer + sale),
                _ => fastrand::u128(..).to_string(),
            };
            let mut path = hex::encode(Md5::digest(text));
            if self.tried.len() % 2 == 1 {
                path = format!("{:016x}{path}", now_ms() << 12); // the form of chapter 6
            }
            let link = Link::new(Method::POST, &format!("/sales/{sale}/purchase/{path}"))?;
            self.attempt(WRONG_PATH, &link, buyer).await;
        }
        Ok(())
    }

    /// Valid URLs that were issued to another buyer.
    async fn foreign(&mut self, tries: usize) -> anyhow::Result<()> {
        for _ in 0..tries.div_ceil(AGAIN) {
            let (_, link) = self.given().await?;
            for _ in 0..AGAIN {
                let (thief, _) = self.arrives().await?;
                self.attempt(WRONG_PATH, &link, thief).await;
            }
        }
        Ok(())
    }

    /// URLs that were used before. Each is valid once.
    async fn used(&mut self, tries: usize) -> anyhow::Result<()> {
        let start = self.start;
        for _ in (0..tries.div_ceil(AGAIN)).take_while(|_| start.elapsed() < LONGEST) {
            let asked = Instant::now();
            let (buyer, link) = self.given().await?;
            if let Answer::Refused(kind) = self.attempt(None, &link, buyer).await
                && kind == "wrong-path"
            {
                // On a busy machine the URL may have expired by now.
                ensure!(asked.elapsed() > LIVES, "the shop refuses the purchase URL that it issued");
                continue;
            }
            for _ in 0..AGAIN {
                self.attempt(WRONG_PATH, &link, buyer).await;
            }
        }
        Ok(())
    }

    /// Expired URLs.
    async fn expired(&mut self, tries: usize) -> anyhow::Result<()> {
        let mut given = Vec::new();
        for _ in 0..tries.div_ceil(AGAIN) {
            given.push(self.given().await?);
        }
        sleep(EXPIRES).await;
        for (buyer, link) in given {
            for _ in 0..AGAIN {
                self.attempt(WRONG_PATH, &link, buyer).await;
            }
        }
        Ok(())
    }

    /// Valid URLs with altered sessions: another buyer, a later expiry, or one digit of the signature changed.
    async fn altered(&mut self, tries: usize) -> anyhow::Result<()> {
        for n in 0..tries {
            let (buyer, link) = self.given().await?;
            let cookie = sessions::of(buyer).context("the shop has set no session cookie")?;
            let (name, session) = cookie.to_str()?.split_once('=').context("the session cookie has no value")?;
            let [id, ends, signature] = session.splitn(3, '.').collect::<Vec<_>>()[..] else {
                bail!("the session has an unknown form: {session}")
            };
            let digit = if signature.starts_with('0') { '1' } else { '0' };
            let altered = match n % 3 {
                0 => format!("{}.{ends}.{signature}", id.parse::<i64>()? ^ 1),
                1 => format!("{id}.{}.{signature}", ends.parse::<i64>()? + 1),
                _ => format!("{id}.{ends}.{digit}{}", &signature[1..]),
            };
            sessions::put(buyer, &format!("{name}={altered}"));
            self.attempt(NOBODY, &link, buyer).await;
        }
        Ok(())
    }

    /// A new buyer, logged in if the version requires it, and the link that issues its purchase URL.
    async fn arrives(&mut self) -> anyhow::Result<(i64, Link)> {
        self.next_buyer += 1;
        let (buyer, mut link) = (self.next_buyer, self.first.clone());
        while !link.uri.path().ends_with("/path") {
            link = self.follow(&link, buyer).await?;
        }
        Ok((buyer, link))
    }

    /// A new buyer and its purchase URL.
    async fn given(&mut self) -> anyhow::Result<(i64, Link)> {
        let (buyer, mut link) = self.arrives().await?;
        while !link.takes_a_unit() {
            link = self.follow(&link, buyer).await?;
        }
        Ok((buyer, link))
    }

    async fn follow(&mut self, link: &Link, buyer: i64) -> anyhow::Result<Link> {
        self.requests += 1;
        match ask(self.next(), link, buyer).await {
            Next::Follow(link) => Ok(link),
            Next::Told(answer) => bail!("the shop issues no purchase URL: {}", answer.kind()),
        }
    }

    fn next(&mut self) -> &mut Connection {
        self.turn = (self.turn + 1) % self.instances.len();
        &mut self.instances[self.turn]
    }

    async fn attempt(&mut self, refusal: Option<&'static str>, link: &Link, buyer_id: i64) -> Answer {
        let wanted = self.start.elapsed();
        let (answer, requests) = buy(self.next(), link, buyer_id).await;
        self.requests += requests;
        let told =
            Told { buyer_id, sale_id: self.sale_id, wanted, sent: wanted, answered: self.start.elapsed(), answer };
        let answer = told.answer.clone();
        self.tried.push((refusal, told));
        answer
    }
}

/// Forged purchase URLs and sessions.
pub(crate) struct ForgerRules;

impl Rules for ForgerRules {
    fn plan(&self, stampede: Plan) -> Plan {
        Plan { buyers: 2000, ..stampede }
    }

    fn who(&self, plan: &Plan) -> String {
        let what = if plan.version.has_sessions() { "forged addresses and sessions" } else { "forged addresses" };
        plan.counted(what, what)
    }

    fn check(&self, plan: &Plan) -> anyhow::Result<()> {
        ensure!(
            plan.version.hides_the_address(),
            "{} has no hidden URL that could be forged: name v5 or v6",
            plan.version
        );
        Ok(())
    }

    /// Raises the limits so that forgeries reach the gate under test, and shortens the lifetime of a URL so that it expires
    /// during the run. The frequency cap stays.
    fn shop_args(&self, version: Version) -> Vec<&'static str> {
        let mut args = version.wide_limits();
        args.retain(|arg| !arg.starts_with("--frequency"));
        args.push("--path-ttl=2");
        args.extend((version == Version::V5).then_some("--retries=100"));
        args
    }

    fn contended(&self, _plan: &Plan) -> bool {
        true
    }

    /// Forgeries accepted, of all forgeries that were accepted or refused by their gate.
    fn figure(&self, run: &Run) -> String {
        let taken = run.measured();
        let refused: u64 = ["wrong-path", "unauthenticated"].map(|kind| run.told(kind)).iter().sum();
        format!("{taken} of {}", thousands(refused as i64 + taken as i64))
    }
}
