//! Chapter 6 and its payment provider, which may be slow, silent, or dead at any step. In the end, ledger, orders and answers
//! always agree.

use std::process::Stdio;

use crate::support::{
    assert_problem, eventually, json, loadtest,
    money::{PENDING, Provider, REFUSED, keeps_waiting},
    orders::{GOOD, cancel, confirmed, given_back, pay, pay_until_known, sold_again},
    production::{Production, shared},
    requests::{becomes, click, order, request},
};
use futures_util::future::join_all;
use loadtest::{
    buyer::client::Connection,
    lab::servers::Server,
    provider::{
        Callbacks, Does, Remote,
        Standing::{Authorised, Captured, Pending, Refused, Voided},
        Step, Switches,
    },
    verdict::money::Money,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
    task::block_in_place,
};
use url::Url;

/// A provider with one seeded bug, and its ledger's folder.
async fn mutant(mutant: &str) -> (Child, tempfile::TempDir, Url) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(loadtest());
    command.args(["provider", "--listen", "127.0.0.1:0", "--mutant", mutant, "--ledger"]);
    command.arg(folder.path().join("ledger.db")).stdout(Stdio::piped()).kill_on_drop(true);
    let mut provider = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(provider.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
    (provider, folder, url)
}

/// The instance dies at each step of a payment, before or after the provider has carried it out. The client does not retry.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_payment_whose_instance_dies_is_finished_without_its_client() {
    let (sale, provider) = (Production::new(shared(), 9).await, Provider::start());
    let cases = [
        (Step::Authorise, Does::SilentBefore, "confirmed", &[Voided][..]),
        (Step::Authorise, Does::SilentAfter, "paid", &[Authorised, Captured]),
        (Step::Capture, Does::SilentBefore, "paid", &[Authorised, Captured]),
        (Step::Capture, Does::SilentAfter, "paid", &[Authorised, Captured]),
    ];
    for (n, (step, does, status, movements)) in (0..).zip(cases) {
        let mut shop = sale.with(&provider, &[]).await;
        let order_id = confirmed(&shop, 4001 + n).await;
        provider.at(step, does).await;
        tokio::select! {
            // On a slow machine the shop's own time-out can come first.
            reply = pay(&shop, 4001 + n, order_id, Some("a"), GOOD) => assert_problem(&reply, 503, "timed-out"),
            () = provider.keeps_waiting(step) => {}
        }
        shop.kill().await.unwrap();
        provider.is_well().await;
        let next = sale.with(&provider, &[]).await;
        sale.owes_nothing().await;
        sale.is(order_id, status, None).await;
        assert_eq!(sale.movements(&provider.remote).await.last().unwrap(), movements, "{step:?} {does:?}");
        // A client that retries after all gets the result.
        let again = pay_until_known(&next, 4001 + n, order_id, "a", GOOD).await;
        match status {
            "paid" => assert_eq!(json(&again)["status"], "paid"),
            _ => assert_problem(&again, 402, "declined"),
        }
        next.stop().await;
    }
    sale.settles_at(4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_unused_hold_is_released_although_its_instance_dies() {
    let (sale, provider) = (Production::new(shared(), 1).await, Provider::start());
    let mut shop = sale.with(&provider, &[]).await;
    let order_id = confirmed(&shop, 4101).await;
    provider.at(Step::Authorise, Does::SilentAfter).await;
    tokio::select! {
        reply = pay(&shop, 4101, order_id, Some("a"), GOOD) => assert_problem(&reply, 503, "timed-out"),
        () = provider.keeps_waiting(Step::Authorise) => {}
    }
    shop.kill().await.unwrap();
    sale.expire().await;
    provider.at(Step::Void, Does::Refuse).await;
    let next = sale.with(&provider, &[]).await;
    sale.is(order_id, "expired", None).await;
    given_back(&sale, 1).await; // the unit does not wait for the refund
    provider.is_well().await;
    sale.owes_nothing().await;
    assert_eq!(sale.movements(&provider.remote).await, [[Authorised, Voided]]);
    assert_problem(&pay_until_known(&next, 4101, order_id, "a", GOOD).await, 410, "closed");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_payment_does_not_wait_until_a_clock_that_was_set_back_is_right_again() {
    let (sale, provider) = (Production::new(shared(), 1).await, Provider::start());
    let shop = sale.with(&provider, &[]).await;
    let order_id = confirmed(&shop, 4151).await;
    provider.at(Step::Capture, Does::SilentAfter).await;
    assert_problem(&pay(&shop, 4151, order_id, Some("a"), GOOD).await, 503, "timed-out");
    shop.stop().await;
    let set_back = "update payments set next_at = next_at + 3600000 where owes = 'capture'";
    assert_eq!(sqlx::query(set_back).execute(&sale.pool).await.unwrap().rows_affected(), 1);
    provider.is_well().await;
    let _next = sale.with(&provider, &[]).await;
    sale.owes_nothing().await;
    sale.is(order_id, "paid", None).await;
}

/// A provider that is killed and restarted still knows what it has done.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_provider_that_dies_at_any_step_charges_once() {
    let sale = Production::new(shared(), 9).await;
    let mut provider = Provider::start();
    let shop = sale.with(&provider, &[]).await;
    let cases = [
        (Step::Authorise, Does::DieBefore),
        (Step::Authorise, Does::DieAfter),
        (Step::Capture, Does::DieBefore),
        (Step::Capture, Does::DieAfter),
    ];
    for (n, (step, does)) in (0..).zip(cases) {
        let order_id = confirmed(&shop, 4201 + n).await;
        provider.at(step, does).await;
        assert_problem(&pay(&shop, 4201 + n, order_id, Some("a"), GOOD).await, 503, "timed-out");
        block_in_place(|| {
            let _ = provider.services.kill(Server::Provider); // it has already ended itself
            provider.services.start_again(Server::Provider).unwrap();
        });
        // As the page does: repeats the same request until there is an answer.
        let paid = async || pay(&shop, 4201 + n, order_id, Some("a"), GOOD).await.status == 200;
        eventually(&format!("{step:?} {does:?}: it is paid"), paid).await;
    }
    sale.owes_nothing().await;
    assert_eq!(sale.movements(&provider.remote).await, vec![vec![Authorised, Captured]; 4]);
    sale.settles_at(4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_answer_says_that_nothing_was_charged_only_if_that_is_known() {
    let (sale, provider) = (Production::new(shared(), 9).await, Provider::start());
    let shop = sale.with(&provider, &[]).await;
    let order_id = confirmed(&shop, 4301).await;
    // The provider has not answered, so it may have charged the card.
    for step in [Step::Authorise, Step::Capture] {
        provider.at(step, Does::Refuse).await;
        let reply = pay(&shop, 4301, order_id, Some("a"), GOOD).await;
        assert_problem(&reply, 503, "timed-out");
        assert!(json(&reply)["detail"].as_str().unwrap().contains("may have been charged"), "{reply:?}");
    }
    // In between, the order is unchanged and does not expire.
    let mut connection = Connection::open(shop.address).await.unwrap();
    let standing = order(&mut connection, 4301, order_id).await;
    assert_eq!((&standing["status"], &standing["payment"]), (&"confirmed".into(), &"in-progress".into()), "{standing}");
    assert!(standing.get("pay").is_none() && standing.get("cancel").is_none(), "{standing}");
    assert_problem(&cancel(&shop, 4301, order_id).await, 409, "conflict");
    sale.expire().await;
    provider.is_well().await;
    becomes(&mut connection, 4301, order_id, "paid").await;
    assert_eq!(json(&pay_until_known(&shop, 4301, order_id, "a", GOOD).await)["status"], "paid");

    // The provider does not listen there, so the first request has done nothing, and the answer says so.
    let nowhere = "http://shop:secret@127.0.0.1:9/".parse().unwrap();
    let args = sale.args_with(Server::Provider, &nowhere, &["--role", "api"]);
    let without = sale.instance_with(&args).await;
    let other = confirmed(&shop, 4302).await;
    let reply = pay(&without, 4302, other, Some("a"), GOOD).await;
    assert_problem(&reply, 503, "overloaded");
    assert!(json(&reply)["detail"].as_str().unwrap().contains("nothing was charged"), "{reply:?}");
    assert_problem(&pay(&without, 4302, other, Some("a"), GOOD).await, 503, "timed-out");
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_card_that_cannot_be_charged_after_all_ends_its_order_and_the_unit_is_sold_again() {
    let (sale, provider) = (Production::new(shared(), 1).await, Provider::start());
    let shop = sale.with(&provider, &[]).await;
    let order_id = confirmed(&shop, 4401).await;
    for _ in 0..2 {
        let reply = pay(&shop, 4401, order_id, Some("a"), REFUSED).await;
        assert_problem(&reply, 402, "declined");
        assert!(json(&reply)["detail"].as_str().unwrap().contains("the order has ended"), "{reply:?}");
    }
    let mut connection = Connection::open(shop.address).await.unwrap();
    let standing = order(&mut connection, 4401, order_id).await;
    assert_eq!((&standing["status"], &standing["reason"]), (&"failed".into(), &"payment-failed".into()));
    assert_problem(&pay_until_known(&shop, 4401, order_id, "b", GOOD).await, 410, "closed");
    given_back(&sale, 1).await;
    let again = sold_again(&shop, 4402).await;
    becomes(&mut connection, 4402, again, "confirmed").await;
    assert_problem(&click(&mut connection, 4403).await, 409, "sold-out");
    sale.owes_nothing().await;
    assert_eq!(sale.movements(&provider.remote).await, [vec![Authorised, Refused], vec![Authorised, Voided]]);
    sale.settles_at(1).await;
}

/// The provider reports the result later: once, twice, late, or never.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_payment_that_is_confirmed_later_is_paid_then() {
    let (sale, provider) = (Production::new(shared(), 9).await, Provider::start());
    let shop = sale.with(&provider, &[]).await;
    let callbacks = [Callbacks::Once, Callbacks::Twice, Callbacks::Late(3000), Callbacks::Never];
    for (n, callbacks) in (0..).zip(callbacks) {
        provider.calls(callbacks).await;
        let order_id = confirmed(&shop, 4501 + n).await;
        let reply = pay(&shop, 4501 + n, order_id, Some("a"), PENDING).await;
        match callbacks {
            // The bank decides after half a second. A shop that takes longer than that to answer knows the result.
            Callbacks::Once | Callbacks::Twice if reply.status == 200 => assert_eq!(json(&reply)["status"], "paid"),
            _ => assert_problem(&reply, 503, "timed-out"),
        }
        sale.is(order_id, "paid", None).await;
        assert_eq!(json(&pay_until_known(&shop, 4501 + n, order_id, "a", PENDING).await)["status"], "paid");
        assert_eq!(
            sale.movements(&provider.remote).await.last().unwrap(),
            &[Pending, Authorised, Captured],
            "{callbacks:?}"
        );
    }
    let none = request(shop.address, "POST /payments/no-such-reference/callback", &[], "").await;
    assert_eq!(none.status, 204, "which tells a stranger nothing");

    // A bank cannot delay an order for ever: the order expires, and a later hold is released.
    provider.calls(Callbacks::Never).await;
    let order_id = confirmed(&shop, 4509).await;
    assert_problem(&pay(&shop, 4509, order_id, Some("a"), PENDING).await, 503, "timed-out");
    sale.expire().await;
    sale.is(order_id, "expired", None).await;
    sale.owes_nothing().await;
    assert_eq!(sale.movements(&provider.remote).await.last().unwrap(), &[Pending, Authorised, Voided]);
    sale.settles_at(4).await;
}

/// A payment that is charged after a lost answer, and one whose hold is released: the audit detects a wrong provider.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn the_audit_finds_each_way_in_which_a_provider_can_be_wrong() {
    let expected = [
        ("captures-twice", Money { paid: 1, charged: 2, twice: 1, ..Money::default() }),
        ("never-voids", Money { paid: 1, charged: 1, held: 1, ..Money::default() }),
        ("answers-first", Money { paid: 1, uncharged: 1, held: 1, ..Money::default() }),
    ];
    let looking = expected.map(|(name, expected)| async move {
        let (sale, (_provider, _folder, url)) = (Production::new(shared(), 2).await, mutant(name).await);
        let remote = Remote::new(&url);
        let shop = sale.instance_with(&sale.args_with(Server::Provider, &url, &[])).await;
        let (paid, expired) = (confirmed(&shop, 4951).await, confirmed(&shop, 4952).await);
        let steps = [(Step::Capture, Does::SilentAfter)].into();
        remote.switch(&Switches { steps, ..Switches::default() }).await.unwrap();
        let answers_again = async {
            keeps_waiting(&remote, Step::Capture).await;
            remote.switch(&Switches::default()).await.unwrap();
        };
        let (reply, ()) = tokio::join!(pay(&shop, 4951, paid, Some("a"), GOOD), answers_again);
        assert_problem(&reply, 503, "timed-out");
        // The card is authorised, although the order has expired, and the hold is released.
        sale.expire().await;
        assert_problem(&pay(&shop, 4952, expired, Some("a"), GOOD).await, 410, "closed");
        sale.owes_nothing().await;
        sale.is(paid, "paid", None).await;
        assert_eq!(sale.money(&remote).await, expected, "{name}");
    });
    join_all(looking).await;
}
