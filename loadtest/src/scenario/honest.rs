//! Buyers who only want one unit, beside an attack.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::stage::{Played, at_once};
use crate::{
    buyer::{
        click::{buy, open_sale},
        client::Connection,
    },
    record::{HonestBuyers, Measure},
    verdict::{
        audit::{Demand, Honest},
        history::{Told, bought},
    },
};

/// How many come beside an attack.
const BUYERS: usize = 3;
/// The first one's id, far from any attacker's.
const FIRST: i64 = 900_000_001;
/// How long they come one after the other.
const APART: Duration = Duration::from_millis(100);
/// Who has no answer after that has gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the honest buyers were told, and the requests that it took.
pub(crate) struct Beside {
    pub(crate) history: Vec<Told>,
    pub(crate) requests: u64,
}

/// A few honest buyers, each of whom wants one unit of the sale while it is attacked: a shop that refuses everybody withstands
/// every attack, and sells nothing.
///
/// # Errors
/// The shop does not answer, or does not know the sale.
pub(crate) async fn buy_beside(shops: &[SocketAddr], sale_id: i64, start: Instant) -> anyhow::Result<Beside> {
    let one = async |n: usize| {
        sleep(APART * n as u32).await;
        let mut connection = Connection::open(shops[n % shops.len()]).await?;
        let link = open_sale(&mut connection, sale_id).await?;
        let (buyer_id, wanted) = (FIRST + n as i64, start.elapsed());
        let (answer, requests) = buy(&mut connection, &link, buyer_id).await;
        anyhow::Ok((
            vec![Told { buyer_id, sale_id, wanted, sent: wanted, answered: start.elapsed(), answer }],
            requests + 1,
        ))
    };
    let (history, requests) = at_once(BUYERS, one).await?;
    Ok(Beside { history, requests })
}

impl Beside {
    /// What was played, with the attackers' history beside theirs. These buyers are the demand: whoever else asked is an attacker.
    pub(crate) fn played(
        self,
        attack: Vec<Told>,
        requests: u64,
        start: Instant,
        sales: Vec<i64>,
        measure: Measure,
    ) -> Played {
        let honest = self.history.iter().map(|told| told.buyer_id).collect();
        let late = self.history.iter().filter(|told| told.latency() > PATIENCE).count();
        let served = HonestBuyers { asked: self.history.len(), served: bought(&self.history), late };
        Played {
            sales,
            requests: requests + self.requests,
            elapsed: start.elapsed(),
            measure: Some(measure),
            demand: Demand { honest: Honest::These(honest), may_go_without: 0 },
            honest: Some(served),
            history: attack.into_iter().chain(self.history).collect(),
            ..Played::default()
        }
    }
}
