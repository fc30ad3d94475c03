//! The connections of a proxy, and the data on them.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};

use super::rules::{Counts, Direction, Host, Rules, contains};

/// The bytes that a silent direction of a connection keeps. When it is full, the sender has to wait.
const MOST_HELD: usize = 16 << 20;
/// The most bytes that are read at once.
const CHUNK: usize = 16 << 10;

pub(super) async fn accept(
    listener: TcpListener,
    server: Arc<Mutex<Host>>,
    mut rules: watch::Receiver<Rules>,
    counts: Arc<Counts>,
) {
    loop {
        let client = tokio::select! {
            client = listener.accept() => client,
            () = dropped(&mut rules) => return,
        };
        let Ok((client, _)) = client else { continue };
        if rules.borrow().refuse {
            continue; // dropping the socket closes it
        }
        let number = counts.opened.fetch_add(1, SeqCst);
        let pipe = Pipe { number, rules: rules.clone(), counts: counts.clone(), torn: Arc::default() };
        let server = server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let counts = counts.clone();
        tokio::spawn(async move {
            counts.open.fetch_add(1, SeqCst);
            connection(client, server, pipe).await;
            counts.open.fetch_sub(1, SeqCst);
        });
    }
}

async fn dropped(rules: &mut watch::Receiver<Rules>) {
    while rules.changed().await.is_ok() {}
}

async fn connection(client: TcpStream, server: Host, pipe: Pipe) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    if let Ok(address) = server.local_addr() {
        pipe.counts.ports().insert(pipe.number, address.port());
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let (up, down, mut rules) = (pipe.clone(), pipe.clone(), pipe.rules.clone());
    let forward = async {
        // If one direction breaks, the other one is closed too.
        let up = up.forward(from_client, to_server, Direction::ToServer);
        tokio::try_join!(up, down.forward(from_server, to_client, Direction::ToClient))
    };
    tokio::select! {
        _ = forward => {}
        _ = rules.wait_for(|rules| pipe.number < rules.cut_below) => {}
    }
    pipe.counts.held().retain(|(number, _), _| *number != pipe.number);
    pipe.counts.ports().remove(&pipe.number);
}

/// The connection's number and the rules for its data.
#[derive(Clone)]
struct Pipe {
    number: usize,
    rules: watch::Receiver<Rules>,
    counts: Arc<Counts>,
    /// Whether this connection is silent for good, because a request was torn.
    torn: Arc<AtomicBool>,
}

impl Pipe {
    async fn forward(
        mut self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        direction: Direction,
    ) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(CHUNK);
        loop {
            // The end of a stream is held like data: a silent connection does not pass on a close.
            let mut end = from.read_buf(&mut bytes).await? == 0;
            let delay = self.rules.borrow().delay;
            if !delay.is_zero() {
                sleep(delay).await;
            }
            if end {
                self.has_ended(direction);
            }
            end |= self.hold(&mut from, &mut bytes, direction).await?;
            if let Some(tail) = self.tears(&bytes, direction) {
                self.torn.store(true, SeqCst);
                let passes = bytes.len().saturating_sub(tail);
                to.write_all(&bytes[..passes]).await?;
                bytes.drain(..passes);
                continue;
            }
            to.write_all(&bytes).await?;
            self.counts.held().remove(&(self.number, direction));
            bytes.clear();
            if end {
                return to.shutdown().await;
            }
        }
    }

    /// Waits until data may pass, and meanwhile collects what follows. Returns whether the stream has ended.
    async fn hold(&mut self, from: &mut OwnedReadHalf, bytes: &mut Vec<u8>, direction: Direction) -> io::Result<bool> {
        let mut end = false;
        while self.holds(bytes, direction) {
            self.counts.held().insert((self.number, direction), bytes.clone());
            tokio::select! {
                passes = self.rules.changed() => passes.map_err(|_| io::ErrorKind::BrokenPipe)?, // the proxy was dropped
                more = from.read_buf(bytes), if !end && bytes.len() < MOST_HELD => {
                    end = more.map_or(true, |n| n == 0);
                    if end {
                        self.has_ended(direction);
                    }
                }
            }
        }
        Ok(end)
    }

    /// How many bytes at the end of this request must not pass, if it is to be torn.
    fn tears(&self, bytes: &[u8], direction: Direction) -> Option<usize> {
        let rules = self.rules.borrow();
        let (part, tail) = rules.tear_request.as_ref().filter(|_| direction == Direction::ToServer)?;
        contains(bytes, part).then_some(*tail)
    }

    /// A connection that the server has closed no longer has a client port.
    fn has_ended(&self, direction: Direction) {
        if direction == Direction::ToClient {
            self.counts.ports().remove(&self.number);
        }
    }

    fn holds(&self, bytes: &[u8], direction: Direction) -> bool {
        let rules = self.rules.borrow();
        let request = |part: &Arc<[u8]>| direction == Direction::ToServer && contains(bytes, part);
        rules.hold
            || self.torn.load(SeqCst)
            || self.number < rules.lost_below
            || rules.hold_request.as_ref().is_some_and(request)
    }
}
