//! A proxy between a browser and a shop. It breaks what a reverse proxy may break: WebSockets and answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// nginx's answer after its timeout: the shop may have carried out the request.
const GAVE_UP: &str = "HTTP/1.1 504 Gateway Time-out\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\
                       connection: close\r\n\r\n<h1>504</h1>\n";
/// A shop's answer while its database is away: nothing was done.
const OVERLOADED: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
                          content-length: 21\r\nconnection: close\r\n\r\n{\"type\":\"overloaded\"}";
const REFUSED: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Forwards everything until a fault is set.
pub struct Edge {
    pub address: SocketAddr,
    wire: Arc<Wire>,
}

struct Wire {
    refuses: AtomicBool,
    /// The number of WebSockets that were requested.
    asked: AtomicUsize,
    cut: watch::Sender<usize>,
    /// How many answers are still to be lost, for requests with this text in their path.
    losing: std::sync::Mutex<(usize, &'static str)>,
    /// How many such requests are refused after that.
    overloaded: AtomicUsize,
}

impl Edge {
    pub async fn before(shop: SocketAddr) -> Edge {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(Wire {
            refuses: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            cut: watch::Sender::new(0),
            losing: Default::default(),
            overloaded: AtomicUsize::new(0),
        });
        let of = wire.clone();
        tokio::spawn(async move {
            while let Ok((browser, _)) = listener.accept().await {
                let wire = of.clone();
                tokio::spawn(async move { wire.pass(browser, shop).await });
            }
        });
        Edge { address, wire }
    }

    /// Blocks new WebSockets, or allows them again.
    pub fn refuse_websockets(&self, refuse: bool) {
        self.wire.refuses.store(refuse, SeqCst);
    }

    /// Closes all open WebSockets.
    pub fn cut_websockets(&self) {
        self.wire.cut.send_modify(|cuts| *cuts += 1);
    }

    /// The number of open WebSockets.
    pub fn websockets(&self) -> usize {
        self.wire.cut.receiver_count()
    }

    /// The number of WebSockets that the browser has requested so far.
    pub fn asked(&self) -> usize {
        self.wire.asked.load(SeqCst)
    }

    /// Loses the next answers to requests with `part` in their path. The shop has carried them out by then.
    pub fn lose(&self, answers: usize, part: &'static str) {
        *self.wire.losing.lock().unwrap() = (answers, part);
    }

    /// Loses the next answer to a request with `part` in its path, and refuses the next two as `overloaded`.
    pub fn lose_and_overload(&self, part: &'static str) {
        self.lose(1, part);
        self.wire.overloaded.store(2, SeqCst);
    }

    /// The number of requests that are still to be refused.
    pub fn overloaded(&self) -> usize {
        self.wire.overloaded.load(SeqCst)
    }

    /// The number of answers that are still to be lost.
    pub fn losing(&self) -> usize {
        self.wire.losing.lock().unwrap().0
    }
}

impl Wire {
    /// Serves one connection. A browser sends a request only after the last answer, and our requests fit into one read.
    async fn pass(&self, mut browser: TcpStream, shop: SocketAddr) -> std::io::Result<()> {
        let mut shop = TcpStream::connect(shop).await?;
        let (mut request, mut answer) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        let mut loses = false;
        loop {
            tokio::select! {
                read = browser.read(&mut request) => {
                    let n @ 1.. = read? else { return Ok(()) };
                    let head = String::from_utf8_lossy(&request[..n]);
                    let line = head.lines().next().unwrap_or_default();
                    if line.contains("/watch ") {
                        self.asked.fetch_add(1, SeqCst);
                        if self.refuses.load(SeqCst) {
                            return browser.write_all(REFUSED.as_bytes()).await;
                        }
                        shop.write_all(&request[..n]).await?;
                        let mut cut = self.cut.subscribe();
                        tokio::select! {
                            _ = copy_bidirectional(&mut browser, &mut shop) => {}
                            _ = cut.changed() => {}
                        }
                        return Ok(());
                    }
                    if self.overloads(line) {
                        return browser.write_all(OVERLOADED.as_bytes()).await;
                    }
                    shop.write_all(&request[..n]).await?;
                    loses |= self.loses(line);
                }
                read = shop.read(&mut answer) => {
                    let n @ 1.. = read? else { return Ok(()) };
                    if loses {
                        return browser.write_all(GAVE_UP.as_bytes()).await;
                    }
                    browser.write_all(&answer[..n]).await?;
                }
            }
        }
    }

    fn overloads(&self, line: &str) -> bool {
        let (answers, part) = *self.losing.lock().unwrap();
        let left = |n: usize| n.checked_sub(1);
        answers == 0 && line.contains(part) && self.overloaded.fetch_update(SeqCst, SeqCst, left).is_ok()
    }

    fn loses(&self, line: &str) -> bool {
        let mut losing = self.losing.lock().unwrap();
        let (answers, part) = *losing;
        let hit = answers > 0 && line.contains(part);
        losing.0 -= usize::from(hit);
        hit
    }
}
