//! The ways on memcached.

use loadtest::{lab::servers::Server::Memcached, ways::way::Gap};
use tokio::task::block_in_place;

use super::{Sale, hold, meeting, rounds, services, way};

const ALL: [&str; 2] = ["memcached-decr", "memcached-cas"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs memcached: make test"]
async fn one_process_and_two_sell_all_units_once() {
    let rounds = rounds(&[Memcached]);
    for processes in [1, 2] {
        hold(&rounds, processes, &ALL).await;
    }
}

/// `decr` stops at 0, so the answer 0 must not be a unit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs memcached: make test"]
async fn decr_tells_the_last_unit_from_none() {
    let services = services(&[Memcached]);
    let mut sale = Sale::open("memcached-decr", &services, 2, Gap::default()).await;
    for (buyer, taken) in [(1, 1), (2, 1), (3, 0), (4, 0)] {
        let told = sale.play(1, buyer, 1).await;
        assert_eq!((told.taken.len(), told.unknown.len()), (taken, 0), "buyer {buyer}");
        assert_eq!(sale.way.sold().await.unwrap().units, [(1, buyer.min(2))].into());
    }
}

/// Both buyers have read the last unit. One gets it; the other one asks again and is refused.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs memcached: make test"]
async fn a_value_that_changed_since_gets_is_not_stored() {
    let services = services(&[Memcached]);
    let mut sale = Sale::open("memcached-cas", &services, 1, meeting(2)).await;
    let told = sale.play(2, 0, 2).await;
    assert_eq!((told.taken.len(), told.again), (1, 1));
    assert!(sale.audit(&told).await.holds());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs memcached: make test"]
async fn memcached_forgets_everything_when_it_is_killed() {
    let mut services = services(&[Memcached]);
    for name in ALL {
        let mut sale = Sale::open(name, &services, 10, Gap::default()).await;
        let mut told = sale.play(2, 0, 4).await;
        assert!(sale.audit(&told).await.lost == 0 && told.taken.len() == 4, "{name}");
        block_in_place(|| {
            services.kill(Memcached).unwrap();
            services.start_again(Memcached).unwrap();
        });
        assert!(sale.way.sold().await.unwrap().units.is_empty(), "{name}");
        told.add(sale.play(1, 4, 3).await);
        let audit = sale.audit(&told).await;
        assert_eq!((audit.told, audit.lost, audit.unknown), (4, 4, 3), "{name}: sold units and stock are gone");
    }
    drop(services);
    let rounds = rounds(&[Memcached]);
    for name in ALL {
        let audit = rounds.restart(way(name)).await.unwrap();
        assert!(audit.lost >= 50 && audit.counted == 0, "{name}: {audit:?}");
    }
}
