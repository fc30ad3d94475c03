//! Fifty honest buyers who share one IP address.

use std::{net::Ipv4Addr, time::Duration};

use futures_util::future::join_all;
use hyper::{Method, StatusCode, header::RETRY_AFTER};
use tokio::time::{Instant, sleep, sleep_until};
use v1_naive::shop::sales::Sale;

use super::{Played, Stage, plan::Plan, rules::Rules};
use crate::{
    buyer::{
        click::{Next, STEPS, link_in, references, send, understand, wait_in_queue},
        client::{Connection, Link, Reply},
    },
    record::{Measure, Run},
    render::text::thousands,
    verdict::history::{Answer, Told},
};

/// Buyers in the office.
const BUYERS: usize = 50;
/// The IP address of the office's router, which all its buyers share.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 50);
/// All buyers open the page within this time.
const ARRIVING: Duration = Duration::from_secs(1);
/// The unit must arrive within this time after the buyer has opened the page.
const IN_TIME: Duration = Duration::from_secs(5);
/// The shortest wait before a retry, even if `Retry-After` is shorter.
const SHORTEST: Duration = Duration::from_millis(50);

/// Honest buyers behind one IP address: how many get a unit in time? Each has a browser and its own connection. It opens the page
/// with its static files, buys one unit, and retries after a 429 or 503 as `Retry-After` says.
///
/// Behind nginx the buyers send no `X-Forwarded-For`, and nginx sees the IP address that they share. Without nginx the load test
/// acts as a trusted proxy and sends that one IP address for all of them.
///
/// # Errors
/// The database fails.
pub async fn play(stage: &Stage<'_>) -> anyhow::Result<Played> {
    let (sale_id, buyers, stock) = (stage.sale, stage.plan.buyers, stage.plan.stock);
    stage.put_up(&[Sale::open(sale_id, stock)]).await?;
    let start = Instant::now();
    let office = (0..buyers).map(async |n| {
        let opens = start + ARRIVING.mul_f64(n as f64 / buyers as f64);
        sleep_until(opens).await;
        let id = n as i64 + 1;
        let (answer, requests) = match Connection::open(stage.shops[n % stage.shops.len()]).await {
            Ok(mut connection) => {
                connection.from = Some(ADDRESS);
                connection.names_address = !stage.plan.nginx;
                Buyer { id, connection, until: opens + IN_TIME, requests: 0 }.buy(sale_id).await
            }
            Err(_) => (Answer::Unknown, 0),
        };
        let (wanted, answered) = (opens - start, start.elapsed());
        (Told { buyer_id: id, sale_id, wanted, sent: wanted, answered, answer }, requests)
    });
    let (history, requests): (Vec<Told>, Vec<u64>) = join_all(office).await.into_iter().unzip();
    let in_time = |told: &&Told| matches!(told.answer, Answer::Bought { .. }) && told.latency() <= IN_TIME;
    let served = history.iter().filter(in_time).count();
    let holds = served as i64 == stock.min(buyers as i64);
    Ok(Played {
        sales: vec![sale_id],
        requests: requests.iter().sum(),
        elapsed: start.elapsed(),
        measure: Some(Measure::new("buyers of an office with a unit within 5 s", served as f64, holds)),
        history,
        ..Played::default()
    })
}

/// One buyer in the office.
struct Buyer {
    id: i64,
    connection: Connection,
    /// The end of the time in which a unit counts; no retry starts after it.
    until: Instant,
    requests: u64,
}

impl Buyer {
    /// Opens the page and buys. Returns the final answer and the number of requests.
    async fn buy(mut self, sale_id: i64) -> (Answer, u64) {
        let answer = match self.open_page(sale_id).await {
            Ok(link) => self.click(link).await,
            Err(answer) => answer,
        };
        let (answer, asked) = wait_in_queue(&mut self.connection, answer, self.id).await;
        (answer, self.requests + asked)
    }

    /// Opens the page as a browser does: the page, its static files, and the sale with its link. `Err` is the shop's answer if
    /// one of them is refused.
    async fn open_page(&mut self, sale_id: i64) -> Result<Link, Answer> {
        let page = self.get("/").await?;
        for file in references(&page) {
            self.get(&file).await?;
        }
        link_in(&self.get(&format!("/sales/{sale_id}")).await?, sale_id).map_err(|_| Answer::Unknown)
    }

    async fn get(&mut self, path: &str) -> Result<Reply, Answer> {
        let link = Link::new(Method::GET, path).map_err(|_| Answer::Unknown)?;
        let reply = self.patiently(&link).await.ok_or(Answer::Unknown)?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        match understand(&reply) {
            Next::Told(answer) => Err(answer),
            Next::Follow(_) => Err(Answer::Unknown),
        }
    }

    /// Follows links until the shop gives a final answer.
    async fn click(&mut self, mut link: Link) -> Answer {
        for _ in 0..STEPS {
            match self.patiently(&link).await.as_ref().map(understand) {
                Some(Next::Follow(next)) => link = next,
                Some(Next::Told(answer)) => return answer,
                None => return Answer::Unknown,
            }
        }
        Answer::Unknown
    }

    /// Repeats a request as `Retry-After` says, while a unit would still be in time. `None` if no answer comes.
    async fn patiently(&mut self, link: &Link) -> Option<Reply> {
        loop {
            self.requests += 1;
            let reply = send(&mut self.connection, link, self.id).await?;
            match come_back_after(&reply) {
                Some(wait) if Instant::now() + wait < self.until => sleep(wait).await,
                Some(_) | None => return Some(reply),
            }
        }
    }
}

/// How long to wait before a retry. `None` if the answer is final, or if the request may have taken a unit.
fn come_back_after(reply: &Reply) -> Option<Duration> {
    let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&reply.status);
    let nothing_was_done = matches!(understand(reply), Next::Told(Answer::Refused(_)));
    let seconds = reply.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    (busy && nothing_was_done).then(|| Duration::from_secs(seconds).max(SHORTEST))
}

/// Fifty honest buyers who share one IP address.
pub(crate) struct OfficeRules;

impl Rules for OfficeRules {
    fn plan(&self, stampede: Plan) -> Plan {
        Plan { buyers: BUYERS, ..stampede }
    }

    /// The number of buyers stays: ten would fit into the burst that the rate limiter allows one client.
    fn quick(&self, plan: Plan) -> Plan {
        plan
    }

    fn who(&self, plan: &Plan) -> String {
        plan.counted("buyer behind one IP address", "buyers behind one IP address")
    }

    fn sockets(&self, plan: &Plan) -> usize {
        plan.buyers
    }

    fn contended(&self, plan: &Plan) -> bool {
        plan.buyers >= BUYERS && plan.units() > 0
    }

    fn figure(&self, run: &Run) -> String {
        format!("{} of {}", run.measured(), thousands(run.buyers as i64))
    }
}
