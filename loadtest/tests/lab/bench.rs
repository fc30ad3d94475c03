//! `bench`: the no-op that everything is compared with is checked, and so is what counts as sold or refused. Nothing here is about
//! speed.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::post};
use loadtest::{
    bench::{
        CONNECTIONS,
        goals::{GOALS, Reached, invalid},
        growth::Growth,
        load::{self, Load, Loaded, Wanted},
        sales::{Asking, Sold, WARM_UP, plan, sell},
    },
    buyer::crowd::Buyer,
    lab::shop_process::ShopProcess,
    mutant::Mutant,
    record::bench::{Bench, Many, Sample, Samples, Subject},
    scenario::plan::Plan,
    version::{VERSIONS, Version},
};

use crate::support::{assert_refused, lab, link, loadtest, serve};

fn bench(folder: &Path, args: &str, variable: Option<&str>) -> Output {
    let mut command = Command::new(loadtest());
    command.arg("bench").args(args.split_whitespace()).current_dir(folder);
    command.envs(variable.map(|name| (name, "redis://localhost"))).output().unwrap()
}

#[test]
fn only_private_servers_are_measured_and_the_file_is_checked_first() {
    let folder = tempfile::tempdir().unwrap();
    for variable in ["DATABASE_URL", "REDIS_URL", "AMQP_URL"] {
        assert_refused(&bench(folder.path(), "--quick", Some(variable)), &format!("{variable} is set"));
    }
    assert_refused(&bench(folder.path(), "--quick --json missing/bench.json", None), "cannot write missing/bench.json");
    for args in ["--seed -1", "--seed many", "--rounds 3", "v6"] {
        assert_eq!(bench(folder.path(), args, None).status.code(), Some(4), "{args}");
    }
}

/// Sends purchases for a second.
async fn answers(shop: SocketAddr, connections: usize) -> Loaded {
    let buyer = Buyer { id: 1, sale_id: 1, link: link("POST", "/sales/1/purchase/path") };
    let (lasts, wanted) = (Duration::from_secs(1), Wanted::Unit);
    let load = Load { shop, connections, buyers: [buyer].into(), repeats: true, lasts, rate: None, wanted };
    load::run(load).await.unwrap()
}

