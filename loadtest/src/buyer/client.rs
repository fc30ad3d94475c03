//! One HTTP/1.1 keep-alive connection that carries one request at a time, like a browser tab.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
};

use anyhow::anyhow;
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::sessions;

/// The longest body that is read, in bytes. A longer one is a broken answer, so that a shop cannot fill the memory.
const LONGEST: usize = 1 << 20;

/// An open connection to a shop.
pub struct Connection {
    /// The client address of all requests. `None`: each buyer has its own.
    pub from: Option<Ipv4Addr>,
    /// Whether requests carry the client address in `X-Forwarded-For`, as a trusted proxy adds it. A browser sends no such
    /// header.
    pub names_address: bool,
    /// The `Idempotency-Key` of every request; `None` if requests carry no key.
    pub key: Option<String>,
    sender: http1::SendRequest<Full<Bytes>>,
    /// Reads and writes the stream. It runs only while this connection is used, in the task that uses it: in a task of its own, each
    /// request and each answer would wake another task. `None` once the connection has ended.
    driver: Option<Driver>,
    host: HeaderValue,
}

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// The buyer's own client address, in 10.0.0.0/8. It is sent in `X-Forwarded-For`, as a proxy does.
pub fn home(buyer: i64) -> Ipv4Addr {
    Ipv4Addr::from_bits(10 << 24 | (buyer as u32 & 0x00ff_ffff))
}

/// The next request that the shop asks for: method, path and questions.
#[derive(Debug, Clone)]
pub struct Link {
    /// So far always `POST`.
    pub method: Method,
    /// A path on the same shop.
    pub uri: Uri,
    /// The questions that the request has to answer.
    pub asks: Vec<Asked>,
}

impl Link {
    /// A link without questions.
    ///
    /// # Errors
    /// `path` is not a valid URI.
    pub fn new(method: Method, path: &str) -> anyhow::Result<Link> {
        Ok(Link { method, uri: path.parse()?, asks: Vec::new() })
    }

    /// Whether this request takes a unit. All other links are steps before it.
    pub fn takes_a_unit(&self) -> bool {
        self.uri.path().contains("/purchase")
    }
}

/// A complete response.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The complete body.
    pub body: Bytes,
}

impl Connection {
    /// Connects to a shop.
    ///
    /// # Errors
    /// The shop does not listen at this address, or this process has too many open files.
    pub async fn open(shop: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(shop).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let host = HeaderValue::from_str(&shop.to_string()).map_err(io::Error::other)?;
        Ok(Self { from: None, names_address: true, key: None, sender, driver: Some(driver), host })
    }

    /// Whether the shop has closed the connection since the last response. No request was in flight, so no result is unknown.
    pub fn is_closed(&mut self) -> bool {
        if self.driver.as_mut().is_some_and(|driver| driver.now_or_never().is_some()) {
            self.driver = None;
        }
        self.sender.is_closed()
    }

    /// Sends one request as `buyer` and reads the response.
    ///
    /// # Errors
    /// The connection broke, or the body of the response is longer than 1 MiB. It is then unknown what the shop did with the request.
    pub async fn send(&mut self, link: &Link, buyer: Option<i64>, json: Option<String>) -> anyhow::Result<Reply> {
        let mut request = Request::new(Full::from(json.clone().unwrap_or_default()));
        *request.method_mut() = link.method.clone();
        *request.uri_mut() = link.uri.clone();
        request.headers_mut().insert(HOST, self.host.clone());
        if let Some(buyer) = buyer {
            request.headers_mut().insert("x-buyer-id", HeaderValue::from(buyer));
            if self.names_address {
                let from = self.from.unwrap_or_else(|| home(buyer));
                let from = HeaderValue::from_str(&from.to_string()).expect("an address is plain text");
                request.headers_mut().insert("x-forwarded-for", from);
            }
            if let Some(session) = sessions::of(buyer) {
                request.headers_mut().insert(COOKIE, session);
            }
        }
        if let Some(key) = self.key.as_deref().and_then(|key| HeaderValue::from_str(key).ok()) {
            request.headers_mut().insert("idempotency-key", key);
        }
        if json.is_some() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let reply = self.exchange(request).await?;
        if let Some(buyer) = buyer {
            sessions::keep(buyer, &reply.headers);
        }
        Ok(reply)
    }

    /// Sends a request and reads the whole response, and runs the driver meanwhile.
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Reply> {
        let Connection { sender, driver, .. } = self;
        let reply = pin!(async {
            sender.ready().await?;
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(|error| anyhow!(error))?.to_bytes();
            Ok(Reply { status: head.status, headers: head.headers, body })
        });
        let Some(running) = driver.as_mut() else { return reply.await };
        match select(reply, running).await {
            Either::Left((Ok(reply), _)) => Ok(reply),
            // The rest of the answer may still come, so the next request cannot use this connection.
            Either::Left((Err(error), _)) => {
                *driver = None;
                Err(error)
            }
            // The shop has closed the connection. What it has sent before can still be read.
            Either::Right((_, reply)) => {
                *driver = None;
                reply.await
            }
        }
    }

    /// Fetches `path` with `GET`.
    ///
    /// # Errors
    /// `path` is not a valid URI, or as [`Connection::send`].
    pub async fn get(&mut self, path: &str, buyer: Option<i64>) -> anyhow::Result<Reply> {
        self.send(&Link::new(Method::GET, path)?, buyer, None).await
    }
}

/// A link in the contract's JSON: `{"method": "POST", "href": "/…", "ask": [{"name": …}]}`.
#[derive(Deserialize)]
pub(crate) struct LinkText {
    method: String,
    href: String,
    #[serde(default)]
    ask: Vec<Asked>,
}

/// A question of the shop.
#[derive(Debug, Clone, Deserialize)]
pub struct Asked {
    /// The JSON field for the answer.
    pub name: String,
    /// The question's text for a person.
    #[serde(default)]
    pub prompt: String,
}

impl TryFrom<LinkText> for Link {
    type Error = anyhow::Error;

    fn try_from(text: LinkText) -> anyhow::Result<Self> {
        Ok(Link { method: text.method.parse()?, uri: text.href.parse()?, asks: text.ask })
    }
}
