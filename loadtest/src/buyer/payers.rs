//! Buyers of chapter 6 after their orders are confirmed: most of them pay, some cancel, and as many let the order expire. A buyer
//! without an answer retries with the same idempotency key, as the page does.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use hyper::Method;
use serde::Deserialize;
use serde_json::json;
use sqlx::AnyPool;
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::client::{Connection, Link};

/// How often to look for newly confirmed orders.
const EVERY: Duration = Duration::from_millis(50);
/// Buyers who are active at the same time.
const AT_A_TIME: usize = 20;
/// How long a buyer waits for an answer, how long it pauses before a retry, and when it gives up.
const FOR_AN_ANSWER: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(60);

/// Buyers who pay for, cancel or abandon their confirmed orders.
#[derive(Clone)]
pub struct Payers {
    /// The instances. A buyer asks the first one, and the next one if that one does not answer.
    pub doors: Arc<[SocketAddr]>,
    /// The shop's database, to read the confirmed orders from.
    pub pool: AnyPool,
    /// The sale's id.
    pub sale: i64,
    /// The card number that they pay with.
    pub card: &'static str,
    /// Of this number of buyers, one cancels the order and one lets it expire.
    pub one_of: i64,
    /// Our buyer numbers, by the shop's buyer ids.
    pub buyers: Arc<HashMap<i64, i64>>,
}

/// The last answer that a buyer got about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The order's id.
    pub order_id: i64,
    /// The answer.
    pub said: Said,
}

/// An answer about a payment or a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// The order is paid.
    Paid,
    /// The payment was refused, and nothing was charged.
    NotCharged,
    /// The order is canceled.
    Canceled,
    /// No definite answer.
    Nothing,
}

impl Payers {
    /// Maps the shop's buyer ids to our buyer numbers.
    pub fn known_as(buyers: impl Iterator<Item = i64>) -> Arc<HashMap<i64, i64>> {
        Arc::new(buyers.map(|buyer| (v6_production::buyer_id(&buyer.to_string()), buyer)).collect())
    }

    /// Handles every confirmed order until `end`; returns the last answers to their buyers.
    ///
    /// # Errors
    /// The database cannot be read for a minute.
    pub async fn serve(self, mut end: oneshot::Receiver<()>) -> anyhow::Result<Vec<Heard>> {
        let (mut seen, mut at_it, places) = (HashSet::new(), JoinSet::new(), Arc::new(Semaphore::new(AT_A_TIME)));
        let mut read_at = Instant::now();
        while end.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            let query = "select id, buyer_id from orders where sale_id = $1 and status = 'confirmed'";
            let confirmed = sqlx::query_as(query).bind(self.sale).fetch_all(&self.pool).await;
            let confirmed: Vec<(i64, i64)> = match confirmed {
                Ok(confirmed) => {
                    read_at = Instant::now();
                    confirmed
                }
                Err(_) if read_at.elapsed() < PATIENCE => Vec::new(), // another server is about to become the primary
                Err(why) => return Err(why.into()),
            };
            for (order_id, known_as) in confirmed {
                let Some(&buyer) = self.buyers.get(&known_as).filter(|_| seen.insert(order_id)) else { continue };
                let (payers, places) = (self.clone(), places.clone());
                at_it.spawn(async move {
                    let _place = places.acquire_owned().await;
                    Heard { order_id, said: payers.follow(order_id, buyer).await }
                });
            }
            sleep(EVERY).await;
        }
        Ok(at_it.join_all().await)
    }

    async fn follow(&self, order_id: i64, buyer: i64) -> Said {
        let (path, body) = match order_id % self.one_of {
            0 => return Said::Nothing, // the order expires
            1 => ("cancel", None),
            _ => ("payment", Some(json!({ "card": self.card }).to_string())),
        };
        let Ok(link) = Link::new(Method::POST, &format!("/orders/{order_id}/{path}")) else { return Said::Nothing };
        let since = Instant::now();
        for door in self.doors.iter().cycle() {
            let asking = async {
                let mut connection = Connection::open(*door).await?;
                connection.key = Some(format!("order-{order_id}"));
                anyhow::Ok(connection.send(&link, Some(buyer), body.clone()).await?)
            };
            if let Ok(Ok(reply)) = timeout(FOR_AN_ANSWER, asking).await {
                #[derive(Deserialize)]
                struct Problem {
                    r#type: String,
                }
                let problem = serde_json::from_slice(&reply.body).map(|problem: Problem| problem.r#type);
                match (reply.status.as_u16(), problem.as_deref()) {
                    (200, _) if body.is_some() => return Said::Paid,
                    (200, _) => return Said::Canceled,
                    (_, Ok("declined")) => return Said::NotCharged,
                    (_, Ok("closed")) if body.is_some() => return Said::NotCharged,
                    (_, Ok("closed")) => return Said::Nothing,
                    _ => {}
                }
            }
            if since.elapsed() > PATIENCE {
                break;
            }
            sleep(PAUSE).await;
        }
        Said::Nothing
    }
}
