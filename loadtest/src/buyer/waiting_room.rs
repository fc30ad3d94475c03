//! Queued buyers poll for their results while other buyers still click.

use std::{collections::BTreeMap, net::SocketAddr, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    click::{pause, result},
    client::Connection,
    progress::Progress,
};
use crate::verdict::history::{Answer, Told};

/// Connections that all queued buyers share.
const CONNECTIONS: usize = 16;
/// How long a buyer polls. Without a result by then, the promised answer is missing.
const PATIENCE: Duration = Duration::from_secs(60);

/// A buyer whose last answer was `queued`.
pub(crate) struct Waiting {
    pub(crate) told: Told,
    /// Whether the buyer clicked while a fault was in place.
    pub(crate) after_fault: bool,
}

/// Polls the orders of all queued buyers in the background.
pub(crate) struct WaitingRoom {
    lines: Vec<mpsc::UnboundedSender<Waiting>>,
    asking: JoinSet<Vec<Told>>,
}

impl WaitingRoom {
    /// Starts polling; times count from `start`.
    pub(crate) fn open(shops: &[SocketAddr], start: Instant, progress: &Progress) -> WaitingRoom {
        let (mut lines, mut asking) = (Vec::new(), JoinSet::new());
        for n in 0..CONNECTIONS {
            let (line, arriving) = mpsc::unbounded_channel();
            lines.push(line);
            asking.spawn(ask(shops.to_vec(), n, start, arriving, progress.clone()));
        }
        WaitingRoom { lines, asking }
    }

    /// The channels that queued buyers are sent to.
    pub(crate) fn lines(&self) -> Vec<mpsc::UnboundedSender<Waiting>> {
        self.lines.clone()
    }

    /// Waits until every buyer has a result or has given up.
    pub(crate) async fn empty(mut self) -> anyhow::Result<Vec<Told>> {
        self.lines.clear();
        let mut history = Vec::new();
        while let Some(told) = self.asking.join_next().await {
            history.extend(told?);
        }
        Ok(history)
    }
}

/// The queued buyers of one connection, by due time and buyer: the number of polls so far, and the buyer.
type Line = BTreeMap<(Instant, i64), (u32, Waiting)>;

/// Polls the orders until each buyer has a result. If the run is ended, the results of those who still wait are unknown.
async fn ask(
    shops: Vec<SocketAddr>,
    turn: usize,
    start: Instant,
    mut arriving: mpsc::UnboundedReceiver<Waiting>,
    progress: Progress,
) -> Vec<Told> {
    let (mut line, mut history) = (Line::new(), Vec::new());
    tokio::select! {
        () = ask_all(shops, turn, start, &mut arriving, &progress, &mut line, &mut history) => return history,
        () = progress.ending.given_up() => {}
    }
    let mut left: Vec<_> = line.into_values().map(|(_, waiting)| waiting).collect();
    while let Some(waiting) = arriving.recv().await {
        left.push(waiting);
    }
    for Waiting { told, .. } in left {
        progress.settled.fetch_add(1, Relaxed);
        let told = Told { answer: Answer::Unknown, answered: Instant::now() - start, ..told };
        progress.told(&told.answer, told.latency());
        history.push(told);
    }
    history
}

/// Polls the orders in the order in which they are due. Each buyer's pauses grow. Past its time, a buyer asks once more, but not a shop that
/// is silent.
async fn ask_all(
    shops: Vec<SocketAddr>,
    mut turn: usize,
    start: Instant,
    arriving: &mut mpsc::UnboundedReceiver<Waiting>,
    progress: &Progress,
    line: &mut Line,
    history: &mut Vec<Told>,
) {
    let (mut open, mut connection, mut is_silent) = (true, None, false);
    while open || !line.is_empty() {
        let due = line.first_key_value().map_or(start, |((due, _), _)| *due);
        tokio::select! {
            biased;
            told = arriving.recv(), if open => match told {
                Some(waiting) => {
                    let due = start + waiting.told.answered + pause(0);
                    line.insert((due, waiting.told.buyer_id), (0, waiting));
                }
                None => open = false,
            },
            () = sleep_until(due), if !line.is_empty() => {
                // The buyer stays in line while it asks, so that it is not lost if the run is ended meanwhile.
                let Some((&key, (_, waiting))) = line.first_key_value() else { continue };
                let (Answer::Queued { order_id }, (_, buyer_id)) = (&waiting.told.answer, key) else { continue };
                let (order_id, patience_ends) = (*order_id, start + waiting.told.answered + PATIENCE);
                let gives_up = is_silent && Instant::now() >= patience_ends;
                if connection.is_none() && !gives_up {
                    turn += 1; // try another instance
                    let opened = timeout(PATIENCE, Connection::open(shops[turn % shops.len()])).await;
                    connection = opened.ok().and_then(Result::ok);
                }
                let answer = match &mut connection {
                    Some(connection) => result(connection, order_id, buyer_id).await,
                    None => None,
                };
                is_silent = answer.is_none();
                let Some((asked, mut waiting)) = line.remove(&key) else { continue };
                let told = &mut waiting.told;
                match answer {
                    Some(Answer::Queued { .. }) => {}
                    Some(answer) => told.answer = answer,
                    None => connection = None,
                }
                let now = Instant::now();
                let still = matches!(told.answer, Answer::Queued { .. });
                if still && now < patience_ends {
                    line.insert((now + pause(asked + 1), buyer_id), (asked + 1, waiting));
                    continue;
                }
                if !still {
                    told.answered = now - start;
                }
                progress.settled.fetch_add(1, Relaxed);
                progress.told(&told.answer, told.latency());
                if waiting.after_fault && matches!(told.answer, Answer::Bought { .. }) {
                    progress.confirm();
                }
                history.push(waiting.told);
            }
        }
    }
}
