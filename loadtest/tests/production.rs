//! Chapter 6 on its real servers: the path of an order when nothing breaks.

mod support;

use loadtest::client::Connection;
use support::{
    assert_problem,
    production::{Production, becomes, click, queued, shared},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn units_are_sold_exactly_and_every_store_agrees() {
    let sale = Production::new(shared(), 3).await;
    let shop = sale.instance(&[]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    for buyer in 1..=3 {
        let order_id = queued(&click(&mut connection, buyer).await);
        becomes(&mut connection, buyer, order_id, "confirmed").await;
        if buyer == 1 {
            assert_problem(&click(&mut connection, buyer).await, 409, "limit-reached");
        }
    }
    assert_problem(&click(&mut connection, 4).await, 409, "sold-out");
    sale.settles_at(3).await;
}
