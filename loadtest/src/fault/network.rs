//! The network between an instance and a server, as a proxy that can go silent, refuse, delay and cut.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};
use url::Url;

/// Bytes that one direction of a connection keeps while it is silent. Beyond them the sender waits.
const MOST_HELD: usize = 16 << 20;

/// A proxy in front of one server. It forwards everything until it is told otherwise, and ends when it is dropped.
///
/// *Silent* means: both sockets stay open and nothing is forwarded in either direction, not even that one end has closed.
/// A lost host and a firewall that drops packets look like this: neither end gets a FIN or a reset. One thing differs: the
/// proxy's kernel still answers TCP keepalives, so only bounds of the application notice.
pub struct Network {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    server: Arc<Mutex<Host>>,
    counts: Arc<Counts>,
}

/// A host and a port.
type Host = (String, u16);

#[derive(Default)]
struct Counts {
    /// Connections so far.
    opened: AtomicUsize,
    /// Connections that are open now.
    open: AtomicUsize,
    /// From which ports the connections that are open now lead to the server.
    ports: Mutex<BTreeMap<usize, u16>>,
    /// Bytes that wait now, by connection and direction.
    held: Mutex<BTreeMap<(usize, Direction), Vec<u8>>>,
}

/// What is done with bytes and with new connections. Connections are numbered from 0.
#[derive(Debug, Clone, Default)]
struct Rules {
    /// Bytes wait.
    hold: bool,
    /// Requests with this in them wait, and all that come behind them on the same connection.
    hold_request: Option<Arc<[u8]>>,
    /// Connections below this number are silent for ever.
    lost_below: usize,
    /// Connections below this number are closed.
    cut_below: usize,
    /// New connections are closed at once.
    refuse: bool,
    /// How much later each chunk arrives.
    delay: Duration,
}

/// Which way bytes take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    ToServer,
    ToClient,
}

impl Network {
    /// Opens a proxy to the server at `url`, on a free port of loopback.
    ///
    /// # Errors
    /// The URL names no host or port, or no port is free.
    pub async fn to(url: &Url) -> anyhow::Result<Network> {
        let server = Arc::new(Mutex::new(host(url)?));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let network = Network {
            address: listener.local_addr()?,
            rules: watch::Sender::new(Rules::default()),
            server: server.clone(),
            counts: Arc::default(),
        };
        tokio::spawn(accept(listener, server, network.rules.subscribe(), network.counts.clone()));
        Ok(network)
    }

    /// The server's URL by way of this proxy.
    pub fn instead_of(&self, url: &Url) -> Url {
        let mut url = url.clone();
        let _ = url.set_host(Some("127.0.0.1"));
        let _ = url.set_port(Some(self.address.port()));
        url
    }

    /// Forwards nothing from now on, neither of open connections nor of new ones, until [`restore`](Network::restore).
    pub fn silence(&self) {
        self.rules.send_modify(|rules| rules.hold = true);
    }

    /// Open connections are silent for ever. New ones work.
    pub fn lose_open_connections(&self) {
        self.rules.send_modify(|rules| rules.lost_below = self.opened());
    }

    /// The next request with these bytes in it waits until [`restore`](Network::restore), as do those behind it on the same
    /// connection. Everything else passes.
    pub fn hold_request(&self, bytes: &[u8]) {
        self.rules.send_modify(|rules| rules.hold_request = Some(bytes.into()));
    }

    /// Refuses new connections until [`restore`](Network::restore).
    pub fn refuse(&self) {
        self.rules.send_modify(|rules| rules.refuse = true);
    }

    /// New connections lead to another server, as after a failover by name. Open ones stay.
    ///
    /// # Errors
    /// The URL names no host or port.
    pub fn lead_to(&self, url: &Url) -> anyhow::Result<()> {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = host(url)?;
        Ok(())
    }

    /// Everything arrives this much later, until [`restore`](Network::restore).
    pub fn delay(&self, delay: Duration) {
        self.rules.send_modify(|rules| rules.delay = delay);
    }

    /// Closes all open connections, on both sides.
    pub fn cut(&self) {
        self.rules.send_modify(|rules| rules.cut_below = self.opened());
    }

    /// Works again: what was held arrives, except on connections that are lost.
    pub fn restore(&self) {
        self.rules.send_modify(|rules| {
            *rules = Rules { lost_below: rules.lost_below, cut_below: rules.cut_below, ..Rules::default() };
        });
    }

    /// Connections that were opened so far.
    pub fn opened(&self) -> usize {
        self.counts.opened.load(SeqCst)
    }

    /// Connections that are open now: at least one end has not closed.
    pub fn open(&self) -> usize {
        self.counts.open.load(SeqCst)
    }

    /// The ports from which open connections come, as the server sees them.
    pub fn ports(&self) -> Vec<u16> {
        self.counts.ports().values().copied().collect()
    }

    /// Lost connections that the server has not given up.
    pub fn lost_at_server(&self) -> usize {
        self.counts.ports().range(..self.rules.borrow().lost_below).count()
    }

    /// Whether anything waits now.
    pub fn is_holding(&self) -> bool {
        !self.counts.held().is_empty()
    }

    /// Whether these bytes wait now on their way to the server.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let requests = |((_, direction), held): (&(usize, Direction), &Vec<u8>)| {
            *direction == Direction::ToServer && contains(held, bytes)
        };
        self.counts.held().iter().any(requests)
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn host(url: &Url) -> anyhow::Result<Host> {
    Ok((url.host_str().context("no host")?.to_owned(), url.port().context("no port")?))
}

