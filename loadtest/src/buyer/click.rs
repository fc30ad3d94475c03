//! One buyer for every version: the shop answers with the next link, and the buyer follows it.

use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, timeout};

use super::client::{Asked, Connection, Link, LinkText, Reply};
use crate::verdict::history::{Answer, refusal};

/// The most steps that a buyer follows before it gives up.
pub(crate) const STEPS: usize = 8;
/// How long a buyer waits for an answer: longer than any shop's own timeout.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a queued buyer waits between two polls: the first pause and the longest one. The pauses double in between.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));

/// The reasons for which a confirmed order can fail later.
pub(crate) const ENDED: [&str; 3] = ["canceled", "payment-failed", "refunded"];

/// The parts of an answer that a buyer reads.
#[derive(Deserialize)]
struct Body {
    order_id: Option<i64>,
    buy: Option<LinkText>,
    status: Option<Value>,
    reason: Option<String>,
    #[serde(rename = "type")]
    problem: Option<String>,
}

/// Reads the sale and returns its purchase link.
///
/// # Errors
/// The sale does not exist, it has no valid purchase link, or the shop does not answer.
pub async fn open_sale(connection: &mut Connection, sale_id: i64) -> anyhow::Result<Link> {
    let path = format!("/sales/{sale_id}");
    let sale = timeout(PATIENCE, connection.get(&path, None)).await;
    link_in(&sale.map_err(|_| anyhow::anyhow!("sale {sale_id}: no answer within {PATIENCE:?}"))??, sale_id)
}

/// Reads the purchase link from the answer to `GET /sales/{sale_id}`.
pub(crate) fn link_in(sale: &Reply, sale_id: i64) -> anyhow::Result<Link> {
    anyhow::ensure!(sale.status.is_success(), "sale {sale_id}: the shop answers {}", sale.status);
    let body: Body = serde_json::from_slice(&sale.body)?;
    followed(body.buy.ok_or_else(|| anyhow::anyhow!("sale {sale_id} has no purchase link"))?)
}

/// Reads a link. Buyers do not leave the shop, so it has to be a path.
fn followed(text: LinkText) -> anyhow::Result<Link> {
    let link: Link = text.try_into()?;
    let is_path = link.uri.authority().is_none() && link.uri.path().starts_with('/');
    anyhow::ensure!(is_path, "the link leaves the shop: {:?}", link.uri.to_string());
    Ok(link)
}

/// Opens the page as a browser does: the page itself, its static files and the sale.
///
/// # Errors
/// One of them does not exist, or the shop does not answer.
pub async fn open_page(connection: &mut Connection, sale_id: i64, buyer_id: i64) -> anyhow::Result<()> {
    let page = connection.get("/", Some(buyer_id)).await?;
    for address in references(&page).into_iter().chain([format!("/sales/{sale_id}")]) {
        let reply = connection.get(&address, Some(buyer_id)).await?;
        anyhow::ensure!(reply.status.is_success(), "{address}: the shop answers {}", reply.status);
    }
    anyhow::ensure!(page.status.is_success(), "the shop does not serve its page: it answers {}", page.status);
    Ok(())
}

/// The paths of the static files that a page links to.
pub(crate) fn references(page: &Reply) -> Vec<String> {
    let text = String::from_utf8_lossy(&page.body);
    text.split('"').filter(|quoted| quoted.starts_with("/static/")).map(str::to_owned).collect()
}

/// Buys one unit: follows links, and polls while the order is queued. Returns the final answer and the number of requests.
pub async fn buy(connection: &mut Connection, first: &Link, buyer_id: i64) -> (Answer, u64) {
    let (answer, requests) = click(connection, first, buyer_id).await;
    let (answer, asked) = wait_in_queue(connection, answer, buyer_id).await;
    (answer, requests + asked)
}

/// Polls a queued order until it has a result; returns any other answer unchanged. Also returns the number of requests.
pub(crate) async fn wait_in_queue(connection: &mut Connection, told: Answer, buyer_id: i64) -> (Answer, u64) {
    let Answer::Queued { order_id } = told else { return (told, 0) };
    let (begun, mut requests) = (Instant::now(), 0);
    for n in 0.. {
        if begun.elapsed() > PATIENCE {
            break;
        }
        sleep(pause(n)).await;
        requests += 1;
        match result(connection, order_id, buyer_id).await {
            Some(Answer::Queued { .. }) => {}
            Some(answer) => return (answer, requests),
            None => break,
        }
    }
    (Answer::Queued { order_id }, requests)
}

/// How long a queued buyer waits before poll `n`, counted from 0.
pub fn pause(n: u32) -> Duration {
    let (first, longest) = PAUSES;
    longest.min(first * 2_u32.pow(n.saturating_sub(3).min(8)))
}

