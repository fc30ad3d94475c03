//! Honest buyers beside an attack: each wants one unit.

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
    render::text::thousands,
    verdict::{
        audit::{Demand, Honest},
        history::{Answer, Told, bought},
    },
};

/// Honest buyers beside each attack.
const BUYERS: usize = 3;
/// The first honest buyer's id, far above all attackers' ids.
const FIRST: i64 = 900_000_001;
/// The time between two honest buyers.
const APART: Duration = Duration::from_millis(100);
/// An answer that takes longer than this counts as late.
const PATIENCE: Duration = Duration::from_secs(10);

/// The honest buyers' answers, and the number of their requests.
pub(crate) struct Beside {
    pub(crate) history: Vec<Told>,
    pub(crate) requests: u64,
}

/// A few honest buyers each buy one unit of the sale under attack. Without them, a shop that refuses everyone would pass. If purchase
/// URLs live only for `urls_live`, a buyer whose URL has expired asks for another one, once.
///
/// # Errors
/// The shop does not answer, or does not have the sale.
pub(crate) async fn buy_beside(
    shops: &[SocketAddr],
    sale_id: i64,
    start: Instant,
    urls_live: Option<Duration>,
) -> anyhow::Result<Beside> {
    let one = async |n: usize| {
        sleep(APART * n as u32).await;
        let mut connection = Connection::open(shops[n % shops.len()]).await?;
        let link = open_sale(&mut connection, sale_id).await?;
        let (buyer_id, wanted) = (FIRST + n as i64, start.elapsed());
        let asked = Instant::now();
        let (mut answer, mut requests) = buy(&mut connection, &link, buyer_id).await;
        // On a busy machine the purchase URL may have expired before it was used. Then the buyer asks for another one.
        let is_refused = matches!(&answer, Answer::Refused(kind) if kind == "wrong-path");
        if is_refused && urls_live.is_some_and(|urls_live| asked.elapsed() > urls_live) {
            let (second, more) = buy(&mut connection, &link, buyer_id).await;
            (answer, requests) = (second, requests + more);
        }
        anyhow::Ok((
            vec![Told { buyer_id, sale_id, wanted, sent: wanted, answered: start.elapsed(), answer }],
            requests + 1,
        ))
    };
    let (history, requests) = at_once(BUYERS, one).await?;
    Ok(Beside { history, requests })
}

/// Why an attack says nothing: a shop that answers slowly has let it make less than half of its tries.
pub(crate) fn few_tries(made: usize, planned: usize) -> Option<String> {
    (made * 2 < planned)
        .then(|| format!("only {} of {} tries were made", thousands(made as i64), thousands(planned as i64)))
}

impl Beside {
    /// The run's result: the attackers' answers and those of the honest buyers. Only the honest buyers count as demand.
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

#[cfg(test)]
mod tests {
    use super::few_tries;

    #[test]
    fn an_attack_needs_half_of_its_tries() {
        assert_eq!(few_tries(499, 1000).as_deref(), Some("only 499 of 1,000 tries were made"));
        assert_eq!(few_tries(0, 1).as_deref(), Some("only 0 of 1 tries were made"));
        for (made, planned) in [(500, 1000), (1000, 1000), (1, 1), (0, 0)] {
            assert_eq!(few_tries(made, planned), None, "{made} of {planned}");
        }
    }
}
