use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    buyer::{pause, result},
    client::Connection,
    history::{Answer, Told},
};

/// Connections on which everybody in here asks.
const CONNECTIONS: usize = 16;
/// How long somebody asks. Who knows nothing then was promised an answer and got none.
const PATIENCE: Duration = Duration::from_secs(60);

/// Buyers who were told `queued`: they ask what became of it while others still buy.
pub(crate) struct WaitingRoom {
    lines: Vec<mpsc::UnboundedSender<Told>>,
    asking: JoinSet<Vec<Told>>,
}

impl WaitingRoom {
    /// Opens it; times count from `start`.
    pub(crate) fn open(shops: &[SocketAddr], start: Instant) -> WaitingRoom {
        let (mut lines, mut asking) = (Vec::new(), JoinSet::new());
        for n in 0..CONNECTIONS {
            let (line, arriving) = mpsc::unbounded_channel();
            lines.push(line);
            asking.spawn(ask(shops.to_vec(), n, start, arriving));
        }
        WaitingRoom { lines, asking }
    }

    /// Where buyers go in.
    pub(crate) fn lines(&self) -> Vec<mpsc::UnboundedSender<Told>> {
        self.lines.clone()
    }

    /// Waits until everybody has an answer, or none in time.
    pub(crate) async fn empty(mut self) -> anyhow::Result<Vec<Told>> {
        self.lines.clear();
        let mut history = Vec::new();
        while let Some(told) = self.asking.join_next().await {
            history.extend(told?);
        }
        Ok(history)
    }
}

/// Asks for one after the other, whoever's time has come, each after ever longer pauses.
async fn ask(
    shops: Vec<SocketAddr>,
    mut turn: usize,
    start: Instant,
    mut arriving: mpsc::UnboundedReceiver<Told>,
) -> Vec<Told> {
    // Who asks next, when, and how often before.
    let (mut line, mut history, mut open) = (BTreeMap::<(Instant, i64), (u32, Told)>::new(), Vec::new(), true);
    let mut connection = None;
    while open || !line.is_empty() {
        let due = line.first_key_value().map_or(start, |((due, _), _)| *due);
        tokio::select! {
            biased;
            told = arriving.recv(), if open => match told {
                Some(told) => drop(line.insert((start + told.answered + pause(0), told.buyer_id), (0, told))),
                None => open = false,
            },
            () = sleep_until(due), if !line.is_empty() => {
                let Some(((_, buyer_id), (asked, mut told))) = line.pop_first() else { continue };
                let Answer::Queued { order_id } = told.answer else { continue };
                if connection.is_none() {
                    turn += 1; // another instance may be up
                    connection = Connection::open(shops[turn % shops.len()]).await.ok();
                }
                let answer = match &mut connection {
                    Some(connection) => result(connection, order_id, told.buyer_id).await,
                    None => None,
                };
                match answer {
                    Some(Answer::Queued { .. }) => {}
                    Some(answer) => told.answer = answer,
                    None => connection = None,
                }
                let now = Instant::now();
                let waiting = matches!(told.answer, Answer::Queued { .. });
                if waiting && now < start + told.answered + PATIENCE {
                    line.insert((now + pause(asked + 1), buyer_id), (asked + 1, told));
                } else {
                    if !waiting {
                        told.answered = now - start;
                    }
                    history.push(told);
                }
            }
        }
    }
    history
}
