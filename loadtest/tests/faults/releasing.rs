//! Chapter 6 releases the units of one sale while those of another sale cannot be released.

use crate::support::{
    orders::{confirmed, given_back},
    production::{Production, shared},
};
use redis::AsyncCommands;
use v1_naive::shop::sales::Sale;

/// The other sale was rebuilt too often, and stays closed. Its orders come first, and fill a whole batch.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_sale_that_cannot_release_does_not_hold_up_the_others() {
    const CLOSED: i64 = 7;
    let sale = Production::new(shared(), 1).await;
    sale.put_up(&[Sale::open(CLOSED, 5)]).await;
    let insert = "insert into orders (id, sale_id, buyer_id, path, request, reserved_at, status, confirmed_at, pay_by)
                  select $1::bigint + n, $2, n, n, n, 1, 'expired', 1, 1 from generate_series(1, 1000) as n";
    let insert = sqlx::query(insert).bind(v6_production::OrderId::base(CLOSED, 1).0).bind(CLOSED);
    insert.execute(&sale.pool).await.unwrap();
    let update = sqlx::query("update sales set epoch = 255 where id = $1").bind(CLOSED);
    update.execute(&sale.pool).await.unwrap();
    let mut redis = sale.stores.connect_to(CLOSED).await.unwrap();
    let _: i64 = redis.del(sale.stores.key(CLOSED, "sale")).await.unwrap();

    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 1).await;
    sale.expire_order(order_id).await;
    given_back(&sale, 1).await;
    sale.settles_at(0).await;
    let waiting = "select count(*) from orders where sale_id = $1 and not given_back";
    let waiting: i64 = sqlx::query_scalar(waiting).bind(CLOSED).fetch_one(&sale.pool).await.unwrap();
    assert_eq!(waiting, 1000, "they are not forgotten");
}
