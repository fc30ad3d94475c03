//! Chapter 6 on a Redis Cluster: sales on all shards, a primary that is killed, a slot that is moved, and a replica that is gone.
//! The tests use one cluster, one after the other.

use std::{
    collections::BTreeSet,
    process::Stdio,
    sync::OnceLock,
    time::{Duration, Instant},
};

use crate::support::{
    SALE, assert_problem, eventually, loadtest,
    orders::confirmed,
    production::{Production, held, own_with_cluster},
    requests::{address, becomes, buy_at, counter, log_in, order, purchase, queued, sells},
};
use futures_util::future::join_all;
use loadtest::{
    buyer::client::Connection,
    lab::{
        servers::{Server::RedisCluster, Services},
        stores::connect,
    },
};
use redis::{AsyncCommands, cmd};
use serde_json::Value;
use tokio::{
    process::Command,
    sync::{Mutex, MutexGuard},
    task::block_in_place,
};
use url::Url;

/// Nodes `n` and `n + 3` have the same slots.
const NODES: usize = 6;

/// The cluster of this program, for one test at a time. A test that has failed may have left a node dead.
async fn cluster() -> MutexGuard<'static, Services> {
    static SERVICES: OnceLock<Mutex<Services>> = OnceLock::new();
    let mut services = block_in_place(|| SERVICES.get_or_init(|| Mutex::new(own_with_cluster()))).lock().await;
    for node in 0..NODES {
        if connect(&services.nodes(RedisCluster)[node]).await.is_err() {
            start_again(&mut services, node).await;
        }
    }
    services
}

/// The number of the primary that has a key.
async fn primary_of(nodes: &[Url], key: &str) -> usize {
    for (n, node) in nodes.iter().enumerate() {
        if let Ok(mut node) = connect(node).await
            && node.exists::<_, bool>(key).await.is_ok()
        {
            return n;
        }
    }
    panic!("no node has {key}");
}

async fn replication(node: &Url) -> String {
    let Ok(mut node) = connect(node).await else { return String::new() };
    cmd("INFO").arg("replication").query_async(&mut node).await.unwrap_or_default()
}

/// Starts a node again, and waits until it has the data of its primary.
async fn start_again(services: &mut Services, node: usize) {
    block_in_place(|| services.start_node_again(RedisCluster, node)).unwrap();
    let url = services.nodes(RedisCluster)[node].clone();
    eventually("it follows", async || replication(&url).await.contains("master_link_status:up")).await;
}

/// Gives a key's slot to another primary, with everything in it, as an operator does.
async fn move_slot(nodes: &[Url], key: &str, from: usize, to: usize) {
    let [mut source, mut target] = [connect(&nodes[from]).await.unwrap(), connect(&nodes[to]).await.unwrap()];
    let slot: u16 = cmd("CLUSTER").arg("KEYSLOT").arg(key).query_async(&mut source).await.unwrap();
    let mut ids: Vec<String> = Vec::new();
    for node in [&mut source, &mut target] {
        ids.push(cmd("CLUSTER").arg("MYID").query_async(node).await.unwrap());
    }
    let set = |words: [&str; 2]| {
        let mut set = cmd("CLUSTER");
        set.arg("SETSLOT").arg(slot).arg(&words[..]);
        set
    };
    set(["IMPORTING", &ids[0]]).exec_async(&mut target).await.unwrap();
    set(["MIGRATING", &ids[1]]).exec_async(&mut source).await.unwrap();
    loop {
        let mut some = cmd("CLUSTER");
        let some = some.arg("GETKEYSINSLOT").arg(slot).arg(2);
        let keys: Vec<String> = some.query_async(&mut source).await.unwrap();
        if keys.is_empty() {
            break;
        }
        let mut migrate = cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(nodes[to].port()).arg("").arg(0).arg(5000);
        migrate.arg("AUTH").arg(nodes[to].password()).arg("KEYS").arg(keys);
        migrate.exec_async(&mut source).await.unwrap();
    }
    for node in [&mut target, &mut source] {
        set(["NODE", &ids[1]]).exec_async(node).await.unwrap();
    }
}

