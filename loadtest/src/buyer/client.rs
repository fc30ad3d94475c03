//! One HTTP/1.1 keep-alive connection that carries one request at a time, like a browser tab.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
};

use bytes::Bytes;
use hyper::{
    Method, StatusCode, Uri,
    header::{HeaderMap, HeaderValue},
};
use serde::Deserialize;
use tokio::net::TcpStream;

use super::sessions;

mod http1;

use self::http1::Http1;

/// An open connection to a shop.
pub struct Connection {
    /// The client address of all requests. `None`: each buyer has its own.
    pub from: Option<Ipv4Addr>,
    /// Whether requests carry the client address in `X-Forwarded-For`, as a trusted proxy adds it. A browser sends no such
    /// header.
    pub names_address: bool,
    /// The `Idempotency-Key` of every request; `None` if requests carry no key.
    pub key: Option<String>,
    http: Http1,
    host: String,
    /// The bytes of the last request, kept for the memory that they take.
    request: Vec<u8>,
}

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
        Ok(Self {
            from: None,
            names_address: true,
            key: None,
            http: Http1::new(stream),
            host: shop.to_string(),
            request: Vec::new(),
        })
    }

    /// Whether the shop has closed the connection since the last response. No request was in flight, so no result is unknown.
    pub fn is_closed(&self) -> bool {
        self.http.is_closed()
    }

    /// Sends one request as `buyer` and reads the response.
    ///
    /// # Errors
    /// The connection broke, or the response is broken or longer than 1 MiB. It is then unknown what the shop did with the request.
    pub async fn send(&mut self, link: &Link, buyer: Option<i64>, json: Option<String>) -> anyhow::Result<Reply> {
        self.write(link, buyer, json.as_deref())?;
        let reply = self.http.exchange(&self.request).await?;
        if let Some(buyer) = buyer {
            sessions::keep(buyer, &reply.headers);
        }
        Ok(reply)
    }

    /// Writes the request into the buffer.
    fn write(&mut self, link: &Link, buyer: Option<i64>, json: Option<&str>) -> io::Result<()> {
        let request = &mut self.request;
        request.clear();
        let path = link.uri.path_and_query().map_or("/", |path| path.as_str());
        write!(request, "{} {path} HTTP/1.1\r\nhost: {}\r\n", link.method, self.host)?;
        if let Some(buyer) = buyer {
            write!(request, "x-buyer-id: {buyer}\r\n")?;
            if self.names_address {
                write!(request, "x-forwarded-for: {}\r\n", self.from.unwrap_or_else(|| home(buyer)))?;
            }
            if let Some(session) = sessions::of(buyer) {
                field(request, "cookie", &session);
            }
        }
        if let Some(key) = self.key.as_deref().and_then(|key| HeaderValue::from_str(key).ok()) {
            field(request, "idempotency-key", &key);
        }
        if json.is_some() {
            request.extend_from_slice(b"content-type: application/json\r\n");
        }
        if json.is_some() || link.method != Method::GET {
            write!(request, "content-length: {}\r\n", json.unwrap_or_default().len())?;
        }
        write!(request, "\r\n{}", json.unwrap_or_default())
    }

    /// Fetches `path` with `GET`.
    ///
    /// # Errors
    /// `path` is not a valid URI, or as [`Connection::send`].
    pub async fn get(&mut self, path: &str, buyer: Option<i64>) -> anyhow::Result<Reply> {
        self.send(&Link::new(Method::GET, path)?, buyer, None).await
    }
}

/// Adds a header whose value may have any bytes that HTTP allows.
fn field(request: &mut Vec<u8>, name: &str, value: &HeaderValue) {
    for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        request.extend_from_slice(part);
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
