//! The figures in README and book are those of the files in `docs/results`.

use std::{fs, path::Path, process::Command};

use crate::support::loadtest;
use clap::ValueEnum;
use loadtest::{
    fault::Fault,
    record::{
        Record,
        capacity::Capacities,
        faults::{Faults, Verdict},
        interleavings::{Explorations, Replays},
    },
    render::text::thousands,
    verdict::Verdict::AsPromised,
    version::Version,
};
use serde_json::Value;

/// Prints the tables of a committed file: the table of the stampedes, and the matrix if there is one.
fn tables(file: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = Command::new(loadtest()).arg("report").arg(root.join(file)).arg("--markdown").output().unwrap();
    let text = String::from_utf8(made.stdout).unwrap();
    text.split("\n\n").map(|table| table.trim_end().to_owned()).collect()
}

/// The tables in both READMEs and in the book are those that the command prints for the committed figures.
#[test]
fn the_readmes_and_the_book_show_the_figures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let stampedes = &tables("docs/results/demo.json")[0];
    assert!(stampedes.contains("| v6-production |"), "{stampedes}");
    assert!(read("README.md").contains(stampedes), "README.md: the table should be:\n{stampedes}");
    // Its Chinese translation has the same rows under a header of its own.
    let chinese = read("README.zh-CN.md");
    stampedes.lines().skip(2).for_each(|row| assert!(chinese.contains(row), "README.zh-CN.md should have:\n{row}"));
    let matrix = &tables("docs/results/matrix.json")[1];
    assert!(matrix.contains("| v6-production |"), "{matrix}");
    assert!(read("docs/src/attacks.md").contains(matrix), "docs/src/attacks.md: the matrix should be:\n{matrix}");
}

/// The pictures in README and book are those that the command draws from the committed figures.
#[test]
fn the_pictures_are_made_from_the_figures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir().unwrap();
    let lanes =
        ["v1", "v2", "v3"].map(|version| ("lanes", format!("replay-{version}.json"), format!("lanes-{version}")));
    let of_runs = [
        ("ladder", "demo.json", "ladder"),
        ("matrix", "matrix.json", "matrix"),
        ("funnel", "matrix.json", "funnel"),
        ("funnel", "v6-nginx.json", "funnel-nginx"),
        ("capacity", "capacity.json", "capacity"),
    ];
    let of_runs = of_runs.map(|(kind, file, name)| (kind, file.to_owned(), name.to_owned()));
    for (kind, file, name) in of_runs.into_iter().chain(lanes) {
        let svg = folder.path().join(&name);
        let made = Command::new(loadtest())
            .args(["picture", kind])
            .arg(root.join("docs/results").join(file))
            .arg("--svg")
            .arg(&svg)
            .status();
        assert!(made.unwrap().success());
        let committed = root.join(format!("docs/src/{name}.svg"));
        let [made, committed] = [svg, committed].map(|file| fs::read_to_string(file).unwrap());
        let title = if kind == "lanes" { name.replace("lanes-", "") } else { "-production".into() };
        assert!(made.contains(&title) && made == committed, "{name}: make pictures");
    }
}

/// All interleavings: the book has the files' table, each version came out as promised, and none was left out.
#[test]
fn the_orders_of_events_are_those_of_the_figures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/src/explore.md")).unwrap();
    let says = |quote: String| assert!(page.contains(&quote), "docs/src/explore.md should say: {quote}");
    let mut files = vec!["explore".to_owned(), "explore-3-buyers".into()];
    for variant in ["v1-transaction", "v2-process-lock", "v2-insert-first", "v2-serializable", "v3-no-retry"] {
        files.push(format!("explore-{variant}"));
    }
    files.push("explore-v3-conditional".into());
    for name in files {
        let file = root.join(format!("docs/results/{name}.json"));
        for explored in Explorations::read(&file).unwrap().figures.explored {
            assert_eq!((explored.verdict, explored.not_followed, explored.cut_off), (AsPromised, 0, 0));
            assert_eq!(explored.orders.len(), explored.orders_of_events, "{name}");
            let limit = if explored.version == Version::V1 { 10.0 } else { 30.0 };
            assert!(explored.buyers > 2 || explored.seconds < limit, "{name}: {} s", explored.seconds);
        }
        let printed = Command::new(loadtest()).arg("report").arg(&file).arg("--markdown").output().unwrap();
        let table = String::from_utf8(printed.stdout).unwrap();
        table.lines().skip(2).for_each(|row| says(row.to_owned()));
    }
    for version in ["v1", "v2", "v3"] {
        let file = root.join(format!("docs/results/replay-{version}.json"));
        for replayed in Replays::read(&file).unwrap().figures.replayed {
            assert_eq!((replayed.times, replayed.same), (100, 100), "{version}");
            replayed.notes.iter().for_each(|note| says(note.clone()));
        }
    }
}

