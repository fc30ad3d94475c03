//! The load: prepared requests on a fixed number of connections, in a closed or an open loop.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep_until};
use v1_naive::shop::sales::now_ms;

use crate::{
    buyer::{
        click::{Next, ask},
        client::Connection,
        crowd::Buyer,
    },
    verdict::{history::Answer, latency::Latency},
};

/// A load of prepared requests.
#[derive(Debug, Clone)]
pub struct Load {
    /// The shop.
    pub shop: SocketAddr,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// The buyers, each with the link of its request.
    pub buyers: Arc<[Buyer]>,
    /// Whether the buyers ask again and again. Otherwise each asks once.
    pub repeats: bool,
    /// No request is sent after this time.
    pub lasts: Duration,
    /// Requests per second of an open loop; `None` for a closed loop.
    pub rate: Option<f64>,
    /// The answers that count.
    pub wanted: Wanted,
}

/// The kind of answer that a load counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A unit: bought, or reserved and queued.
    Unit,
    /// The refusal `sold-out`.
    SoldOut,
    /// A sale with its purchase link.
    Sale,
}

/// The answers to a load.
#[derive(Debug, Default)]
pub struct Loaded {
    /// When the first request was sent, in milliseconds since 1970.
    pub began_at: i64,
    /// From the first request to the last answer, or to the end of the load if that came first.
    pub elapsed: Duration,
    /// How many answers count.
    pub counted: u64,
    /// Those that came in this time. After the end of a load only the slowest answers come, which have the shop for themselves.
    pub in_time: u64,
    /// All other answers by kind.
    pub others: BTreeMap<String, u64>,
    /// The latency of the answers that count, from when a request was due in an open loop and from when it was sent in a closed one;
    /// `None` if there are none.
    pub latency: Option<Latency>,
}

impl Loaded {
    /// Counted answers per second until the end of the load.
    pub fn per_second(&self) -> f64 {
        self.in_time as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// All answers in words: `3 as wanted, 7 sold-out`.
    pub fn says(&self) -> String {
        let others = self.others.iter().map(|(kind, n)| format!(", {n} {kind}"));
        format!("{} as wanted{}", self.counted, others.collect::<String>())
    }

    fn other(&mut self, kind: &str) {
        *self.others.entry(kind.to_owned()).or_default() += 1;
    }
}

impl Wanted {
    fn is(self, next: &Next) -> bool {
        match (self, next) {
            (Wanted::Unit, Next::Told(Answer::Bought { .. } | Answer::Queued { .. })) => true,
            (Wanted::SoldOut, Next::Told(Answer::Refused(kind))) => kind == "sold-out",
            (Wanted::Sale, Next::Follow(_)) => true,
            (Wanted::Unit | Wanted::SoldOut | Wanted::Sale, _) => false,
        }
    }
}

/// Opens the connections, then sends the load.
///
/// # Errors
/// A connection cannot be opened.
pub async fn run(load: Load) -> anyhow::Result<Loaded> {
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(Connection::open(load.shop).await?);
    }
    let (load, next, mut asking) = (Arc::new(load), Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let (start, began_at) = (Instant::now(), now_ms());
    for connection in connections {
        asking.spawn(ask_all(connection, load.clone(), next.clone(), start));
    }
    let (mut loaded, mut latencies) = (Loaded { began_at, ..Loaded::default() }, Vec::new());
    while let Some(asked) = asking.join_next().await {
        let (one, times) = asked?;
        loaded.counted += one.counted;
        loaded.in_time += one.in_time;
        loaded.elapsed = loaded.elapsed.max(one.elapsed);
        latencies.extend(times);
        for (kind, n) in one.others {
            *loaded.others.entry(kind).or_default() += n;
        }
    }
    loaded.latency = Latency::of_samples(latencies);
    Ok(loaded)
}

/// Sends requests on one connection, one after the other. Also returns the latencies of the answers that count.
async fn ask_all(
    mut connection: Connection,
    load: Arc<Load>,
    next: Arc<AtomicUsize>,
    start: Instant,
) -> (Loaded, Vec<Duration>) {
    let (mut loaded, mut latencies) = (Loaded::default(), Vec::new());
    loop {
        let n = next.fetch_add(1, Relaxed);
        let n_of_buyer = if load.repeats { n % load.buyers.len() } else { n };
        let Some(buyer) = load.buyers.get(n_of_buyer) else { break };
        let due = load.rate.map(|rate| start + Duration::from_secs_f64(n as f64 / rate));
        if let Some(due) = due.filter(|due| *due > Instant::now()) {
            sleep_until(due.into()).await;
        }
        let sent = Instant::now();
        if sent - start >= load.lasts {
            break;
        }
        let answer = ask(&mut connection, &buyer.link, buyer.id).await;
        let is_in_time = start.elapsed() <= load.lasts;
        loaded.elapsed = start.elapsed().min(load.lasts);
        match &answer {
            wanted if load.wanted.is(wanted) => {
                loaded.counted += 1;
                loaded.in_time += u64::from(is_in_time);
                latencies.push(due.unwrap_or(sent).elapsed());
            }
            Next::Told(other) => loaded.other(other.kind()),
            Next::Follow(_) => loaded.other("link"),
        }
        // The rest of an answer that did not come in time may still come.
        if matches!(answer, Next::Told(Answer::Unknown)) {
            match Connection::open(load.shop).await {
                Ok(opened) => connection = opened,
                Err(_) => break,
            }
        }
    }
    (loaded, latencies)
}