/// The rates of a no-op and of bare hyper, as the benchmark notes them.
async fn compared(no_op: SocketAddr, bare: SocketAddr) -> Samples {
    let mut samples = Samples::default();
    for connections in CONNECTIONS {
        for (subject, shop) in [(Subject::NoOp, no_op), (Subject::BareHyper, bare)] {
            let mut loaded = answers(shop, connections).await;
            for _ in 1..3 {
                // A busy machine can stand still for longer than the load. The slow no-op is never in time.
                if loaded.in_time > 0 {
                    break;
                }
                loaded = answers(shop, connections).await;
            }
            assert!(loaded.counted > 0 && loaded.others.is_empty(), "{subject}: {}", loaded.says());
            samples.bench.push(Sample::new(1, subject, connections, loaded.per_second()));
        }
    }
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_no_op_makes_the_run_invalid() {
    let folder = tempfile::tempdir().unwrap();
    let start = async |is_bare, log| ShopProcess::no_op(&loadtest(), is_bare, folder.path().join(log)).await.unwrap();
    let (bare, no_op) = (start(true, "bare").await, start(false, "no-op").await);
    // Slower than the load, so that it has no answer in time on any machine.
    let slow = async || {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        (StatusCode::ACCEPTED, r#"{"order_id":1,"status":"queued"}"#)
    };
    let slow = serve(Router::new().route("/sales/{sale_id}/purchase/{path}", post(slow))).await;
    let samples = compared(slow, bare.address).await;
    assert!(invalid(&samples).is_some_and(|why| why.contains("of bare hyper's rate")));
    assert!(GOALS.iter().all(|goal| goal.reached(&samples) == Reached::Unknown));
    // How fast the two are is not for a test. That they are compared at all is.
    let right = compared(no_op.address, bare.address).await;
    let ratios = right.ratios((Subject::NoOp, 64), (Subject::BareHyper, 64));
    assert!(ratios.len() == 1 && ratios[0] > 0.0, "{ratios:?}");
}

/// A sale on SQLite by a mutant, with a unit for each of 150 buyers.
async fn sold_by(mutant: Mutant) -> Sold {
    let lab = lab("sqlite").await;
    let plan = Plan { mutant: Some(mutant), ..plan(Version::V5, WARM_UP + 150, 1) };
    let asking = Asking { connections: 8, lasts: Duration::from_secs(60), rate: None };
    sell(&lab, &plan, asking).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counts_as_sold_is_sold() {
    let right = sold_by(Mutant::Right).await;
    assert_eq!((right.wrong, right.orders, right.loaded.counted), (None, 150, 150));
    for (mutant, why) in [
        (Mutant::AlwaysSoldOut, "0 as wanted, 150 sold-out"),
        (Mutant::Overloaded, "0 as wanted, 150 overloaded"),
        (Mutant::StoresNothing, "150 buyers were promised a unit, and 0 have a row"),
        // Of 150 orders in a row, every hundredth is one or two: the warm-up may end before its last buyer, so the first number varies.
        (Mutant::LosesHundredth, "150 buyers were promised a unit, and 14"),
    ] {
        let wrong = sold_by(mutant).await.wrong;
        assert!(wrong.as_ref().is_some_and(|wrong| wrong.contains(why)), "{mutant}: {wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_loop_asks_at_its_rate() {
    let lab = lab("sqlite").await;
    let asking = Asking { connections: 8, lasts: Duration::from_secs(60), rate: Some(100.0) };
    let sold =
        sell(&lab, &Plan { mutant: Some(Mutant::Right), ..plan(Version::V5, WARM_UP + 100, 1) }, asking).await.unwrap();
    let (elapsed, last_is_due) = (sold.loaded.elapsed, Duration::from_millis(990));
    assert!(sold.orders == 100 && elapsed >= last_is_due, "{} orders in {elapsed:?}", sold.orders);
}

/// Otherwise chapter 6 refuses a tenth of the buyers that fill its largest sale, on a machine that is fast enough.
#[test]
fn the_largest_sale_is_filled_however_fast_its_buyers_come() {
    let args = plan(Version::V6, 1, 1).shop_args;
    let counted = args.iter().find_map(|arg| arg.strip_prefix("--frequency-buyers=")).unwrap();
    assert!(counted.parse::<usize>().unwrap() > *Growth::FULL.held.last().unwrap(), "{args:?}");
}

/// The whole benchmark, on real servers. Whether goals are reached, and whether the no-op was fast enough, is the machine's matter.
#[test]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
fn a_quick_benchmark_measures_everything() {
    let folder = tempfile::tempdir().unwrap();
    let play = || {
        let output = bench(folder.path(), "--quick --growth --json bench.json", None);
        assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{output:?}");
        (output, Bench::read(&folder.path().join("bench.json")).unwrap())
    };
    // Of 64 orders of chapter 1, perhaps one takes a unit, and on a slow machine after the end. There, 256 buyers of chapters 3 to 5
    // may be in conflict all the time.
    let of_conflicts = [Version::V1, Version::V3, Version::V4, Version::V5].map(Subject::Orders);
    // A busy machine can stand still for longer than a whole load, which lasts 600 ms. Then all answers come after its end.
    let stood_still =
        |file: &Bench| file.bench.iter().any(|one| one.per_second == 0.0 && !of_conflicts.contains(&one.subject));
    let (mut output, mut file) = play();
    for _ in 1..3 {
        if !stood_still(&file) {
            break;
        }
        assert!(file.bench.iter().all(|one| one.wrong.is_none() || one.per_second == 0.0), "{:?}", file.bench);
        (output, file) = play();
    }
    let wrong: Vec<_> = file.bench.iter().filter(|one| one.wrong.is_some()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let of_shops = [Subject::BareHyper, Subject::NoOp, Subject::Refuse, Subject::Path, Subject::Sell];
    for connections in CONNECTIONS {
        for subject in of_shops.into_iter().chain(VERSIONS.map(Subject::Orders)) {
            let sample = file.of(subject, connections).next().unwrap_or_else(|| panic!("{subject}, {connections}"));
            let is_of_rows = subject == Subject::Orders(Version::V6); // their cost is that of `sell`
            let may_be_none = of_conflicts.contains(&subject);
            assert!((sample.per_second > 0.0 || may_be_none) && sample.cost.is_some() != is_of_rows, "{sample:?}");
            let answers = sample.latency_ms.as_ref().is_some_and(|times| times.count > 0);
            assert!(answers || is_of_rows, "nobody had an answer: {sample:?}");
        }
        let sell = file.of(Subject::Sell, connections).next().unwrap();
        let cost = sell.cost.as_ref().unwrap();
        let counted = [cost.statements, cost.redis_commands, cost.redis_bytes, cost.messages];
        assert!(counted.iter().all(|n| n.is_some_and(|n| n > 0.0)) && cost.total_us() > 0.0, "{cost:?}");
    }
    let paced = file.of(Subject::Paced, 256).next().unwrap();
    assert!(paced.to_confirmed_ms.is_some_and(|times| times.p50 > 0.0), "{paced:?}");

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("refuse ÷ no-op") && text.contains("confirmed ÷ v2-pessimistic"), "{text}");
    let command =
        |args: &str| Command::new(loadtest()).args(args.split(' ')).current_dir(folder.path()).output().unwrap();
    let many = [Many::Held, Many::Connections, Many::Sales, Many::OldOrders];
    for many in many {
        let is_one = |one: &&Sample| matches!(one.subject, Subject::Among(_, of) if of == many);
        let costs: Vec<_> = file.bench.iter().filter(is_one).map(|one| one.cost.as_ref().unwrap().total_us()).collect();
        assert!(costs.len() == 2 && costs.iter().all(|us| *us > 0.0), "{many}: {costs:?}");
    }
    let durable =
        |of| file.bench.iter().filter(move |one| matches!(one.subject, Subject::Durable(version, _) if version == of));
    assert_eq!((durable(Version::V2).count(), durable(Version::V6).count()), (3, 5));
    assert!(durable(Version::V2).chain(durable(Version::V6)).all(|one| one.per_second > 0.0));
    let markdown = String::from_utf8(command("report bench.json --markdown").stdout).unwrap();
    assert!(markdown.contains("| units held: 1,000 | 64 |"), "{markdown}");
    assert!(markdown.contains("| figure | connections | measured | bar | aim | goal |"), "{markdown}");
    assert_eq!(command("picture bench bench.json --svg bench.svg").status.code(), Some(0));
    let picture = fs::read_to_string(folder.path().join("bench.svg")).unwrap();
    assert!(picture.contains("confirmed, 256") && picture.contains("v2-pessimistic, 64"), "{picture}");
    assert_refused(&command("report bench.json"), "--markdown prints their table");
}
