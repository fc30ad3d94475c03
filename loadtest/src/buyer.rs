//! One buyer, for every version: the shop says where to go next, the buyer goes there.

use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    client::{Connection, Link, LinkText, Reply},
    history::Answer,
};

/// Steps a shop may send a buyer through before the buyer gives up on it.
const STEPS: usize = 5;
/// How long a buyer waits for an answer: longer than any shop takes to give one.
const PATIENCE: Duration = Duration::from_secs(60);

/// The parts of an answer that a buyer reads.
#[derive(Deserialize)]
struct Body {
    order_id: Option<i64>,
    buy: Option<LinkText>,
    #[serde(rename = "type")]
    problem: Option<String>,
}

/// Opens the sale's page and finds the link to buy at.
///
/// # Errors
/// There is no such sale, or the shop does not answer.
pub async fn open_sale(connection: &mut Connection, sale_id: i64) -> anyhow::Result<Link> {
    let reply = connection.get(&format!("/sales/{sale_id}"), None).await?;
    anyhow::ensure!(reply.status.is_success(), "sale {sale_id}: the shop says {}", reply.status);
    let body: Body = serde_json::from_slice(&reply.body)?;
    body.buy.ok_or_else(|| anyhow::anyhow!("sale {sale_id} has no link to buy at"))?.try_into()
}

/// Buys one unit: follows links until there is a yes or a no. Returns the requests it took, too.
pub async fn buy(connection: &mut Connection, first: &Link, buyer_id: i64) -> (Answer, u64) {
    let mut link = first.clone();
    for step in 1..=STEPS as u64 {
        match ask(connection, &link, buyer_id).await {
            Next::Told(answer) => return (answer, step),
            Next::Follow(next) => link = next,
        }
    }
    (Answer::Unknown, STEPS as u64)
}

/// What one request leads to.
#[derive(Debug)]
pub enum Next {
    /// An answer.
    Told(Answer),
    /// Another link.
    Follow(Link),
}

/// Takes one step.
pub async fn ask(connection: &mut Connection, link: &Link, buyer_id: i64) -> Next {
    match timeout(PATIENCE, connection.send(link, Some(buyer_id), None)).await {
        Ok(Ok(reply)) => understand(&reply),
        _ => Next::Told(Answer::Unknown),
    }
}

fn understand(reply: &Reply) -> Next {
    let body: Option<Body> = serde_json::from_slice(&reply.body).ok();
    let answer = match (reply.status, body) {
        (StatusCode::CREATED, Some(Body { order_id: Some(order_id), .. })) => Answer::Bought { order_id },
        (StatusCode::OK, Some(Body { buy: Some(link), .. })) => match link.try_into() {
            Ok(link) => return Next::Follow(link),
            Err(_) => Answer::Unknown,
        },
        (_, Some(Body { problem: Some(kind), .. })) if is_no(&kind) => Answer::Refused(kind),
        _ => Answer::Unknown,
    };
    Next::Told(answer)
}

/// After a fault of the shop's own, or when time ran out half-way, an order may exist or not.
fn is_no(kind: &str) -> bool {
    kind != "internal" && kind != "timed-out"
}
