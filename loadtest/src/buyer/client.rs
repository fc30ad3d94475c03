//! One HTTP/1.1 connection, kept alive, one request at a time: what one browser tab has.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use http_body_util::{BodyExt, Full};
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

/// An open connection to a shop.
pub struct Connection {
    /// The address that all requests are to come from, instead of each buyer's own.
    pub from: Option<Ipv4Addr>,
    /// Whether we stand before the shop as a proxy, and name that address. A browser of its own names none.
    pub names_address: bool,
    /// The `Idempotency-Key` of every request; `None`: they have none.
    pub key: Option<String>,
    sender: http1::SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

/// The address a buyer comes from. We stand before the shop as a proxy would, and name it in `X-Forwarded-For`.
pub fn home(buyer: i64) -> Ipv4Addr {
    Ipv4Addr::from_bits(10 << 24 | (buyer as u32 & 0x00ff_ffff))
}

/// Where the shop says to go next: a path, and how.
#[derive(Debug, Clone)]
pub struct Link {
    /// `POST`, so far.
    pub method: Method,
    /// A path on the same shop.
    pub uri: Uri,
    /// What the shop wants to know there.
    pub asks: Vec<Asked>,
}

impl Link {
    /// A link where nothing is asked.
    ///
    /// # Errors
    /// That is no path.
    pub fn new(method: Method, path: &str) -> anyhow::Result<Link> {
        Ok(Link { method, uri: path.parse()?, asks: Vec::new() })
    }

    /// Whether a unit is taken there. All others are steps on the way.
    pub fn takes_a_unit(&self) -> bool {
        self.uri.path().contains("/purchase")
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    /// The status line's number.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, read to its end.
    pub body: Bytes,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there, or this process is out of open files.
    pub async fn open(shop: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(shop).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(driver);
        let host = HeaderValue::from_str(&shop.to_string()).map_err(io::Error::other)?;
        Ok(Self { from: None, names_address: true, key: None, sender, host })
    }

    /// Whether the shop has hung up since the last answer. Nothing has been asked then, so nothing is unknown.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends one request as `buyer` and reads the answer.
    ///
    /// # Errors
    /// The connection broke. What the shop did with the request is then unknown.
    pub async fn send(&mut self, link: &Link, buyer: Option<i64>, json: Option<String>) -> hyper::Result<Reply> {
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
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        if let Some(buyer) = buyer {
            sessions::keep(buyer, &head.headers);
        }
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: head.status, headers: head.headers, body })
    }

    /// Fetches `path`.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn get(&mut self, path: &str, buyer: Option<i64>) -> anyhow::Result<Reply> {
        Ok(self.send(&Link::new(Method::GET, path)?, buyer, None).await?)
    }
}

/// A link as the contract writes it: `{"method": "POST", "href": "/…", "ask": [{"name": …}]}`.
#[derive(Deserialize)]
pub(crate) struct LinkText {
    method: String,
    href: String,
    #[serde(default)]
    ask: Vec<Asked>,
}

/// Something that the shop wants to know.
#[derive(Debug, Clone, Deserialize)]
pub struct Asked {
    /// What the answer is to be called.
    pub name: String,
    /// What a person would read.
    #[serde(default)]
    pub prompt: String,
}

impl TryFrom<LinkText> for Link {
    type Error = anyhow::Error;

    fn try_from(text: LinkText) -> anyhow::Result<Self> {
        Ok(Link { method: text.method.parse()?, uri: text.href.parse()?, asks: text.ask })
    }
}