async fn accept(
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
            continue; // closed as it is dropped
        }
        let number = counts.opened.fetch_add(1, SeqCst);
        let pipe = Pipe { number, rules: rules.clone(), counts: counts.clone() };
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
        // When one direction breaks, the other one is closed as well.
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

/// One connection's number, and what is to be done with its bytes.
#[derive(Clone)]
struct Pipe {
    number: usize,
    rules: watch::Receiver<Rules>,
    counts: Arc<Counts>,
}

impl Counts {
    fn ports(&self) -> MutexGuard<'_, BTreeMap<usize, u16>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<(usize, Direction), Vec<u8>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipe {
    async fn forward(
        mut self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        direction: Direction,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            // The end of a stream waits as bytes do: whoever is silent does not say that it has gone.
            let mut end = from.read_buf(&mut bytes).await? == 0;
            let delay = self.rules.borrow().delay;
            sleep(delay).await;
            if end {
                self.has_ended(direction);
            }
            end |= self.hold(&mut from, &mut bytes, direction).await?;
            to.write_all(&bytes).await?;
            self.counts.held().remove(&(self.number, direction));
            bytes.clear();
            if end {
                return to.shutdown().await;
            }
        }
    }

    /// Waits until bytes may pass, and gathers meanwhile what comes behind them; returns whether that was the end.
    async fn hold(&mut self, from: &mut OwnedReadHalf, bytes: &mut Vec<u8>, direction: Direction) -> io::Result<bool> {
        let mut end = false;
        while self.holds(bytes, direction) {
            self.counts.held().insert((self.number, direction), bytes.clone());
            tokio::select! {
                passes = self.rules.changed() => passes.map_err(|_| io::ErrorKind::BrokenPipe)?, // the network is gone
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

    /// A connection that the server has closed comes from no port any more, as the server sees it.
    fn has_ended(&self, direction: Direction) {
        if direction == Direction::ToClient {
            self.counts.ports().remove(&self.number);
        }
    }

    fn holds(&self, bytes: &[u8], direction: Direction) -> bool {
        let rules = self.rules.borrow();
        let request = |part: &Arc<[u8]>| direction == Direction::ToServer && contains(bytes, part);
        rules.hold || self.number < rules.lost_below || rules.hold_request.as_ref().is_some_and(request)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// A server that sends back what it gets, and counts those who have gone.
    async fn echo() -> (Url, watch::Receiver<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (gone, seen) = watch::channel(0);
        let gone = Arc::new(gone);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let gone = gone.clone();
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                    gone.send_modify(|gone| *gone += 1);
                });
            }
        });
        (url, seen)
    }

    async fn says(stream: &mut TcpStream, byte: u8) -> Option<u8> {
        stream.write_all(&[byte]).await.ok()?;
        timeout(Duration::from_millis(300), stream.read_u8()).await.ok()?.ok()
    }

    #[tokio::test]
    async fn a_silent_network_tells_nobody_anything() {
        let (url, mut gone) = echo().await;
        let network = Network::to(&url).await.unwrap();
        let mut old = TcpStream::connect(network.address).await.unwrap();
        assert_eq!(says(&mut old, 1).await, Some(1));
        network.silence();
        assert_eq!(says(&mut old, 2).await, None);
        drop(old); // its host is lost, and the server does not hear of it
        assert!(timeout(Duration::from_millis(300), gone.changed()).await.is_err());
        assert!(network.is_holding() && network.holds(&[2]));
        network.restore();
        timeout(Duration::from_secs(10), gone.wait_for(|gone| *gone == 1)).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_server_that_gives_a_lost_connection_up_is_known_to_and_its_client_hears_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        let network = Network::to(&url).await.unwrap();
        let mut client = TcpStream::connect(network.address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let seen = async {
            while network.ports().is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), seen).await.unwrap();
        assert_eq!(network.lost_at_server(), 0, "it is not lost");
        network.lose_open_connections();
        assert_eq!(network.lost_at_server(), 1);
        drop(server);
        let gone = async {
            while network.lost_at_server() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), gone).await.unwrap();
        assert!(timeout(Duration::from_millis(300), client.read_u8()).await.is_err());
    }

    #[tokio::test]
    async fn what_is_lost_stays_lost_and_what_is_new_works() {
        let (url, gone) = echo().await;
        let network = Network::to(&url).await.unwrap();
        let mut old = TcpStream::connect(network.address).await.unwrap();
        assert_eq!(says(&mut old, 1).await, Some(1));
        network.lose_open_connections();
        let mut new = TcpStream::connect(network.address).await.unwrap();
        assert_eq!((says(&mut old, 2).await, says(&mut new, 3).await), (None, Some(3)));
        assert_eq!(network.ports().len(), 2, "the server has both");
        network.restore();
        assert_eq!((says(&mut old, 2).await, *gone.borrow()), (None, 0));
        network.hold_request(&[7]);
        assert_eq!((says(&mut new, 6).await, says(&mut new, 7).await), (Some(6), None));
        assert!(network.holds(&[7]));
        let mut third = TcpStream::connect(network.address).await.unwrap();
        assert_eq!(says(&mut third, 8).await, Some(8));
        network.refuse();
        let mut refused = TcpStream::connect(network.address).await.unwrap();
        assert_eq!((says(&mut refused, 4).await, says(&mut third, 5).await), (None, Some(5)));
        network.cut();
        assert_eq!(timeout(Duration::from_secs(10), new.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
        let cut = async {
            while network.holds(&[7]) {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), cut).await.expect("what was cut waits no more");
    }
}
