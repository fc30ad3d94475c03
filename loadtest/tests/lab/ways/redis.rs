//! The ways on Redis.

use loadtest::{
    lab::{
        servers::Server::{Postgres, Redis},
        stores::connect,
    },
    ways::way::Gap,
};
use tokio::task::block_in_place;

use super::{Sale, hold, meeting, rounds, services, way};

const IN_REDIS: [&str; 3] = ["redis-decr", "redis-watch", "redis-lua"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis and PostgreSQL: make test"]
async fn one_process_and_two_sell_all_units_once() {
    let rounds = rounds(&[Redis, Postgres]);
    for processes in [1, 2] {
        hold(&rounds, processes, &IN_REDIS).await;
        hold(&rounds, processes, &["redis-lock", "redis-lock-fenced", "redis-two-phase"]).await;
    }
}

/// What Redis has forgotten, it sells again. SQL remembers.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis and PostgreSQL: make test"]
async fn with_sql_a_kill_of_redis_loses_no_order() {
    let rounds = rounds(&[Redis, Postgres]);
    let audit = rounds.restart(way("redis-lock-fenced")).await.unwrap();
    assert!(audit.holds() && audit.counted == 100, "{audit:?}");
    // If the disk is slow, Redis forgets even the stock and refuses all others.
    let audit = rounds.restart(way("redis-two-phase")).await.unwrap();
    assert_eq!((audit.oversold, audit.lost, audit.double_bought), (0, 0, 0), "{audit:?}");
    for name in IN_REDIS {
        let audit = rounds.restart(way(name)).await.unwrap();
        // If Redis forgot even the stock, it refuses all who come after the restart, and at most 75 have a unit.
        assert!(audit.lost == audit.oversold || audit.told <= 75, "{name}: {audit:?}");
    }
}

/// The last third of the log is gone, as if the machine had lost its power before the log was on the disk.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis and PostgreSQL: make test"]
async fn what_redis_has_not_on_the_disk_is_sold_again_unless_sql_knows() {
    let mut services = services(&[Redis, Postgres]);
    for name in IN_REDIS.into_iter().chain(["redis-two-phase"]) {
        let mut sale = Sale::open(name, &services, 60, Gap::default()).await;
        let mut told = sale.play(4, 0, 40).await;
        block_in_place(|| {
            services.kill(Redis).unwrap();
            services.cut_redis().unwrap();
            services.start_again(Redis).unwrap();
        });
        told.add(sale.play(4, 40, 400).await);
        let audit = sale.audit(&told).await;
        match name {
            "redis-two-phase" => assert_eq!((audit.oversold, audit.lost), (0, 0), "{name}: {audit:?}"),
            // If the disk was slow, the log had not even the stock: then all other units are gone.
            _ => assert!(audit.lost > 0 && audit.oversold > 0 || audit.undersold > 0, "{name}: {audit:?}"),
        }
    }
}

/// Both buyers have seen the last unit. One gets it; the other one asks again and is refused.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: make test"]
async fn a_counter_that_changed_since_watch_is_not_decremented() {
    let services = services(&[Redis]);
    let mut sale = Sale::open("redis-watch", &services, 1, meeting(2)).await;
    let told = sale.play(2, 0, 2).await;
    assert_eq!((told.taken.len(), told.again), (1, 1));
    assert!(sale.audit(&told).await.holds());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: make test"]
async fn decr_gives_back_what_went_below_zero() {
    let services = services(&[Redis]);
    let mut sale = Sale::open("redis-decr", &services, 3, Gap::default()).await;
    assert_eq!(sale.play(4, 0, 100).await.taken.len(), 3);
    let mut redis = connect(services.url(Redis).unwrap()).await.unwrap();
    let left: i64 = ::redis::cmd("GET").arg("stock:1").query_async(&mut redis).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: make test"]
async fn lua_sells_one_unit_to_a_buyer_who_asks_twice() {
    let services = services(&[Redis]);
    let mut sale = Sale::open("redis-lua", &services, 2, Gap::default()).await;
    for _ in 0..2 {
        assert_eq!(sale.play(1, 7, 1).await.taken, [(1, 7)]);
    }
    assert_eq!(sale.play(1, 8, 3).await.taken, [(1, 8)], "the second question took no unit");
}

/// The holder's process is paused (SIGSTOP) after it has read the stock, until its lease has ended and others have sold out.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis and PostgreSQL: make test"]
async fn a_paused_holder_oversells_without_a_fence_and_not_with_one() {
    let rounds = rounds(&[Redis, Postgres]);
    for (name, oversold) in [("redis-lock", 1), ("redis-lock-fenced", 0), ("redis-two-phase", 0)] {
        let pause = rounds.pause(way(name)).await.unwrap();
        assert_eq!((pause.meanwhile, pause.audit.oversold), (2, oversold), "{name}: {pause:?}");
        assert_eq!(pause.audit.holds(), oversold == 0, "{name}: {pause:?}");
    }
}
