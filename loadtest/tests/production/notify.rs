//! Chapter 6 on its real servers: how a buyer learns the result of an order.

use crate::support::{
    orders::{GOOD, confirmed, ended, heard, open, pay_until_known, watch},
    production::{Production, shared},
    requests::{click, log_in, queued},
};
use futures_util::future::join_all;
use loadtest::buyer::client::Connection;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_buyer_learns_the_result_at_any_instance() {
    let sale = Production::new(shared(), 5).await;
    let (api, other) = (sale.instance(&["--role", "api"]).await, sale.instance(&["--role", "api"]).await);
    let mut connection = Connection::open(api.address).await.unwrap();
    let order_id = queued(&click(&mut connection, 2901).await);
    let mut sockets = Vec::new();
    for shop in [&api, &other, &other] {
        sockets.push(watch(shop, 2901, order_id).await.unwrap());
    }
    for socket in &mut sockets {
        assert_eq!(heard(socket).await, "queued");
    }
    let _worker = sale.instance(&["--role", "worker"]).await;
    for socket in &mut sockets {
        assert_eq!(heard(socket).await, "confirmed");
    }
    assert_eq!(pay_until_known(&other, 2901, order_id, "a", GOOD).await.status, 200);
    for socket in &mut sockets {
        assert_eq!([ended(socket).await, heard(socket).await], ["paid", "closed"]);
    }
    // A client that connects late gets the final status.
    let mut late = watch(&api, 2901, order_id).await.unwrap();
    assert_eq!([heard(&mut late).await, heard(&mut late).await], ["paid", "closed"]);

    // A buyer who does not pay learns that the order has expired.
    let unpaid = confirmed(&api, 2902).await;
    let mut socket = watch(&other, 2902, unpaid).await.unwrap();
    assert_eq!(heard(&mut socket).await, "confirmed");
    sale.expire_order(unpaid).await;
    assert_eq!([ended(&mut socket).await, heard(&mut socket).await], ["expired", "closed"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn nobody_watches_the_order_of_somebody_else() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&["--role", "api"]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    let order_id = queued(&click(&mut connection, 3001).await);
    log_in(shop.address, 3002).await;
    for (buyer, order_id, status) in [(3002, order_id, 404), (3001, order_id + 1, 404), (3001, -1, 404)] {
        assert_eq!(watch(&shop, buyer, order_id).await.err(), Some(status), "{buyer} {order_id}");
    }
    assert_eq!(open(shop.address, order_id, "").await.err(), Some(401));
    assert_eq!(heard(&mut watch(&shop, 3001, order_id).await.unwrap()).await, "queued");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_instance_that_stops_says_so_to_the_five_hundred_who_watch() {
    loadtest::lab::open_files::allow(1200).unwrap(); // 500 WebSockets, twice
    for role in ["all", "api"] {
        let sale = Production::new(shared(), 100).await;
        let (shop, stays) = (sale.instance(&["--role", role]).await, sale.instance(&[]).await);
        // All at once: who does not answer a ping within a minute is disconnected, and these sockets are not read.
        let watching = (3101..3201).map(async |buyer| {
            let (order_id, mut sockets) = (confirmed(&shop, buyer).await, Vec::new());
            for _ in 0..5 {
                let mut socket = watch(&shop, buyer, order_id).await.unwrap();
                assert_eq!(heard(&mut socket).await, "confirmed");
                sockets.push((buyer, order_id, socket));
            }
            sockets
        });
        let mut sockets = join_all(watching).await.into_iter().flatten().collect::<Vec<_>>();
        shop.stop().await; // SIGTERM
        for (_, _, socket) in &mut sockets {
            assert_eq!(heard(socket).await, "closed 1001", "role {role}");
        }
        assert_eq!(sockets.len(), 500);
        for (buyer, order_id, _) in sockets.into_iter().step_by(100) {
            assert_eq!(heard(&mut watch(&stays, buyer, order_id).await.unwrap()).await, "confirmed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn strangers_do_not_use_up_the_owners_websockets() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 3301).await;
    let (mine, stranger, of) = (log_in(shop.address, 3301).await, log_in(shop.address, 3302).await, shop.address);
    let mut strangers = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let cookie = stranger.clone();
        strangers.spawn(async move {
            loop {
                assert_eq!(open(of, order_id, &cookie).await.err(), Some(404));
            }
        });
    }
    let mut sockets = Vec::new();
    for _ in 0..8 {
        sockets.push(open(of, order_id, &mine).await.expect("a place"));
    }
    strangers.shutdown().await;
}
