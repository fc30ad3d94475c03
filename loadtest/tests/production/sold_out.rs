//! Chapter 6's flag of sold-out sales: while it is set, an instance refuses without asking Redis.

use std::time::Duration;

use crate::support::{
    SALE, assert_problem, eventually,
    production::{Production, shared},
    requests::{address, buy_at, counter, log_in, path, queued},
};
use loadtest::{fault::network::Network, lab::servers::Server};
use tokio::time::sleep;

/// How long the flag is valid, with some time to spare.
const LAPSED: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn the_flag_stays_set_without_attempts_as_long_as_redis_confirms_it() {
    let sale = Production::new(shared(), 1).await;
    let network = Network::to(&sale.stores.redis).await.unwrap();
    let redis = network.instead_of(&sale.stores.redis);
    let shop = sale.instance_with(&sale.args_with(Server::Redis, &redis, &["--path-ttl", "600"])).await;
    let (one, two) = tokio::join!(log_in(shop.address, 1511), log_in(shop.address, 1512));
    let (at_1, at_2) = tokio::join!(path(&shop, &one), path(&shop, &two));
    let order_id = queued(&buy_at(shop.address, &at_1, &one, None).await);
    let count = async |name: &str| counter(shop.address, name).await;
    let (mut at_once, refused_paths) = (None, "http_requests_total{route=\"/sales/{sale_id}/path\",status=\"409\"}");
    // On a busy machine a renewal can be late once.
    eventually("Redis is not asked after a pause", async || {
        sleep(LAPSED).await;
        let calls = count("reserve_calls_total").await;
        at_once = Some(buy_at(shop.address, &at_2, &two, None).await);
        let before = (count("filtered_total").await, count(refused_paths).await);
        let no_path = address(shop.address, SALE, "").await.unwrap_err();
        if no_path.status == 401 || count("reserve_calls_total").await != calls {
            return false;
        }
        // Before the session is checked, like the purchase.
        assert_problem(&no_path, 409, "sold-out");
        (count("filtered_total").await, count(refused_paths).await) == (before.0 + 1, before.1 + 1)
    })
    .await;
    let mut at_once = at_once.unwrap();
    assert_problem(&at_once, 409, "sold-out");

    network.silence();
    sleep(LAPSED).await;
    let (door, at, cookie) = (shop.address, at_2.clone(), two.clone());
    let asks = tokio::spawn(async move { buy_at(door, &at, &cookie, None).await });
    eventually("Redis is asked", async || count("attempts_waiting").await == 1).await;
    network.restore();
    let mut by_redis = asks.await.unwrap();
    for reply in [&mut at_once, &mut by_redis] {
        reply.headers.remove("date");
    }
    assert_eq!((&at_once.headers, &at_once.body), (&by_redis.headers, &by_redis.body));

    sale.settles_at(1).await;
    sale.expire_order(order_id).await;
    let sold = async || buy_at(shop.address, &at_2, &two, None).await.status == 202;
    eventually("the unit is sold again", sold).await;
    sale.settles_at(1).await;
}
