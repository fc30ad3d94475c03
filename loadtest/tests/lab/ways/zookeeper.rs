//! The ways on ZooKeeper.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use loadtest::{
    lab::servers::Server::{Postgres, ZooKeeper},
    ways::way::{Answer, Kit, Stock},
};
use tokio::{join, task::block_in_place, time::timeout};

use super::{Sale, held, hold, meeting, rounds, services, way};

const ALL: [&str; 2] = ["zookeeper-lock", "zookeeper-set-data"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ZooKeeper and PostgreSQL: make test"]
async fn one_process_and_two_sell_all_units_once_and_a_kill_loses_none() {
    let rounds = rounds(&[ZooKeeper, Postgres]);
    for processes in [1, 2] {
        hold(&rounds, processes, &ALL).await;
    }
    for name in ALL {
        let mut audit = rounds.restart(way(name)).await;
        for _ in 0..3 {
            // ZooKeeper was silent for so long that a client gave up its connection.
            let Err(why) = &audit else { break };
            eprintln!("{name} is played again: {why:?}");
            audit = rounds.restart(way(name)).await;
        }
        let audit = audit.unwrap();
        assert!(audit.oversold + audit.lost + audit.undersold == 0 && audit.counted == 100, "{name}: {audit:?}");
    }
}

/// Both buyers have read the last unit. One gets it; the other one asks again and is refused.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ZooKeeper: make test"]
async fn a_znode_that_changed_since_it_was_read_is_not_written() {
    let services = services(&[ZooKeeper]);
    let mut sale = Sale::open("zookeeper-set-data", &services, 1, meeting(2)).await;
    let told = sale.play(2, 0, 2).await;
    assert_eq!((told.taken.len(), told.again), (1, 1));
    assert!(sale.audit(&told).await.holds());
}

/// The kit of the process that holds the lock until it is killed.
const HOLD: &str = "HOLD_ZOOKEEPER_LOCK_WITH";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ZooKeeper and PostgreSQL: make test"]
async fn one_buyer_of_an_item_has_the_lock_until_its_session_ends() {
    let stock = Stock { items: 2, units: 5 };
    if let Ok(urls) = std::env::var(HOLD) {
        let (gap, inside, _) = held();
        let kit = Kit { urls: serde_json::from_str(&urls).unwrap(), stock, process: 1, processes: 2, gap };
        let holder = Sale::join("zookeeper-lock", kit).await;
        let mut client = holder.way.clone().connect().await.unwrap();
        let report = async {
            inside.acquire().await.unwrap().forget();
            println!("\nHELD");
        };
        panic!("{:?}", join!(client.take(1, 1), report));
    }
    let services = services(&[ZooKeeper, Postgres]);
    let (gap, inside, out) = held();
    let urls = [ZooKeeper, Postgres].map(|server| (server, services.url(server).unwrap().clone()));
    let kit = Kit { urls: urls.into(), stock, process: 0, processes: 2, gap };
    let sale = Sale::join("zookeeper-lock", kit).await;
    sale.way.set_up().await.unwrap();

    let mut holder = Command::new(std::env::current_exe().unwrap());
    let name = "ways::zookeeper::one_buyer_of_an_item_has_the_lock_until_its_session_ends";
    let urls = serde_json::to_string(&sale.kit.urls).unwrap();
    holder.args(["--exact", name, "--include-ignored", "--nocapture"]).env(HOLD, urls);
    let mut holder = holder.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(block_in_place(|| said.any(|line| line.unwrap() == "HELD")));

    let (mut first, mut other) = (sale.way.clone().connect().await.unwrap(), sale.way.clone().connect().await.unwrap());
    let watch = async {
        inside.acquire().await.unwrap().forget(); // item 2 has its own lock
        // Longer than a session timeout: the holder lives.
        let second = timeout(Duration::from_secs(7), inside.acquire()).await;
        assert!(second.is_err(), "two buyers of item 1 have the lock");
        holder.kill().unwrap();
        holder.wait().unwrap();
        let died = Instant::now();
        inside.acquire().await.unwrap().forget();
        out.add_permits(2);
        died.elapsed()
    };
    let (second, third, took) = join!(first.take(1, 2), other.take(2, 3), watch);
    assert_eq!((second.unwrap(), third.unwrap()), (Answer::Taken, Answer::Taken));
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(sale.way.sold().await.unwrap().units, [(1, 1), (2, 1)].into(), "the dead holder has no order");
}

/// The holder's process is paused (SIGSTOP) after it has read the stock, until its session has ended and others have sold out.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ZooKeeper and PostgreSQL: make test"]
async fn a_holder_that_is_paused_longer_than_its_session_oversells() {
    let rounds = rounds(&[ZooKeeper, Postgres]);
    let pause = rounds.pause(way("zookeeper-lock")).await.unwrap();
    assert_eq!((pause.meanwhile, pause.audit.oversold), (2, 1), "{pause:?}");
}
