//! memcached's text protocol, and the stock in it: one key for each item.

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use url::Url;

use crate::{
    lab::servers::Server,
    ways::way::{Kit, Stock},
};

/// A server with the stock.
pub(super) struct Store {
    url: Url,
    pub(super) stock: Stock,
}

impl Store {
    pub(super) fn open(kit: &Kit) -> anyhow::Result<Store> {
        Ok(Store { url: kit.url(Server::Memcached)?.clone(), stock: kit.stock })
    }

    pub(super) async fn connect(&self) -> anyhow::Result<Connection> {
        let host = self.url.host_str().context("memcached's URL has no host")?;
        let stream = TcpStream::connect((host, self.url.port().unwrap_or(11211))).await?;
        stream.set_nodelay(true)?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// Sets each item to this value.
    pub(super) async fn set(&self, value: i64) -> anyhow::Result<()> {
        let (mut connection, value) = (self.connect().await?, value.to_string());
        for item in 1..=self.stock.items {
            let answer = connection.ask(&format!("set item:{item} 0 0 {}\r\n{value}", value.len())).await?;
            ensure!(answer == "STORED", "memcached: {answer}");
        }
        Ok(())
    }

    /// The value of each item. What memcached has forgotten is missing.
    pub(super) async fn values(&self) -> anyhow::Result<Vec<(i64, i64)>> {
        let (mut connection, mut values) = (self.connect().await?, Vec::new());
        for item in 1..=self.stock.items {
            if let Some((value, _)) = connection.gets(item).await? {
                values.push((item, value));
            }
        }
        Ok(values)
    }

    /// The commands that read or change a value.
    pub(super) async fn calls(&self) -> anyhow::Result<u64> {
        let (mut connection, mut calls) = (self.connect().await?, 0);
        let mut line = connection.ask("stats").await?;
        while line != "END" {
            if let Some(["cmd_get" | "cmd_set" | "decr_hits" | "decr_misses", count]) =
                line.strip_prefix("STAT ").map(|pair| pair.split(' ').collect::<Vec<_>>()).as_deref()
            {
                calls += count.parse::<u64>()?;
            }
            line = connection.line().await?;
        }
        Ok(calls)
    }
}

/// A connection that sends one command at a time.
pub(super) struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Sends a command and returns the first line of the answer.
    pub(super) async fn ask(&mut self, command: &str) -> anyhow::Result<String> {
        self.0.write_all(format!("{command}\r\n").as_bytes()).await?;
        self.line().await
    }

    /// The value of an item and its version; `None` if there is no such key.
    pub(super) async fn gets(&mut self, item: i64) -> anyhow::Result<Option<(i64, String)>> {
        let head = self.ask(&format!("gets item:{item}")).await?;
        if head == "END" {
            return Ok(None);
        }
        // The answer is `VALUE key flags bytes version`, the value, and `END`.
        let version = head.strip_prefix("VALUE ").and_then(|head| head.rsplit(' ').next());
        let version = version.with_context(|| format!("memcached: {head}"))?.to_owned();
        let value = self.line().await?.trim_end().parse()?;
        self.line().await?;
        Ok(Some((value, version)))
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        Ok(line.strip_suffix("\r\n").context("memcached closed the connection")?.to_owned())
    }
}