/// Follows links until the shop answers with a purchase, a queued order or a refusal. Returns the answer and the number of
/// requests.
pub async fn click(connection: &mut Connection, first: &Link, buyer_id: i64) -> (Answer, u64) {
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
    /// The shop's answer to the purchase.
    Told(Answer),
    /// The next link to follow.
    Follow(Link),
}

/// Sends one request, including the answers to the shop's questions, and reads the reply.
pub async fn ask(connection: &mut Connection, link: &Link, buyer_id: i64) -> Next {
    match send(connection, link, buyer_id).await {
        Some(reply) => understand(&reply),
        None => Next::Told(Answer::Unknown),
    }
}

/// Sends one request, including the answers to the shop's questions. `None` if the connection breaks or no reply comes in time.
pub(crate) async fn send(connection: &mut Connection, link: &Link, buyer_id: i64) -> Option<Reply> {
    let body = match link.asks.as_slice() {
        [] => None,
        asks => {
            let answers: Map<_, _> =
                asks.iter().map(|asked| (asked.name.clone(), reply_to(asked, buyer_id).into())).collect();
            Some(Value::Object(answers).to_string())
        }
    };
    timeout(PATIENCE, connection.send(link, Some(buyer_id), body)).await.ok()?.ok()
}

/// Answers a question of the shop. A sum is solved, because a script can solve such a puzzle too. Any other question is answered
/// with the buyer's number.
fn reply_to(asked: &Asked, buyer_id: i64) -> String {
    let sum = asked.prompt.strip_prefix("What is ").and_then(|sum| sum.strip_suffix('?')?.split_once(" + "));
    match sum.map(|(a, b)| (a.parse::<i64>(), b.parse::<i64>())) {
        Some((Ok(a), Ok(b))) => (a + b).to_string(),
        _ => buyer_id.to_string(),
    }
}

/// The state of a queued order; `None` if the shop does not answer.
pub async fn result(connection: &mut Connection, order_id: i64, buyer_id: i64) -> Option<Answer> {
    let reply = timeout(PATIENCE, connection.get(&format!("/orders/{order_id}"), Some(buyer_id))).await.ok()?.ok()?;
    let body: Body = serde_json::from_slice(&reply.body).ok()?;
    Some(match body.status.as_ref().and_then(Value::as_str) {
        Some("confirmed" | "paid") => Answer::Bought { order_id },
        // The order was confirmed first and ended later.
        Some("failed") if body.reason.as_deref().is_some_and(|reason| ENDED.contains(&reason)) => {
            Answer::Bought { order_id }
        }
        Some(status @ ("expired" | "failed")) => Answer::Refused(status.into()),
        _ => Answer::Queued { order_id }, // still queued, or the shop has an error and may know later
    })
}

pub(crate) fn understand(reply: &Reply) -> Next {
    let body: Option<Body> = serde_json::from_slice(&reply.body).ok();
    let answer = match (reply.status, body) {
        (StatusCode::CREATED, Some(Body { order_id: Some(order_id), .. })) => Answer::Bought { order_id },
        (StatusCode::ACCEPTED, Some(Body { order_id: Some(order_id), .. })) => Answer::Queued { order_id },
        (StatusCode::OK, Some(Body { buy: Some(link), .. })) => match followed(link) {
            Ok(link) => return Next::Follow(link),
            Err(_) => Answer::Unknown,
        },
        (status, Some(Body { problem: Some(kind), .. })) if is_no(status, &kind) => {
            Answer::Refused(refusal(&kind).into())
        }
        _ => Answer::Unknown,
    };
    Next::Told(answer)
}

/// Whether the problem is a definite refusal. After an internal error or a timeout, the order may or may not exist. Of the 5xx answers only
/// `overloaded` says that nothing was changed.
fn is_no(status: StatusCode, kind: &str) -> bool {
    kind == "overloaded" || !(status.is_server_error() || ["internal", "timed-out"].contains(&kind))
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    #[test]
    fn only_a_known_problem_that_is_no_failure_of_the_shop_keeps_its_name() {
        for (status, kind, expected) in [
            (409, "sold-out", "sold-out"),
            (503, "overloaded", "overloaded"),
            (503, "timed-out", "unknown"),
            (500, "internal", "unknown"),
            (500, "about:blank", "unknown"),
            (502, "sold-out", "unknown"),
            (400, "about:blank", "other"),
            (409, "bought", "other"),
            (409, "queued", "other"),
            (409, "unknown", "other"),
            (409, "\u{1b}[31mred", "other"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let body = serde_json::json!({ "type": kind }).to_string().into();
            let Next::Told(answer) = understand(&Reply { status, headers: HeaderMap::new(), body }) else { panic!() };
            assert_eq!(answer.kind(), expected, "{status} {kind:?}");
            assert!(!matches!(answer, Answer::Bought { .. } | Answer::Queued { .. }));
        }
    }
}
