//! RabbitMQ as a cluster of three nodes: the sale continues without one of them, and confirms nothing without two.

use std::{net::SocketAddr, time::Instant};

use crate::support::{
    eventually,
    production::{Production, cluster, shared},
    proxy::Proxy,
    requests::{becomes, click, counter, order, queued, sells},
};
use futures_util::future::join_all;
use loadtest::{
    buyer::client::Connection,
    lab::servers::{Server, Services},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::block_in_place,
};
use url::Url;

/// How often an instance's relay has failed.
const RELAY_FAILED: &str = r#"restarts_total{task="relay"}"#;

impl Production {
    /// The arguments of an instance that knows these nodes of RabbitMQ, and places orders directly from Redis only after 45 s.
    fn args_on(&self, nodes: &[Url]) -> Vec<String> {
        let mut args = self.args(&["--place-after", "45"]);
        let at = args.iter().position(|arg| arg == "--amqp-url").unwrap();
        args[at + 1] = nodes.iter().map(Url::as_str).collect::<Vec<_>>().join(",");
        args
    }

    /// Reads the queues at a node that runs.
    fn reads_at(&mut self, rabbitmq: &Services, node: usize) {
        self.stores.amqp = rabbitmq.nodes(Server::RabbitMq)[node].clone();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_queue_outlives_its_leader_and_waits_for_a_majority() {
    let mut rabbitmq = cluster(Server::RabbitMq);
    let mut sale = Production::on(&rabbitmq, shared(), 100).await;
    let args = sale.args_on(rabbitmq.nodes(Server::RabbitMq));
    let shops = [sale.instance_with(&args).await, sale.instance_with(&args).await];
    let mut connection = Connection::open(shops[0].address).await.unwrap();
    let order_id = queued(&click(&mut connection, 1).await);
    becomes(&mut connection, 1, order_id, "confirmed").await;
    let queue = format!("{}.orders", sale.stores.namespace);
    let (leader, members) = block_in_place(|| rabbitmq.leader_of(&queue)).unwrap();
    assert_eq!(members, 3);
    let mut connection = Connection::open(shops[0].address).await.unwrap(); // the shop closes one that is idle for 30 s

    // The leader dies while buyers come.
    let kill = async |rabbitmq: &mut Services, node| {
        block_in_place(|| rabbitmq.kill_node(Server::RabbitMq, node)).unwrap();
    };
    let mut orders = Vec::new();
    for buyer in 2..=40 {
        if buyer == 20 {
            kill(&mut rabbitmq, leader).await;
        }
        orders.push((buyer, queued(&click(&mut connection, buyer).await)));
    }
    let began = Instant::now();
    for &(buyer, order_id) in &orders {
        becomes(&mut connection, buyer, order_id, "confirmed").await;
    }
    eprintln!("all are confirmed {:.1} s after the leader's death", began.elapsed().as_secs_f64());
    let [second, last] = [(leader + 1) % 3, (leader + 2) % 3];
    sale.reads_at(&rabbitmq, last);
    sale.settles_at(40).await;

    // Another one dies, so no queue has a majority.
    kill(&mut rabbitmq, second).await;
    let failed = join_all(shops.iter().map(|shop| counter(shop.address, RELAY_FAILED))).await;
    let mut connection = Connection::open(shops[0].address).await.unwrap();
    let mut late = Vec::new();
    for buyer in 41..=60 {
        late.push((buyer, queued(&click(&mut connection, buyer).await)));
    }
    eventually("a relay has sent in vain", async || {
        for &(buyer, order_id) in &late {
            let told = order(&mut connection, buyer, order_id).await;
            assert!(told["status"] == "queued" || told["type"] == "overloaded", "{told}"); // neither yes nor no
        }
        let now = join_all(shops.iter().map(|shop| counter(shop.address, RELAY_FAILED))).await;
        now > failed
    })
    .await;
    assert_eq!(sale.orders("confirmed").await, 40);

    let again = [leader, second].map(|node| block_in_place(|| rabbitmq.start_node_again(Server::RabbitMq, node)));
    again.into_iter().for_each(Result::unwrap);
    let began = Instant::now();
    let mut connection = Connection::open(shops[0].address).await.unwrap(); // the shop has closed the idle one
    for &(buyer, order_id) in &late {
        becomes(&mut connection, buyer, order_id, "confirmed").await;
    }
    eprintln!("all are confirmed {:.1} s after the majority is back", began.elapsed().as_secs_f64());
    sale.settles_at(60).await;
    assert_eq!(sale.orders("failed").await, 0);
}

/// A dead node refuses connections. A frozen one accepts them, and answers nothing. The shop begins with any of them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_node_without_an_answer_is_passed_over() {
    let sale = Production::new(shared(), 5).await;
    let (dead, frozen) = (TcpSocket::new_v4().unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    dead.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let at = |address: SocketAddr| {
        let mut url = sale.stores.amqp.clone();
        url.set_port(Some(address.port())).unwrap();
        url
    };
    let mut nodes = vec![at(dead.local_addr().unwrap()); 30];
    nodes.extend([at(frozen.local_addr().unwrap()), sale.stores.amqp.clone()]);
    let shop = sale.instance_with(&sale.args_on(&nodes)).await;
    let order_id = sells(shop.address, 1).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    becomes(&mut connection, 1, order_id, "confirmed").await;
    sale.settles_at(1).await;
}

/// A queue without a leader does not answer `basic.consume`. If the connection stayed open, the answer could come later, and the
/// consumer would get messages without a reader.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_worker_whose_consumer_is_not_answered_closes_the_connection() {
    let sale = Production::new(shared(), 5).await;
    let proxy = Proxy::to(&sale.stores.amqp).await;
    proxy.drop_consumers();
    let args = sale.args_with(Server::RabbitMq, &proxy.instead_of(&sale.stores.amqp), &["--role", "worker"]);
    let _worker = sale.instance_with(&args).await;
    // Those of the orders and of the dead letters.
    eventually("both connections are closed", async || proxy.given_up() >= 2).await;
}

/// The queues of a single node are used as they are when the cluster is named, and the other way round.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn queues_of_another_size_are_used() {
    let sizes = [[1, 3], [3, 1]];
    for sizes in sizes {
        let sale = Production::new(shared(), 5).await;
        for (buyer, nodes) in (1..).zip(sizes) {
            let shop = sale.instance_with(&sale.args_on(&vec![sale.stores.amqp.clone(); nodes])).await;
            let order_id = sells(shop.address, buyer).await;
            becomes(&mut Connection::open(shop.address).await.unwrap(), buyer, order_id, "confirmed").await;
            shop.stop().await;
        }
    }
}
