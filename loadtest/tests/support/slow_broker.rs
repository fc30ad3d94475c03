//! A proxy in front of RabbitMQ that withholds what is published: a broker that takes its time.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use url::Url;

/// Passes everything on. While `hold` is on, a connection that publishes stops at its first `basic.publish`.
pub struct SlowBroker {
    address: SocketAddr,
    hold: watch::Sender<bool>,
    /// Connections accepted in an earlier round are closed.
    round: watch::Sender<u32>,
    published: Arc<AtomicUsize>,
}

impl SlowBroker {
    /// In front of the server at `url`.
    pub async fn to(url: &Url) -> SlowBroker {
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = SlowBroker {
            address: listener.local_addr().unwrap(),
            hold: watch::Sender::new(false),
            round: watch::Sender::new(0),
            published: Arc::default(),
        };
        let (hold, round, published) = (broker.hold.subscribe(), broker.round.subscribe(), broker.published.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let mut cut = round.clone();
                cut.mark_unchanged();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let (hold, published) = (hold.clone(), published.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = up(from_client, to_server, hold, published) => {}
                        () = down(from_server, to_client) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        broker
    }

    /// The server's URL, by way of here.
    pub fn instead_of(&self, url: &Url) -> Url {
        let mut url = url.clone();
        url.set_port(Some(self.address.port())).unwrap();
        url
    }

    /// Withholds what is published from now on, or passes it on.
    pub fn hold(&self, hold: bool) {
        self.hold.send_replace(hold);
    }

    /// Closes all connections; what they withheld never arrives.
    pub fn cut(&self) {
        self.round.send_modify(|round| *round += 1);
    }

    /// Messages that were published to the queue of orders, withheld ones included.
    pub fn published(&self) -> usize {
        self.published.load(SeqCst)
    }
}

async fn down(mut server: OwnedReadHalf, mut client: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut server, &mut client).await;
}

async fn up(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    mut hold: watch::Receiver<bool>,
    published: Arc<AtomicUsize>,
) {
    let (mut bytes, mut read) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(n @ 1..) = client.read(&mut read).await {
        bytes.extend_from_slice(&read[..n]);
        while let Some(frame) = next_frame(&mut bytes) {
            // A method (type 1) of class 60 (basic), number 40 (publish).
            if frame[0] == 1 && frame[7..11] == [0, 60, 0, 40] {
                // Whoever tries whether RabbitMQ takes messages publishes to no queue.
                published.fetch_add(usize::from(frame.windows(7).any(|part| part == b".orders")), SeqCst);
                if hold.wait_for(|hold| !hold).await.is_err() {
                    return;
                }
            }
            if server.write_all(&frame).await.is_err() {
                return;
            }
        }
    }
}

/// Takes the first whole frame off the front, or the protocol header, which is no frame.
fn next_frame(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = match bytes.as_slice() {
        [b'A', b'M', b'Q', b'P', ..] => 8,
        // Type, channel, length of the payload; and an end mark behind it.
        [_, _, _, a, b, c, d, ..] => 8 + u32::from_be_bytes([*a, *b, *c, *d]) as usize,
        _ => return None,
    };
    (bytes.len() >= length).then(|| bytes.drain(..length).collect())
}
