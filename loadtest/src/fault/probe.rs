use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, interval, timeout},
};

use crate::{
    buyer::{click, open_sale},
    client::Connection,
    history::{Answer, Told},
    scenario::waiting_room::WaitingRoom,
};

/// The first of the buyers who try, far from any crowd's.
const FIRST: i64 = 10_000_001;
/// How often another one tries.
const EVERY: Duration = Duration::from_millis(50);
/// For how long. What has not come back by then is said not to come back.
const LONGEST: Duration = Duration::from_secs(60);
/// How long one waits for the sale's page before it tries another instance.
const FOR_THE_PAGE: Duration = Duration::from_secs(5);

/// Buyers who try one after the other, whether or not the last one has an answer, until one of them is served.
pub(super) struct Probes {
    /// What all of them were told. They are buyers like any other, and none of them may be lost.
    pub(super) history: Vec<Told>,
    /// When the first one was served, since the strike; nothing if none was.
    pub(super) recovered: Option<Duration>,
}

impl Probes {
    /// Lets them try at `shops` until one is told `queued`, or that all is sold; times count from when it was `struck`.
    pub(super) async fn send(shops: Vec<SocketAddr>, sale_id: i64, struck: Instant) -> anyhow::Result<Probes> {
        let waiting_room = WaitingRoom::open(&shops, struck);
        let (shops, mut buyers) = (Arc::<[SocketAddr]>::from(shops), FIRST..);
        let (mut ticks, mut trying) = (interval(EVERY), JoinSet::new());
        let mut told: Vec<Told> = Vec::new();
        while !told.iter().any(is_served) && struck.elapsed() < LONGEST {
            tokio::select! {
                _ = ticks.tick() => {
                    let buyer_id = buyers.next().unwrap_or(FIRST);
                    trying.spawn(attempt(Arc::clone(&shops), sale_id, buyer_id, struck));
                }
                Some(tried) = trying.join_next() => told.extend(tried?),
            }
        }
        told.extend(trying.join_all().await.into_iter().flatten());
        let served = told.iter().filter(|told| is_served(told)).map(|told| told.answered);
        let recovered = served.min().filter(|after| *after <= LONGEST);
        let (queued, mut history): (Vec<_>, _) =
            told.into_iter().partition(|told| matches!(told.answer, Answer::Queued { .. }));
        for (told, line) in queued.into_iter().zip(waiting_room.lines().iter().cycle()) {
            let _ = line.send(told);
        }
        history.extend(waiting_room.empty().await?);
        Ok(Probes { history, recovered })
    }
}

fn is_served(told: &Told) -> bool {
    told.is_decided() || matches!(told.answer, Answer::Queued { .. })
}

/// One buyer at the first instance that shows the sale's page; nothing if none does, because then nobody was asked.
async fn attempt(shops: Arc<[SocketAddr]>, sale_id: i64, buyer_id: i64, struck: Instant) -> Option<Told> {
    let wanted = struck.elapsed();
    for n in 0..shops.len() {
        let shop = shops[(buyer_id as usize + n) % shops.len()];
        let page = async {
            let mut connection = Connection::open(shop).await?;
            let link = open_sale(&mut connection, sale_id).await?;
            anyhow::Ok((connection, link))
        };
        if let Ok(Ok((mut connection, link))) = timeout(FOR_THE_PAGE, page).await {
            let (answer, _) = click(&mut connection, &link, buyer_id).await;
            return Some(Told { buyer_id, sale_id, wanted, answered: struck.elapsed(), answer });
        }
    }
    None
}
