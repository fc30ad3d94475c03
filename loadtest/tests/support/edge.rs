//! Stands between a browser and a shop, as an edge does, and breaks what edges break: WebSockets and answers.

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

/// What nginx says when it has waited for long enough: the shop may have done it.
const GAVE_UP: &str = "HTTP/1.1 504 Gateway Time-out\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\
                       connection: close\r\n\r\n<h1>504</h1>\n";
const REFUSED: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Passes everything on, unless told otherwise.
pub struct Edge {
    pub address: SocketAddr,
    wire: Arc<Wire>,
}

struct Wire {
    refuses: AtomicBool,
    /// WebSockets that were asked for.
    asked: AtomicUsize,
    cut: watch::Sender<usize>,
    /// Answers still to be lost of requests whose address has this in it.
    losing: std::sync::Mutex<(usize, &'static str)>,
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

    /// Lets no WebSocket through from now on, or lets them.
    pub fn refuse_websockets(&self, refuse: bool) {
        self.wire.refuses.store(refuse, SeqCst);
    }

    /// Hangs up on all that are open.
    pub fn cut_websockets(&self) {
        self.wire.cut.send_modify(|cuts| *cuts += 1);
    }

    /// That are open.
    pub fn websockets(&self) -> usize {
        self.wire.cut.receiver_count()
    }

    /// WebSockets that the browser has asked for so far.
    pub fn asked(&self) -> usize {
        self.wire.asked.load(SeqCst)
    }

    /// Loses the next answers to requests with `part` in their address. The shop has done what was asked by then.
    pub fn lose(&self, answers: usize, part: &'static str) {
        *self.wire.losing.lock().unwrap() = (answers, part);
    }

    /// Answers still to be lost.
    pub fn losing(&self) -> usize {
        self.wire.losing.lock().unwrap().0
    }
}

impl Wire {
    /// One connection. A browser sends a request when the last one was answered, and ours fit into one read.
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

    fn loses(&self, line: &str) -> bool {
        let mut losing = self.losing.lock().unwrap();
        let (answers, part) = *losing;
        let hit = answers > 0 && line.contains(part);
        losing.0 -= usize::from(hit);
        hit
    }
}
