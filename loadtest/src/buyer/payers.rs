//! Buyers of chapter 6 whose orders are confirmed: half of them pay, a quarter cancels, and a quarter lets the order expire. Who gets no
//! answer asks again under the same key, as the page does.

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

/// How often we look for orders that were confirmed.
const EVERY: Duration = Duration::from_millis(50);
/// Buyers who are at it at the same time.
const AT_A_TIME: usize = 20;
/// How long a buyer waits for an answer, and before the next try; and after what time it gives up.
const FOR_AN_ANSWER: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(60);

/// Buyers who follow their orders to the end.
#[derive(Clone)]
pub struct Payers {
    /// The instances. A buyer asks the first one, and the next one if that does not answer.
    pub doors: Arc<[SocketAddr]>,
    /// The shop's database: who has an order is read there.
    pub pool: AnyPool,
    /// The sale.
    pub sale: i64,
    /// What they pay with.
    pub card: &'static str,
    /// The buyers, by the number that the shop has for each.
    pub buyers: Arc<HashMap<i64, i64>>,
}

/// What a buyer was told in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Which order.
    pub order_id: i64,
    /// What.
    pub said: Said,
}

/// What was said of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It is paid.
    Paid,
    /// Nothing was charged.
    NotCharged,
    /// It is canceled.
    Canceled,
    /// Nothing that counts.
    Nothing,
}

impl Payers {
    /// The numbers that the shop has for buyers.
    pub fn known_as(buyers: impl Iterator<Item = i64>) -> Arc<HashMap<i64, i64>> {
        Arc::new(buyers.map(|buyer| (v6_production::buyer_id(&buyer.to_string()), buyer)).collect())
    }

    /// Takes care of every order that is confirmed, until `end`; returns what their buyers were told.
    ///
    /// # Errors
    /// The database's.
    pub async fn serve(self, mut end: oneshot::Receiver<()>) -> anyhow::Result<Vec<Heard>> {
        let (mut seen, mut at_it, places) = (HashSet::new(), JoinSet::new(), Arc::new(Semaphore::new(AT_A_TIME)));
        while end.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            let query = "select id, buyer_id from orders where sale_id = $1 and status = 'confirmed'";
            let confirmed: Vec<(i64, i64)> = sqlx::query_as(query).bind(self.sale).fetch_all(&self.pool).await?;
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
        let (path, body) = match order_id % 4 {
            0 => return Said::Nothing, // and its time runs out
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
