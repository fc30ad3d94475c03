//! What a way is: one trait, and one entry in the list of its server.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::Context;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::lab::servers::Server;

/// The answer to a buyer who asks for one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The buyer has the unit.
    Taken,
    /// No unit is left.
    SoldOut,
    /// Another buyer was in the way and nothing was taken. The same buyer asks again after a short random wait.
    Again,
}

/// What is on sale: the items 1 to `items`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// The number of items.
    pub items: i64,
    /// The units of each item.
    pub units: i64,
}

/// What a way has to work with, in one process.
#[derive(Clone)]
pub struct Kit {
    /// The servers' URLs, with their passwords.
    pub urls: HashMap<Server, Url>,
    /// What is on sale.
    pub stock: Stock,
    /// Which of the selling processes this is, from 0.
    pub process: i64,
    /// The number of selling processes.
    pub processes: i64,
    /// The gap between check and act.
    pub gap: Gap,
}

impl Kit {
    /// The URL of a server.
    ///
    /// # Errors
    /// The way's entry does not name this server.
    pub fn url(&self, server: Server) -> anyhow::Result<&Url> {
        self.urls.get(&server).with_context(|| format!("{server} is not one of the way's servers"))
    }
}

/// The gap between check and act. A way with such a gap calls [`Gap::pass`] in it: after it has read the stock and before it
/// writes, with its lock held if it has one. A test or the pause round can stop it there.
#[derive(Clone, Default)]
pub struct Gap(Option<Stop>);

/// What a caller waits for in the gap.
type Stop = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

impl Gap {
    /// A gap in which every caller waits for this future.
    pub fn stop(at: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Gap {
        Gap(Some(Arc::new(at)))
    }

    /// Returns at once, except in a test or in the pause round.
    pub async fn pass(&self) {
        if let Some(stop) = &self.0 {
            stop().await;
        }
    }
}

/// What the store holds after a sale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sold {
    /// The units sold of each item.
    pub units: BTreeMap<i64, i64>,
    /// The item and the buyer of each order; `None` if the way only counts.
    pub orders: Option<Vec<(i64, i64)>>,
}

impl Sold {
    /// What a way with a row for each order has sold.
    pub fn orders(orders: Vec<(i64, i64)>) -> Sold {
        let mut units = BTreeMap::new();
        for (item, _) in &orders {
            *units.entry(*item).or_default() += 1;
        }
        Sold { units, orders: Some(orders) }
    }
}

/// A way to take one unit. The value is what the clients of one process share; it is opened once in each selling process.
pub trait Way: Sized + Send + Sync + 'static {
    /// What one client has for itself, such as its connection.
    type Client: Send + 'static;

    /// Opens the way in this process. Changes nothing on the servers.
    fn open(kit: &Kit) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Deletes what an earlier sale has left on the servers, and puts the stock on sale. Called once for all processes.
    fn set_up(&self) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Opens one client.
    fn connect(&self) -> impl Future<Output = anyhow::Result<Self::Client>> + Send;

    /// Takes one unit of the item for the buyer. An error means that the answer is unknown. The client is then dropped, and another
    /// one is opened.
    fn take(
        &self,
        client: &mut Self::Client,
        item: i64,
        buyer: i64,
    ) -> impl Future<Output = anyhow::Result<Answer>> + Send;

    /// What the store holds.
    fn sold(&self) -> impl Future<Output = anyhow::Result<Sold>> + Send;

    /// The calls that the servers have served since they started: statements, commands, requests. The difference of two values
    /// counts, so those that this function makes itself should be few and always as many.
    fn calls(&self) -> impl Future<Output = anyhow::Result<u64>> + Send;
}

/// A way that is being opened.
type Opening = BoxFuture<'static, anyhow::Result<Arc<dyn Opened>>>;

/// What is known of a way before it is played.
pub struct Entry {
    /// Its name on the command line, in kebab-case: the server, then the way.
    pub name: &'static str,
    /// The servers that it needs. The first one decides who gets a unit, and is killed in the restart round. Without servers, the
    /// process is killed.
    pub servers: &'static [Server],
    /// When to choose it, in one line.
    pub choose_when: &'static str,
    /// Whether a client holds something, such as a lock, which others wait for; it calls [`Gap::pass`] while it holds it. Such a
    /// holder can be paused.
    pub has_a_holder: bool,
    /// Whether it is only measured, since another way has the same mechanism: no two processes, no restart.
    pub is_only_measured: bool,
    open: fn(Kit) -> Opening,
}

impl Entry {
    /// The entry of the way `W`.
    pub const fn new<W: Way>(name: &'static str, servers: &'static [Server], choose_when: &'static str) -> Entry {
        Entry { name, servers, choose_when, has_a_holder: false, is_only_measured: false, open: open::<W> }
    }

    /// The same way, whose holder can be paused.
    pub const fn with_a_holder(self) -> Entry {
        Entry { has_a_holder: true, ..self }
    }

    /// The same way without the rounds that another way has played for it.
    pub const fn only_measured(self) -> Entry {
        Entry { is_only_measured: true, ..self }
    }

    /// Opens the way in this process.
    ///
    /// # Errors
    /// A server does not answer.
    pub async fn open(&self, kit: &Kit) -> anyhow::Result<Arc<dyn Opened>> {
        (self.open)(kit.clone()).await
    }
}

fn open<W: Way>(kit: Kit) -> Opening {
    Box::pin(async move { Ok(Arc::new(W::open(&kit).await?) as Arc<dyn Opened>) })
}

/// A way of any type, opened in this process. The functions are those of [`Way`].
pub trait Opened: Send + Sync {
    /// See [`Way::set_up`].
    fn set_up(&self) -> BoxFuture<'_, anyhow::Result<()>>;
    /// See [`Way::connect`].
    fn connect(self: Arc<Self>) -> BoxFuture<'static, anyhow::Result<Box<dyn Client>>>;
    /// See [`Way::sold`].
    fn sold(&self) -> BoxFuture<'_, anyhow::Result<Sold>>;
    /// See [`Way::calls`].
    fn calls(&self) -> BoxFuture<'_, anyhow::Result<u64>>;
}

/// One client of any way.
pub trait Client: Send {
    /// See [`Way::take`].
    fn take(&mut self, item: i64, buyer: i64) -> BoxFuture<'_, anyhow::Result<Answer>>;
}

impl<W: Way> Opened for W {
    fn set_up(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(Way::set_up(self))
    }

    fn connect(self: Arc<Self>) -> BoxFuture<'static, anyhow::Result<Box<dyn Client>>> {
        Box::pin(async move {
            let client = Way::connect(&*self).await?;
            Ok(Box::new(ClientOf { way: self, client }) as Box<dyn Client>)
        })
    }

    fn sold(&self) -> BoxFuture<'_, anyhow::Result<Sold>> {
        Box::pin(Way::sold(self))
    }

    fn calls(&self) -> BoxFuture<'_, anyhow::Result<u64>> {
        Box::pin(Way::calls(self))
    }
}

/// A client with its way.
struct ClientOf<W: Way> {
    way: Arc<W>,
    client: W::Client,
}

impl<W: Way> Client for ClientOf<W> {
    fn take(&mut self, item: i64, buyer: i64) -> BoxFuture<'_, anyhow::Result<Answer>> {
        Box::pin(self.way.take(&mut self.client, item, buyer))
    }
}