/// The capacities: the book has the files' tables, and three searches agree within 15 %.
#[test]
fn the_capacities_are_those_of_the_figures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/src/capacity.md")).unwrap();
    for file in ["capacity", "capacity-v2"] {
        for table in tables(&format!("docs/results/{file}.json")) {
            assert!(page.contains(&table), "docs/src/capacity.md: the table should be:\n{table}");
        }
    }
    let three = Capacities::read(&root.join("docs/results/capacity-v2.json")).unwrap();
    let rates: Vec<f64> = three.capacities.iter().map(|one| one.per_second).collect();
    let (least, most) =
        rates.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), rate| (least.min(*rate), most.max(*rate)));
    assert!(rates.len() == 3 && most <= 1.15 * least, "{rates:?}");
}

/// Chapter 6 reports four crowds: sold exactly in twenty of twenty runs, with nothing left in any store.
#[test]
fn chapter_6_sold_exactly_each_time() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (file, buyers, stock, instances) in [
        ("v6-x1", 10_000, 100, 1),
        ("v6-x3", 10_000, 100, 3),
        ("v6-100000-x1", 100_000, 1000, 1),
        ("v6-100000-x3", 100_000, 1000, 3),
    ] {
        let record = Record::read(&root.join(format!("docs/results/{file}.json"))).unwrap();
        assert_eq!(record.runs.len(), 20, "{file}");
        for run in &record.runs {
            assert_eq!((run.buyers, run.stock, run.instances), (buyers, stock, instances), "{file}");
            assert_eq!((run.audit.orders, run.audit.sold, run.audit.undersold), (stock, stock, 0), "{file}");
            assert!(run.audit.is_sound() && run.audit.not_conserved == 0 && run.audit.unknown == 0, "{file}");
        }
    }
}

/// Each fault ten times: the book has the files' tables, and nothing was oversold, lost or leaked.
#[test]
fn chapter_6_survived_each_fault_each_time() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/src/faults.md")).unwrap();
    let mut measured = Vec::new();
    for file in ["faults", "faults-payment"] {
        let file = root.join("docs/results").join(file).with_extension("json");
        for rounds in &Faults::read(&file).unwrap().faults {
            assert_eq!((rounds.struck().count(), rounds.verdict()), (10, Verdict::Clean), "{}", rounds.fault);
            measured.push(rounds.fault);
        }
        let printed = Command::new(loadtest()).arg("report").arg(&file).arg("--markdown").output().unwrap();
        let table = String::from_utf8(printed.stdout).unwrap();
        assert!(page.contains(&table), "the table should be:\n{table}");
    }
    assert_eq!(measured, Fault::value_variants());
}

/// A hundred thousand forgeries at two instances.
#[test]
fn chapter_6_took_no_forgery() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results/v6-forger.json");
    let record = Record::read(&file).unwrap();
    let [run] = &record.runs[..] else { panic!("{} runs", record.runs.len()) };
    assert_eq!((run.version.name(), run.instances, run.figure().as_str()), ("v6-production", 2, "0 of 100,000"));
}