/// One buyer comes every 30 ms. Each buys with one key, and asks again until the answer is a reservation or a refusal that is final.
/// Returns the orders.
async fn buy_until_answered(sale: &Production, shop: std::net::SocketAddr, buyers: std::ops::Range<i64>) -> Vec<i64> {
    let first = buyers.start;
    let buy = |buyer| async move {
        tokio::time::sleep(Duration::from_millis(30) * (buyer - first) as u32).await;
        let (cookie, deadline) = (log_in(shop, buyer).await, Instant::now() + Duration::from_secs(60));
        loop {
            let reply = purchase(shop, sale.sale, &cookie, Some("one")).await;
            match reply.status.as_u16() {
                202 => return Some((buyer, queued(&reply))),
                409 => return None,
                _ => assert!(Instant::now() < deadline, "{reply:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // as a buyer who waits
        }
    };
    join_all(buyers.map(buy)).await.into_iter().flatten().map(|(_, order)| order).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn sales_on_all_shards_sell_exactly_and_the_audit_is_clean() {
    let services = cluster().await;
    let folder = tempfile::tempdir().unwrap();
    let nodes: Vec<&str> = services.nodes(RedisCluster).iter().take(3).map(Url::as_str).collect();
    let mut run = Command::new(loadtest());
    // Its sales 1001, 1002 and 1003 are on three shards.
    run.args([
        "run",
        "v6",
        "--sales",
        "3",
        "--stock",
        "400",
        "--buyers",
        "2400",
        "--connections",
        "100",
        "--json",
        "run.json",
        "--",
        "--place-after", // only a relay on each shard takes the orders away
        "600",
    ]);
    for server in loadtest::lab::servers::Server::STORES {
        if let Some(url) = services.url(server) {
            run.env(server.variable(), url.as_str());
        }
    }
    run.env("REDIS_URL", nodes.join(",")).current_dir(folder.path()).stdin(Stdio::null());
    let output = run.output().await.unwrap();
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{output:?}"); // 3: a busy machine
    let run: Value = serde_json::from_slice(&std::fs::read(folder.path().join("run.json")).unwrap()).unwrap();
    let audit = &run["runs"][0];
    assert_eq!((audit["orders"].as_i64(), audit["sold"].as_i64()), (Some(1200), Some(1200)), "{run}");
    for none in
        ["oversold", "undersold", "double_bought", "lost_promises", "phantom_orders", "not_conserved", "unfinished"]
    {
        assert_eq!(audit[none], 0, "{none}: {audit}");
    }
}

/// The replica lacks the last writes when it is promoted. The sale is closed until it is rebuilt from SQL.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_primary_that_is_killed_in_mid_sale_costs_no_confirmed_order() {
    let mut services = cluster().await;
    let nodes = services.nodes(RedisCluster).to_vec();
    let sale = Production::new(&services, 20).await;
    let shop = sale.instance(&[]).await;
    let mut orders = vec![confirmed(&shop, 1).await];
    let key = sale.stores.key(SALE, "held");
    let primary = primary_of(&nodes, &key).await;
    let replica = (primary + NODES / 2) % NODES;

    let (mut at_primary, mut at_replica) =
        (connect(&nodes[primary]).await.unwrap(), connect(&nodes[replica]).await.unwrap());
    let replicated: u32 = cmd("WAIT").arg(1).arg(60_000).query_async(&mut at_primary).await.unwrap();
    assert_eq!(replicated, 1);
    let password = |password: &str| {
        let mut set = cmd("CONFIG");
        set.arg("SET").arg("masterauth").arg(password);
        set
    };
    password("wrong").exec_async(&mut at_replica).await.unwrap();
    cmd("CLIENT").arg("KILL").arg("TYPE").arg("replica").exec_async(&mut at_primary).await.unwrap();
    eventually("it is behind", async || replication(&nodes[replica]).await.contains("master_link_status:down")).await;
    orders.extend([confirmed(&shop, 2).await, confirmed(&shop, 3).await]);
    let before = sale.epoch().await;

    // A crowd that could buy all units before the kill would not come back for those that the kill has lost.
    let crowd = buy_until_answered(&sale, shop.address, 4..20);
    let kill = async {
        eventually("the crowd buys", async || held(&sale).await > 6).await;
        block_in_place(|| services.kill_node(RedisCluster, primary)).unwrap();
        password(nodes[replica].password().unwrap()).exec_async(&mut at_replica).await.unwrap();
    };
    let (mut queued, ()) = tokio::join!(crowd, kill);
    queued.extend(buy_until_answered(&sale, shop.address, 20..60).await);
    eventually("it is rebuilt", async || sale.epoch().await > before).await;
    sale.settles_at(20).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    for (buyer, id) in (1..).zip(&orders) {
        assert_eq!(order(&mut connection, buyer, *id).await["status"], "confirmed", "{id} of {orders:?}");
        assert!(!queued.contains(id), "{id} was given twice");
    }
    // Some of the crowd may hear late that they have no unit, but nobody was told `confirmed` before.
    let each: BTreeSet<i64> = queued.iter().copied().collect();
    assert_eq!(each.len(), queued.len(), "{queued:?}");
    start_again(&mut services, primary).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_slot_is_moved_in_mid_sale_and_the_sale_goes_on() {
    let services = cluster().await;
    let nodes = services.nodes(RedisCluster);
    let sale = Production::new(&services, 20).await;
    let shop = sale.instance(&[]).await;
    confirmed(&shop, 1).await;
    let (key, before) = (sale.stores.key(SALE, "sale"), sale.epoch().await);
    let from = primary_of(nodes, &key).await;
    // A primary of other slots: any key of another shard leads to it.
    let mut others = (0..).map(|n| format!("other {n}"));
    let to = loop {
        let other = primary_of(nodes, &others.next().unwrap()).await;
        if other != from {
            break other;
        }
    };
    let crowd = buy_until_answered(&sale, shop.address, 2..30);
    let moving = async {
        eventually("the crowd buys", async || held(&sale).await > 4).await;
        move_slot(nodes, &key, from, to).await;
    };
    let (queued, ()) = tokio::join!(crowd, moving);
    assert_eq!(primary_of(nodes, &key).await, to);
    eventually("it is rebuilt, because its new primary has other data", async || sale.epoch().await > before).await;
    sale.settles_at(20).await;
    // Nothing was lost on the way, so no buyer who was told `queued` is refused later.
    assert_eq!((queued.len(), sale.orders("failed").await), (19, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn without_its_replica_a_reservation_is_unknown_and_the_same_key_gets_it_later() {
    let mut services = cluster().await;
    let nodes = services.nodes(RedisCluster).to_vec();
    let sale = Production::new(&services, 5).await;
    let shop = sale.instance(&["--redis-replicas", "1", "--path-ttl", "600"]).await;
    let first = sells(shop.address, 1).await;
    let primary = primary_of(&nodes, &sale.stores.key(SALE, "sale")).await;
    let replica = (primary + NODES / 2) % NODES;
    let cookie = log_in(shop.address, 2).await;
    let at = address(shop.address, SALE, &cookie).await.unwrap();

    // An answer of the replica may have been late before.
    let unreplicated = async || counter(shop.address, "reserve_unreplicated_total").await;
    let before = unreplicated().await;
    block_in_place(|| services.kill_node(RedisCluster, replica)).unwrap();
    for _ in 0..2 {
        assert_problem(&buy_at(shop.address, &at, &cookie, Some("mine")).await, 503, "timed-out");
    }
    assert_eq!((held(&sale).await, unreplicated().await), (2, before + 2));
    let third = log_in(shop.address, 3).await;
    start_again(&mut services, replica).await;
    let gets = async |at: &str, cookie: &str| {
        let mut order_id = 0;
        eventually("the same key gets it", async || {
            let reply = buy_at(shop.address, at, cookie, Some("mine")).await;
            match reply.status.as_u16() {
                202 => order_id = queued(&reply),
                _ => assert_eq!(reply.status, 503, "{reply:?}"),
            }
            order_id > 0
        })
        .await;
        order_id
    };
    let second = gets(&at, &cookie).await;
    assert_ne!(second, first);
    gets(&address(shop.address, SALE, &third).await.unwrap(), &third).await;
    becomes(&mut Connection::open(shop.address).await.unwrap(), 2, second, "confirmed").await;
    sale.settles_at(3).await;
}
