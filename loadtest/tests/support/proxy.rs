//! A proxy in front of a real server, for faults on the wire: delayed answers, lost acknowledgements.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
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

/// `connection.close` of AMQP, as class and number.
const CLOSE: (u8, u8) = (10, 50);
/// `basic.consume`.
const CONSUME: (u8, u8) = (60, 20);
/// `basic.ack`.
const ACK: (u8, u8) = (60, 80);

/// Forwards everything until a fault is set.
pub struct Proxy {
    address: SocketAddr,
    wire: Arc<Wire>,
}

#[derive(Default)]
struct Wire {
    held: watch::Sender<bool>,
    held_from: Mutex<Option<&'static [u8]>>,
    without_acks: AtomicBool,
    acks_dropped: AtomicUsize,
    without_consumers: AtomicBool,
    given_up: AtomicUsize,
    scripts: AtomicUsize,
}

impl Proxy {
    /// Starts it in front of the server at `url`.
    pub async fn to(url: &Url) -> Proxy {
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(Wire::default());
        let of = wire.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(up(from_client, to_server, of.clone()));
                tokio::spawn(down(from_server, to_client, of.held.subscribe()));
            }
        });
        Proxy { address, wire }
    }

    /// The server's URL with the proxy's address.
    pub fn instead_of(&self, url: &Url) -> Url {
        let mut url = url.clone();
        url.set_port(Some(self.address.port())).unwrap();
        url
    }

    /// Holds answers from now on, or releases them.
    pub fn hold_answers(&self, hold: bool) {
        self.wire.held.send_replace(hold);
    }

    /// Holds answers from the first request that contains these bytes.
    pub fn hold_answers_from(&self, bytes: &'static [u8]) {
        *self.wire.held_from.lock().unwrap() = Some(bytes);
    }

    /// The number of scripts that Redis was asked to run.
    pub fn scripts(&self) -> usize {
        self.wire.scripts.load(SeqCst)
    }

    /// Drops every `basic.ack` from now on.
    pub fn drop_acks(&self) {
        self.wire.without_acks.store(true, SeqCst);
    }

    /// The number of acknowledgements that it has dropped.
    pub fn acks_dropped(&self) -> usize {
        self.wire.acks_dropped.load(SeqCst)
    }

    /// Drops every `basic.consume` from now on, so that it is never answered.
    pub fn drop_consumers(&self) {
        self.wire.without_consumers.store(true, SeqCst);
    }

    /// The number of connections that the client has closed after a `basic.consume` was dropped.
    pub fn given_up(&self) -> usize {
        self.wire.given_up.load(SeqCst)
    }
}

async fn down(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, mut hold: watch::Receiver<bool>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = server.read(&mut bytes).await {
        if hold.wait_for(|hold| !hold).await.is_err() || client.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}

async fn up(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, wire: Arc<Wire>) {
    let (mut bytes, mut frames) = (vec![0; 64 * 1024], Vec::new());
    let (mut amqp, mut consumes) = (None, false);
    while let Ok(n @ 1..) = client.read(&mut bytes).await {
        let bytes = &bytes[..n];
        let scripts = bytes.windows(7).filter(|word| *word == b"EVALSHA").count();
        wire.scripts.fetch_add(scripts, SeqCst);
        let holds = |from: &mut &[u8]| bytes.windows(from.len()).any(|word| word == *from);
        if wire.held_from.lock().unwrap().take_if(holds).is_some() {
            wire.held.send_replace(true);
        }
        let passed = if *amqp.get_or_insert(bytes.starts_with(b"AMQP")) {
            frames.extend_from_slice(bytes);
            whole_frames(&mut frames, &wire, &mut consumes)
        } else {
            bytes.to_vec()
        };
        if server.write_all(&passed).await.is_err() {
            return;
        }
    }
}

/// Takes whole frames off the front, without those that are dropped. `consumes` is set when a `basic.consume` of this connection was.
fn whole_frames(bytes: &mut Vec<u8>, wire: &Wire, consumes: &mut bool) -> Vec<u8> {
    let mut passed = Vec::new();
    loop {
        let length = match bytes.as_slice() {
            [b'A', b'M', b'Q', b'P', ..] => 8,
            // Type, channel and length of the payload come first, and an end mark follows it.
            [_, _, _, a, b, c, d, ..] => 8 + u32::from_be_bytes([*a, *b, *c, *d]) as usize,
            _ => return passed,
        };
        if bytes.len() < length {
            return passed;
        }
        let frame: Vec<u8> = bytes.drain(..length).collect();
        // A method has a class and a number, of two bytes each.
        let method = (frame[0] == 1).then(|| (frame[8], frame[10]));
        match method {
            Some(ACK) if wire.without_acks.load(SeqCst) => {
                wire.acks_dropped.fetch_add(1, SeqCst);
                continue;
            }
            Some(CONSUME) if wire.without_consumers.load(SeqCst) => {
                *consumes = true;
                continue;
            }
            Some(CLOSE) if *consumes => {
                wire.given_up.fetch_add(1, SeqCst);
            }
            _ => {}
        }
        passed.extend(frame);
    }
}
