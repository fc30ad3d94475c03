//! Sessions at ZooKeeper, and what it says about itself.

use std::time::Duration;

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use zookeeper_client::{Acls, Client, CreateMode, Error};

use crate::{
    lab::servers::Server,
    ways::way::{Kit, Stock},
};

/// How long ZooKeeper waits for a client that is silent before it ends the session and deletes its ephemeral nodes.
const SESSION: Duration = Duration::from_secs(5);

/// How long opening a session may take. It is a write, and the first one of a node fills a file of 64 MiB. The driver ignores more than
/// three fifths of a session.
const CONNECT: Duration = Duration::from_secs(3);

/// A node, and a znode for each item.
pub(super) struct Store {
    node: String,
    pub(super) stock: Stock,
}

impl Store {
    pub(super) fn open(kit: &Kit) -> anyhow::Result<Store> {
        let url = kit.url(Server::ZooKeeper)?;
        let host = url.host_str().context("ZooKeeper's URL has no host")?;
        Ok(Store { node: format!("{host}:{}", url.port().unwrap_or(2181)), stock: kit.stock })
    }

    /// Opens a session.
    pub(super) async fn connect(&self) -> anyhow::Result<Client> {
        let session = Client::connector().with_session_timeout(SESSION).with_connection_timeout(CONNECT);
        Ok(session.with_fail_eagerly().connect(&self.node).await?)
    }

    /// Creates a znode for each item and writes 0 into it.
    pub(super) async fn set_up(&self) -> anyhow::Result<()> {
        let (client, lasting) = (self.connect().await?, CreateMode::Persistent.with_acls(Acls::anyone_all()));
        for item in 1..=self.stock.items {
            match client.create(&path(item), b"0", &lasting).await {
                Err(Error::NodeExists) => client.set_data(&path(item), b"0", None).await.map(drop)?,
                created => drop(created?),
            }
        }
        Ok(())
    }

    /// The packets that the node has received. The clients' pings are among them, about one a second for each.
    pub(super) async fn calls(&self) -> anyhow::Result<u64> {
        let (mut stream, mut answer) = (TcpStream::connect(&self.node).await?, String::new());
        stream.write_all(b"srvr").await?;
        stream.read_to_string(&mut answer).await?;
        let received = answer.lines().find_map(|line| line.strip_prefix("Received: "));
        Ok(received.context("ZooKeeper does not count its packets")?.parse()?)
    }
}

/// The znode of an item.
pub(super) fn path(item: i64) -> String {
    format!("/item-{item}")
}
