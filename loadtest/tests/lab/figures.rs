//! What the records in `docs/results` have to show, and the pictures that are drawn from them. `loadtest figures` compares the
//! pages with the records (`quoted.rs`).

use std::{fs, path::Path, process::Command};

use crate::support::loadtest;
use loadtest::{
    fault::AnyFault,
    record::{
        Record,
        capacity::Capacities,
        faults::{Faults, Verdict},
        interleavings::{Explorations, Replays},
    },
    verdict::Verdict::AsPromised,
    version::Version,
};

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

/// All interleavings: each version came out as promised, and none was left out.
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
    files.extend([2, 3, 4].map(|buyers| format!("explore-classes-{buyers}")));
    for name in files {
        let file = root.join(format!("docs/results/{name}.json"));
        for explored in Explorations::read(&file).unwrap().figures.explored {
            assert_eq!((explored.verdict, explored.not_followed, explored.cut_off), (AsPromised, 0, 0));
            let stands_for: u64 = explored.orders.iter().map(|order| order.interleavings).sum();
            assert_eq!(stands_for, explored.orders_of_events as u64, "{name}");
            let limit = if explored.version == Version::V1 { 10.0 } else { 30.0 };
            assert!(explored.buyers > 2 || explored.seconds < limit, "{name}: {} s", explored.seconds);
        }
    }
    for version in ["v1", "v2", "v3"] {
        let file = root.join(format!("docs/results/replay-{version}.json"));
        for replayed in Replays::read(&file).unwrap().figures.replayed {
            assert_eq!((replayed.times, replayed.same), (100, 100), "{version}");
            replayed.notes.iter().for_each(|note| says(note.clone()));
        }
    }
}

/// The capacities: three searches agree within 15 %.
#[test]
fn the_capacities_are_those_of_the_figures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
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

/// Each fault ten times: nothing was oversold, lost or leaked.
#[test]
fn chapter_6_survived_each_fault_each_time() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut measured = Vec::new();
    for rounds in &Faults::read(&root.join("docs/results/faults.json")).unwrap().faults {
        assert_eq!((rounds.struck().count(), rounds.verdict()), (10, Verdict::Clean), "{}", rounds.fault);
        measured.push(rounds.fault.to_string());
    }
    let all: Vec<_> = AnyFault::all(false).iter().map(AnyFault::to_string).collect();
    assert_eq!(measured, all);
}

/// A hundred thousand forgeries at two instances.
#[test]
fn chapter_6_took_no_forgery() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results/v6-forger.json");
    let record = Record::read(&file).unwrap();
    let [run] = &record.runs[..] else { panic!("{} runs", record.runs.len()) };
    assert_eq!((run.version.name(), run.instances, run.figure().as_str()), ("v6-production", 2, "0 of 100,000"));
}