/// The figures that chapters and cards quote are those of the files.
#[test]
fn the_chapters_quote_the_figures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let runs = |file: &str| {
        let record: Value = serde_json::from_str(&read(&format!("docs/results/{file}.json"))).unwrap();
        record["runs"].as_array().unwrap().clone()
    };
    let demo = runs("demo");
    let run = |version: &str, variant: Option<&str>| {
        let this = |run: &&Value| {
            run["scenario"] == "stampede" && run["version"] == version && run["variant"].as_str() == variant
        };
        demo.iter().find(this).unwrap()
    };
    let count = |value: &Value| thousands(value.as_f64().unwrap() as i64);
    let rounded = |value: &Value| thousands(value.as_f64().unwrap().round() as i64);
    let (v1, in_transaction) = (run("v1-naive", None), run("v1-naive", Some("transaction")));
    let (v2, process_lock) = (run("v2-pessimistic", None), run("v2-pessimistic", Some("process-lock")));
    let serializable = run("v2-pessimistic", Some("serializable"));
    let (v3, v4) = (run("v3-optimistic", None), run("v4-ratelimit", None));
    let [forger, two, restart] = ["v5-forger", "v5-two-instances", "v5-restart"].map(runs);
    let span = |runs: &[Value]| {
        let told = runs.iter().map(|run| run["outcomes"]["wrong-path"].as_i64().unwrap());
        format!("{} to {}", told.clone().min().unwrap(), told.max().unwrap())
    };
    // Chapter 6: medians over the runs, and the rate to the last commit against chapter 2's in the same run.
    let [x1, large, everybody] = ["v6-x1", "v6-100000-x3", "everybody"].map(runs);
    let median = |runs: &[Value], at: &str| {
        let mut values: Vec<f64> = runs.iter().map(|run| run.pointer(at).unwrap().as_f64().unwrap()).collect();
        values.sort_by(f64::total_cmp);
        format!("{:.0}", (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0)
    };
    let confirmed = |runs| median(runs, "/reservations/to_confirmed_ms/p99");
    let passed = x1.iter().map(|run| run["counters"]["passed_filter"].as_i64().unwrap());
    let passed = format!("{} to {}", passed.clone().min().unwrap(), passed.max().unwrap());
    let orders = |run: &Value| run["orders"].as_f64().unwrap();
    let queued = orders(&everybody[0]) * 1e3 / everybody[0]["reservations"]["last_commit_ms"].as_f64().unwrap();
    let times = format!("{:.1} times", queued * everybody[1]["seconds"].as_f64().unwrap() / orders(&everybody[1]));
    // Chapter 6 behind nginx, and the buyers who wait for its messages.
    let nginx = &runs("v6-nginx")[0];
    let reached =
        [&nginx["nginx"]["requests"], &nginx["nginx"]["passed_on"], &nginx["counters"]["passed_filter"]].map(count);
    let watchers: Value = serde_json::from_str(&read("docs/results/watchers.json")).unwrap();
    assert!(watchers["worst_ms"].as_f64().unwrap() < 2000.0 && watchers["waiting"] == 5000);
    assert_eq!(nginx["verdict"], "as promised");
    assert!(forger.iter().chain(&two).chain(&restart).all(|run| run["lost_promises"] == 0));
    let naive = "docs/src/chapters/v1-naive.md";
    let pessimistic = "docs/src/chapters/v2-pessimistic.md";
    let optimistic = "docs/src/chapters/v3-optimistic.md";
    let rate_limit = "docs/src/chapters/v4-ratelimit.md";
    let hidden = "docs/src/chapters/v5-hidden-api.md";
    let production = "docs/src/chapters/v6-production.md";
    for (file, quote) in [
        (naive, format!("the counter says that {} were sold", count(&v1["sold"]))),
        (naive, format!("It still oversells: {} orders", count(&in_transaction["orders"]))),
        (naive, format!("{} orders a second", count(&v1["requests_per_second"]))),
        (pessimistic, format!("with two instances it sold {} of 100", process_lock["orders"])),
        (pessimistic, format!("holds, by {} retries", count(&serializable["counters"]["serialization_failures"]))),
        (pessimistic, format!("{} statements per unit sold", rounded(&v2["statements_per_order"]))),
        (optimistic, format!("lost {} compare-and-swaps", count(&v3["counters"]["conflicts"]))),
        (optimistic, format!("{} statements per unit sold", rounded(&v3["statements_per_order"]))),
        (optimistic, format!("answers {} requests a second", count(&v3["requests_per_second"]))),
        (optimistic, format!("answers {}:", count(&v2["requests_per_second"]))),
        (rate_limit, format!("{} of 10,000 were told", count(&v4["outcomes"]["rate-limited"]))),
        (hidden, format!("{} taken", forger[0]["measure"]["value"].as_f64().unwrap())),
        (hidden, format!("{} of 10,000 honest buyers", span(&two))),
        (hidden, format!("{} told `wrong-path`", span(&restart))),
        (production, format!("p99 {} ms with 10,000 buyers", confirmed(&x1))),
        (production, format!("{} ms with 100,000 and three", confirmed(&large))),
        (production, format!("of 10,000 attempts {passed} reached Redis")),
        (production, format!("{} orders a second", thousands(queued.round() as i64))),
        (production, times.clone()),
        (
            "docs/src/chapters/v6-front.md",
            format!(
                "{} requests came to nginx, {} to an instance, {} attempts to Redis",
                reached[0], reached[1], reached[2]
            ),
        ),
        ("docs/src/chapters/v6-front.md", format!("p99 {} ms, the last one", rounded(&watchers["worst_p99_ms"]))),
        ("docs/src/million.md", format!("Of {} requests", reached[0])),
        ("docs/src/whiteboard/6-production.md", times),
        ("docs/src/whiteboard/6-production.md", format!("{passed} of 10,000 attempts")),
        ("docs/src/whiteboard/1-naive.md", format!("`sold` says {}", count(&v1["sold"]))),
        ("docs/src/whiteboard/2-pessimistic.md", format!("{} requests a second", count(&v2["requests_per_second"]))),
        ("docs/src/whiteboard/3-optimistic.md", format!("{} conflicts", count(&v3["counters"]["conflicts"]))),
        ("docs/src/whiteboard/5-hidden-api.md", format!("{} honest buyers", span(&two))),
    ] {
        assert!(read(file).contains(&quote), "{file} should say: {quote}");
    }
}
