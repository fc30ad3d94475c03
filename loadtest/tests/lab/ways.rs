//! The ways to take one unit: what each one promises with one process and with two, after a restart and during a pause, and the
//! command that plays them.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use loadtest::{
    lab::servers::{Server, Services},
    record::ways::Contention,
    ways::{
        audit::Audit,
        load::{Clients, Load, Told},
        named,
        rounds::Rounds,
        way::{Entry, Gap, Kit, Opened, Stock},
    },
};
use tokio::{sync::Semaphore, task::block_in_place};

use crate::support::loadtest;

mod command;
mod mariadb;
mod memcached;
mod postgres;
mod process;
mod redis;
mod zookeeper;

/// Longer than any sale of a test takes.
const LONG: Duration = Duration::from_secs(3600);

/// The way of this name.
fn way(name: &str) -> &'static Entry {
    named(name).unwrap_or_else(|| panic!("there is no way {name}"))
}

/// Private servers for one test.
fn services(servers: &[Server]) -> Services {
    block_in_place(|| Services::start(&loadtest(), servers)).unwrap()
}

/// The rounds of a sale of 100 units of one item, on servers of their own.
fn rounds(servers: &[Server]) -> Rounds {
    Rounds::new(loadtest(), services(servers), Contention::Hot)
}

/// One process that sells with its own servers.
struct Sale {
    kit: Kit,
    way: Arc<dyn Opened>,
    clients: Clients,
}

impl Sale {
    /// Puts these units of one item on sale.
    async fn open(name: &str, services: &Services, units: i64, gap: Gap) -> Sale {
        let urls = way(name).servers.iter().map(|server| (*server, services.url(*server).unwrap().clone())).collect();
        let stock = Stock { items: 1, units };
        let sale = Sale::join(name, Kit { urls, stock, process: 0, processes: 1, gap }).await;
        sale.way.set_up().await.unwrap();
        sale
    }

    /// Joins a sale that another process has opened.
    async fn join(name: &str, kit: Kit) -> Sale {
        let way = way(name).open(&kit).await.unwrap();
        Sale { clients: Clients::of(way.clone(), kit.stock), way, kit }
    }

    /// Lets this number of clients ask, each for the next of these buyers.
    async fn play(&mut self, clients: usize, first: i64, buyers: i64) -> Told {
        let load = Load { first, outlasts_errors: true, ..Load::new(clients, buyers, LONG) };
        self.clients.play(load, &Arc::default()).await.unwrap()
    }

    async fn audit(&self, told: &Told) -> Audit {
        Audit::of(self.kit.stock, told, &self.way.sold().await.unwrap())
    }
}

/// A gap in which this number of clients meet.
fn meeting(clients: usize) -> Gap {
    let barrier = Arc::new(tokio::sync::Barrier::new(clients));
    Gap::stop(move || {
        let barrier = barrier.clone();
        Box::pin(async move {
            barrier.wait().await;
        })
    })
}

/// A gap that keeps everybody who enters it: a permit for each of them, and where they wait for one to leave.
fn held() -> (Gap, Arc<Semaphore>, Arc<Semaphore>) {
    let (inside, out) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let ours = (inside.clone(), out.clone());
    let gap = Gap::stop(move || {
        let (inside, out) = ours.clone();
        Box::pin(async move {
            inside.add_permits(1);
            out.acquire().await.unwrap().forget();
        })
    });
    (gap, inside, out)
}

/// The lease of the lock in Redis. In a sale that is shorter it cannot end before its holder is done.
const LEASE: Duration = Duration::from_secs(2);

/// Whether a sale says nothing about its way, because the machine stood still: the lease of a lock without a fence may have ended before
/// its holder was done, or ZooKeeper was silent for so long that a client gave up its connection. Then there is no audit.
fn stood_still(name: &str, audit: &anyhow::Result<Audit>, took: Duration) -> bool {
    match audit {
        Ok(audit) => name == "redis-lock" && took >= LEASE && audit.oversold <= 2,
        Err(_) => name.starts_with("zookeeper-"),
    }
}

/// Asserts that each of these ways holds with this number of processes. A sale that says nothing is played again, up to three times.
async fn hold(rounds: &Rounds, processes: i64, names: &[&str]) {
    let mut broken = Vec::new();
    for name in names {
        for repeats in 0.. {
            let began = Instant::now();
            let audit = rounds.sale(way(name), processes).await;
            if audit.as_ref().is_ok_and(|audit| audit.holds() && audit.told == 100) {
                break;
            }
            if repeats == 3 || !stood_still(name, &audit, began.elapsed()) {
                broken.push(format!("{name}, {processes} processes: {audit:?}"));
                break;
            }
            eprintln!("{name} is played again: {audit:?}");
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Each way is in a file of its own, which a reader takes in at a glance.
#[test]
fn a_way_has_at_most_60_lines() {
    let ways = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ways");
    let folders = ["process", "postgres", "redis", "memcached", "zookeeper", "mariadb"]
        .map(|folder| std::fs::read_dir(ways.join(folder)).unwrap());
    let files = folders.into_iter().flatten().map(|file| file.unwrap().path());
    let shared = ["database.rs", "store.rs", "queue.rs"];
    let files: Vec<_> = files.filter(|file| !shared.iter().any(|shared| file.ends_with(shared))).collect();
    assert!(files.len() >= 25, "{files:?}");
    for file in files {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 60, "{} has {lines} lines", file.display());
    }
}
