//! The fault command, and shops and strikes for which it must not say *clean*. The other test files look at what the faults do to
//! chapter 6.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use crate::support::{
    SALE, eventually,
    liar::{self, Lie},
    loadtest,
    production::{Production, own, shared},
    requests::{reservation, sells},
    within,
};
use loadtest::{
    buyer::progress::Progress,
    fault::{self, Fault},
    lab::{
        Lab,
        servers::{Server, Services},
    },
    record::faults::{Faults, Grid, Round, Rounds, Strike, Verdict},
    scenario::plan::Plan,
    verdict::audit::Audit,
    version::Version,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use tokio::task::block_in_place;
use v6_production::OrderId;

const SMALL: &str = "--buyers 400 --stock 100";

/// Runs the command in a folder; arguments are separated by spaces.
fn faults(folder: &Path, args: &str) -> Output {
    let args = ["faults"].into_iter().chain(args.split(' '));
    Command::new(loadtest()).args(args).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

#[test]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
fn a_fault_has_its_row_and_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let output = faults(folder.path(), &format!("redis-killed {SMALL} --json faults.json"));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("[1/1] redis-killed: 400 buyers …"), "{output:?}");

    let text = fs::read(folder.path().join("faults.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let fault = &record["faults"][0];
    assert_eq!((&record["schema"], &record["seed"], &fault["fault"]), (&3.into(), &1.into(), &"redis-killed".into()));
    assert!(record["machine"]["cores"].as_u64().unwrap() > 0 && record["command"].is_string());
    let round = &fault["rounds"][0];
    assert_eq!((&round["stock"], &round["buyers"], &round["instances"]), (&100.into(), &400.into(), &2.into()));
    for figure in ["oversold", "undersold", "lost_promises", "late_rejects", "not_conserved", "unfinished"] {
        assert_eq!(round[figure], 0, "{figure}: {round}");
    }
    // Buyers of the crowd who are told to come back do not, and the last wave buys the units that are left.
    assert!(round["orders"] == 100 && round["sold"] == 100 && round["verdict"] == "clean", "{round}");
    let told: u64 = round["outcomes"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert!(told > 400, "the crowd, and those who tried: {round}");
    let strike = &round["strike"];
    let number = |name: &str| strike[name].as_f64().unwrap_or_else(|| panic!("{name}: {strike}"));
    assert!((25.0..=50.0).contains(&number("sold")) && number("unconfirmed") >= 0.0, "{strike}");
    assert!(number("in_place_ms") <= number("mended_ms") && number("in_place_ms") < number("confirmed_ms"), "{strike}");
    assert!(number("confirmed_after_mended_ms") < number("confirmed_ms") && number("in_flight") <= 50.0, "{strike}");
    let recovered = number("confirmed_ms");
    assert!(recovered > 0.0 && recovered < 60_000.0, "{round}");
    let row = table.lines().find(|line| line.starts_with("redis-killed")).expect("a row");
    assert!(row.contains("100 of 100") && row.contains("clean"), "{table}");

    let output = Command::new(loadtest()).args(["report", "faults.json"]).current_dir(folder.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("is of faults: --markdown"), "{output:?}");
    let args = ["report", "faults.json", "--markdown"];
    let output = Command::new(loadtest()).args(args).current_dir(folder.path()).output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let row = format!("| redis-killed | clean | 1 | {} | 100 of 100 |", strike["sold"]);
    assert!(table.starts_with("| fault | verdict | rounds |") && table.contains(&row), "{table}");
}

#[test]
fn a_fault_that_nobody_knows_is_refused_with_those_there_are() {
    let output = faults(Path::new("."), "redis-bored");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    for fault in ["redis-bored", "redis-killed", "redis-emptied", "rabbitmq-blocked", "redis-and-rabbitmq-killed"] {
        assert!(said.contains(fault), "{said}");
    }
}

/// No server is started for this test.
#[test]
fn a_fault_that_cannot_strike_here_is_refused_with_what_to_do() {
    let refused = |args: &[&str]| {
        let mut program = Command::new(loadtest());
        let output = program.arg("faults").args(args).env("PATH", "").stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for fault in ["leader-lost", "worker-lost", "leader-stopped", "worker-stopped"] {
        let said = refused(&["redis-killed", fault, "--instances", "1"]);
        assert!(said.contains(&format!("{fault} takes one instance away")) && said.contains("--instances 2"), "{said}");
    }
    let said = refused(&["clock-skewed"]);
    assert!(said.contains("faketime, which is not installed") && said.contains("`make test-tools`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_aborted_run_keeps_its_rounds_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.json");
    let rounds = || Faults::read(&file).map_or(0, |faults| faults.faults[0].rounds.len());
    let args = ["faults", "instance-killed", "--rounds", "500", "--json", "faults.json"];
    let mut grid = Command::new(loadtest());
    grid.args(args.into_iter().chain(SMALL.split(' '))).current_dir(folder.path());
    let grid = grid.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Three servers start first, and a round that a busy machine makes invalid is repeated.
    within(Duration::from_secs(300), "a round is in the file", async || rounds() > 0).await;
    kill(Pid::from_raw(grid.id() as i32), Signal::SIGINT).unwrap();
    let output = block_in_place(|| grid.wait_with_output()).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let kept = rounds();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains(&format!("{kept} rounds are in faults.json: the same command with --resume")), "{said}");

    let more = format!("instance-killed {SMALL} --rounds {} --resume faults.json", kept + 1);
    let output = block_in_place(|| faults(folder.path(), &more));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.matches(" buyers …").count(), 1, "one round is played: {said}");
    let seeds: Vec<u64> = Faults::read(&file).unwrap().faults[0].rounds.iter().map(|round| round.seed).collect();
    assert_eq!(seeds, (1..=kept as u64 + 1).collect::<Vec<_>>());
}

/// A file of this machine, made outside a checkout like the command here. Its one fault has rounds with this strike.
fn file_of(path: &Path, fault: Fault, rounds: usize, verdict: Verdict, strike: &Strike) {
    let round = |n: usize| Round {
        stock: 100,
        buyers: 400,
        instances: 2,
        seed: 1 + n as u64,
        verdict,
        strike: strike.clone(),
        audit: Audit { orders: 100, sold: 100, ..Audit::default() },
        money: None,
        worse_answers: None,
        outcomes: BTreeMap::from([("bought".into(), 100)]),
    };
    let faults = Faults::new(Grid {
        shop_args: Vec::new(),
        seed: 1,
        faults: vec![Rounds { fault: fault.into(), rounds: (0..rounds).map(round).collect() }],
    });
    Faults { commit: None, ..faults }.write(path).unwrap();
}

/// No round is left to play, so no server is started.
#[test]
fn the_exit_code_is_the_worst_of_the_faults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faults.json");
    let ended = |expected: i32, verdict: &str| {
        let output = faults(folder.path(), &format!("redis-cut {SMALL} --resume faults.json"));
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(expected), "{output:?}");
        let row = table.lines().find(|line| line.starts_with("redis-cut")).expect("a row");
        assert!(row.contains(verdict), "{table}");
        table
    };
    let in_time = Strike { in_place_ms: Some(1.0), sold: 50, confirmed_ms: Some(2.0), ..Strike::default() };
    file_of(&path, Fault::RedisCut, 1, Verdict::Clean, &in_time);
    ended(0, " clean ");
    file_of(&path, Fault::RedisCut, 4, Verdict::Invalid, &Strike { sold: 51, ..in_time.clone() });
    ended(3, " invalid ");
    let never = Strike { confirmed_ms: None, ..in_time };
    file_of(&path, Fault::RedisCut, 1, Verdict::Broken, &never);
    assert!(ended(2, " broken ").contains("seed 1: no order confirmed within a minute"));
}

#[test]
fn a_file_of_other_conditions_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    file_of(&folder.path().join("faults.json"), Fault::RedisCut, 1, Verdict::Clean, &Strike::default());
    let refused = |args: &str| {
        let output = faults(folder.path(), args);
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused("redis-cut --buyers 500 --stock 100 --resume faults.json");
    assert_eq!(
        said,
        "error: cannot go on with faults.json: it was made under other conditions: buyers 400, here 500\n"
    );
    assert!(refused(&format!("{SMALL} --resume none.json")).contains("cannot read none.json"));
    assert!(refused(&format!("{SMALL} --resume faults.json --json other.json")).contains("cannot be used with"));
}

/// One round of a fault with a shop that lies once the fault is in place.
async fn round_with(lie: Lie, fault: Fault) -> Round {
    let mut services = own();
    let lab = Lab::on(loadtest(), &services).await.unwrap();
    let plan = Plan { buyers: 400, stock: 200, instances: 1, connections: 20, ..Plan::stampede(Version::V6, None) };
    let progress = Progress::default();
    let doors = async |shops: Vec<_>| vec![liar::in_front_of(shops[0], lie, progress.clone()).await];
    fault::round(&lab, &mut services, fault, &plan, progress.clone(), doors).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_shop_that_says_sold_out_after_a_rebuild_has_not_recovered() {
    let round = round_with(Lie::SoldOut, Fault::RedisFlushed).await;
    assert_eq!((round.verdict, round.strike.confirmed_ms), (Verdict::Broken, None), "{round:?}");
    assert!(round.is_struck() && round.outcomes["sold-out"] > 0 && round.audit.undersold > 0, "{round:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_shop_that_sells_a_few_after_a_rebuild_and_leaves_the_rest_is_undersold() {
    // More than there are connections: those who asked just before the fault take some, and do not count as a recovery.
    let round = round_with(Lie::SoldOutAfter(25), Fault::RedisKilled).await;
    assert!(round.is_struck() && round.strike.confirmed_ms.is_some(), "{round:?}");
    assert!(round.verdict == Verdict::Broken && round.audit.undersold >= 50, "{round:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_shop_that_only_queues_has_not_recovered() {
    let round = round_with(Lie::NeverConfirms, Fault::RedisKilled).await;
    assert_eq!((round.verdict, round.strike.confirmed_ms), (Verdict::Broken, None), "{round:?}");
    assert!(round.is_struck() && round.audit.lost_promises > 0, "{round:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_shop_that_charges_nobody_is_not_clean() {
    let round = round_with(Lie::Declines, Fault::ProviderSilent).await;
    let money = round.money.as_ref().unwrap();
    assert!(money.is_sound() && money.paid == 0, "its books agree: {round:?}");
    assert_eq!(round.verdict, Verdict::Broken, "{round:?}");
}

/// The strike goes to servers that no shop uses, so the sale is not affected.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_strike_that_does_nothing_makes_the_round_invalid() {
    let services = own();
    let lab = Lab::on(loadtest(), &services).await.unwrap();
    let mut others = block_in_place(|| Services::start(&loadtest(), &[Server::Redis, Server::RabbitMq])).unwrap();
    let plan = Plan { buyers: 400, stock: 200, instances: 1, connections: 20, ..Plan::stampede(Version::V6, None) };
    for fault in [Fault::RedisKilled, Fault::RedisEmptied, Fault::RabbitMqBlocked] {
        let doors = async |shops| shops;
        let round = fault::round(&lab, &mut others, fault, &plan, Progress::default(), doors).await.unwrap();
        assert_eq!((round.verdict, round.strike.in_place_ms), (Verdict::Invalid, None), "{fault}: {round:?}");
        assert_eq!(round.why_invalid().as_deref(), Some("the fault was not in place"));
        assert_eq!(round.audit.orders, 200, "the sale went on: {round:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_message_counts_as_repeated_if_sql_knows_all_its_orders_or_has_declared_them_lost() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let known = sells(shop.address, 1).await;
    sale.settles_at(1).await;
    shop.stop().await; // after it has acknowledged its message
    let (known, unknown) = (reservation(known, 1, 1, 1), reservation(known + 1, 2, 2, 2));
    let lost = reservation(OrderId::base(SALE, sale.epoch().await - 1).0 + 1, 3, 3, 3);
    let repeated = [json!([known]), json!([lost]), json!([known, lost])];
    for message in repeated.iter().chain(&[json!([known, unknown]), json!([unknown]), json!([]), json!("garbage")]) {
        sale.publish(message.to_string().as_bytes()).await;
    }
    assert_eq!(sale.stores.repeated(&sale.pool, SALE).await.unwrap(), 3);
    eventually("all are back", async || sale.stores.messages("orders").await.unwrap() == 7).await;
}
