//! The report of a run, in a real browser; and files that are none.

#[path = "support/browser.rs"]
mod browser;
mod support;

use std::{fs, path::Path, process::Command};

use browser::Browser;
use clap::ValueEnum;
use loadtest::{
    explore::figures::{Explorations, Replays},
    fault::{Fault, figures::Faults},
    record::Record,
    text::thousands,
};
use serde_json::{Value, json};
use support::{loadtest, v1_oversells};

/// Runs v1 on SQLite and returns the figures; `run.json` and `run.html` are then in `folder`.
fn run(folder: &Path) -> Value {
    let output = v1_oversells(folder);
    let says = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(says.lines().last().unwrap().starts_with("report: /") && says.trim_end().ends_with("/run.html"), "{says}");
    serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap()
}

fn report(folder: &Path, file: &str) -> (Option<i32>, String) {
    let output =
        Command::new(loadtest()).args(["report", file, "--html", "again.html"]).current_dir(folder).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn the_charts_say_what_the_figures_say() {
    let folder = tempfile::tempdir().unwrap();
    let record = run(folder.path());
    let run = &record["runs"][0];
    let browser = Browser::start().await;
    browser.page.goto(&format!("file://{}", folder.path().join("run.html").display())).await.unwrap();

    let orders = run["orders"].as_i64().unwrap();
    assert!(browser.text("h1").await.contains("What came out"));
    assert!(browser.text(".lead").await.contains(&format!("v1-naive had 5 units and sold {orders}")));
    let chart = browser.text("figure.orders svg").await;
    let moment = run["oversold_after_ms"].as_f64().unwrap();
    assert!(chart.contains(&format!("oversold from here, {moment:.0} ms")), "{chart}");
    assert!(chart.contains(&format!("{} orders", run["outcomes"]["bought"])) && chart.contains("stock 5"), "{chart}");
    let told = browser
        .script("return [...document.querySelectorAll('figure.told text')].map((text) => text.textContent)")
        .await;
    let expected = json!([
        "stock",
        "5",
        "told yes",
        run["outcomes"]["bought"].to_string(),
        "orders",
        orders.to_string(),
        "sold says",
        run["sold"].to_string()
    ]);
    assert_eq!(told, expected);
    let p99 = run["latency_ms"]["bought"]["p99"].as_f64().unwrap();
    assert!(browser.text("figure.latency svg").await.contains(&format!("p99 {p99:.0} ms")));
    assert!(browser.text("footer").await.contains(record["command"].as_str().unwrap()));
    browser.screenshot("report.png").await;

    assert_eq!(browser.script("return performance.getEntriesByType('resource').length").await, 0, "it loads nothing");
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
    browser.as_telephone().await;
    assert!(!browser.scrolls_sideways().await);
    browser.screenshot("report-phone.png").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn a_hostile_file_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = run(folder.path());
    let hostile = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\"'&";
    for field in ["version", "variant", "scenario", "database", "promised", "verdict"] {
        record["runs"][0][field] = hostile.into();
    }
    record["runs"][0]["outcomes"][hostile] = 1.into();
    record["runs"][0]["counters"][hostile] = 1.into();
    record["runs"][0]["shop_args"] = json!([hostile]);
    record["machine"]["model"] = hostile.into();
    record["machine"]["system"] = hostile.into();
    record["commit"] = hostile.into();
    record["command"] = hostile.into();
    fs::write(folder.path().join("hostile.json"), record.to_string()).unwrap();
    assert_eq!(report(folder.path(), "hostile.json"), (Some(0), String::new()));

    let browser = Browser::start().await;
    browser.page.goto(&format!("file://{}", folder.path().join("again.html").display())).await.unwrap();
    assert!(browser.text("h2").await.contains("<script>"));
    let found = browser.script("return [window.hacked ?? null, document.querySelectorAll('script, img').length]").await;
    assert_eq!(found, json!([null, 0]));
}

#[test]
fn the_report_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    assert_eq!(report(folder.path(), "run.json"), (Some(0), String::new()));
    let [first, again] = ["run.html", "again.html"].map(|file| fs::read_to_string(folder.path().join(file)).unwrap());
    assert_eq!(first, again);
}

/// Chapters 5 and 6 stand beside each other if there are both, and not otherwise.
#[test]
fn two_instances_and_a_restart_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = run(folder.path());
    let run = record["runs"][0].clone();
    let mut runs = Vec::new();
    for (n, scenario) in ["two-instances", "restart"].iter().enumerate() {
        for (version, turned_away, n) in [("v5-hidden-api", 4321, n), ("v6-production", 0, n + 2)] {
            let mut run = run.clone();
            (run["version"], run["scenario"], run["variant"]) = (version.into(), (*scenario).into(), Value::Null);
            run["outcomes"] = json!({ "wrong-path": turned_away, "unknown": 70 + n });
            (run["orders"], run["stock"]) = ((90 + n).into(), 100.into());
            (run["oversold"], run["lost_promises"]) = (0.into(), (turned_away / 10).into());
            runs.push(run);
        }
    }
    let mut made = |runs: &[Value]| {
        record["runs"] = runs.into();
        fs::write(folder.path().join("compared.json"), record.to_string()).unwrap();
        assert_eq!(report(folder.path(), "compared.json"), (Some(0), String::new()));
        let html = fs::read_to_string(folder.path().join("again.html")).unwrap();
        let section = html.split_once("<section class=\"instances\">")?.1.split_once("</section>")?.0.to_owned();
        Some(section)
    };
    let section = made(&runs).expect("a section");
    let row = |name: &str| section.split(&format!("<th scope=\"row\">{name}")).nth(1)?.split("</tr>").next();
    assert!(section.contains("<th colspan=\"2\">two-instances<th colspan=\"2\">restart"), "{section}");
    let bad = |n: &str| format!("<td class=\"bad\">{n}<td>0<td class=\"bad\">{n}<td>0");
    assert_eq!(row("honest buyers turned away"), Some(bad("4,321").as_str()));
    assert_eq!(row("lost promises"), Some(bad("432").as_str()));
    assert_eq!(row("oversold"), Some("<td>0<td>0<td>0<td>0"));
    assert_eq!(row("sold of stock"), Some("<td>90 of 100<td>92 of 100<td>91 of 100<td>93 of 100"));
    assert_eq!(row("no answer"), Some("<td>70<td>72<td>71<td>73"));
    for missing in 0..runs.len() {
        let mut fewer = runs.clone();
        fewer.remove(missing);
        assert_eq!(made(&fewer), None);
    }
}

#[test]
fn what_is_no_run_file_is_refused_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let record = run(folder.path()).to_string();
    let newer = record.replacen("\"schema\":1", "\"schema\":99", 1);
    for (name, text, what) in [
        ("half.json", &record[..record.len() / 2], "not a whole run file"),
        ("newer.json", &newer, "is of schema 99, this program reads 1"),
        ("other.json", "{}", "not a whole run file"),
        ("empty.json", "", "not a whole run file"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
        let (code, said) = report(folder.path(), name);
        assert!(code == Some(4) && said.trim_end().lines().count() == 1 && said.contains(what), "{name}: {said}");
    }
    let (code, said) = report(folder.path(), "no.json");
    assert!(code == Some(4) && said.contains("cannot read no.json"), "{said}");
}

/// Prints the tables of a committed file of figures: that of the stampedes, and the matrix if there is one.
fn tables(file: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = Command::new(loadtest()).arg("report").arg(root.join(file)).arg("--markdown").output().unwrap();
    let text = String::from_utf8(made.stdout).unwrap();
    text.split("\n\n").map(|table| table.trim_end().to_owned()).collect()
}

/// The tables in the README are those that the command makes of the committed figures.
#[test]
fn the_readme_shows_the_figures() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let stampedes = &tables("docs/results/demo.json")[0];
    assert!(stampedes.contains("| v6-production |") && readme.contains(stampedes), "the table should be:\n{stampedes}");
    let matrix = &tables("docs/results/matrix.json")[1];
    assert!(matrix.contains("| v6-production |") && readme.contains(matrix), "the matrix should be:\n{matrix}");
}

/// The pictures in README and book are those that the command makes of the committed figures.
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

/// Every order of events: the book's table is the files', each version came out as promised, and none was left out.
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
        for explored in Explorations::read(&file).unwrap().explored {
            assert_eq!((explored.verdict.as_str(), explored.not_followed, explored.cut_off), ("as promised", 0, 0));
            assert_eq!(explored.orders.len(), explored.orders_of_events, "{name}");
            let limit = if explored.version == "v1-naive" { 10.0 } else { 30.0 };
            assert!(explored.buyers > 2 || explored.seconds < limit, "{name}: {} s", explored.seconds);
        }
        let printed = Command::new(loadtest()).arg("report").arg(&file).arg("--markdown").output().unwrap();
        let table = String::from_utf8(printed.stdout).unwrap();
        table.lines().skip(2).for_each(|row| says(row.to_owned()));
    }
    for version in ["v1", "v2", "v3"] {
        let file = root.join(format!("docs/results/replay-{version}.json"));
        for replayed in Replays::read(&file).unwrap().replayed {
            assert_eq!((replayed.times, replayed.same), (100, 100), "{version}");
            replayed.notes.iter().for_each(|note| says(note.clone()));
        }
    }
}

/// The matrix and the funnel say in words and numbers what the figures say, and nothing runs over its edge.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver: make test"]
async fn the_matrix_says_what_the_figures_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join("docs/results/matrix.json");
    let record: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(report(folder.path(), file.to_str().unwrap()), (Some(0), String::new()));
    let browser = Browser::start().await;
    browser.page.goto(&format!("file://{}", folder.path().join("again.html").display())).await.unwrap();

    let cells = browser
        .script("return [...document.querySelectorAll('svg.matrix .word')].map((text) => text.textContent)")
        .await;
    let runs = record["runs"].as_array().unwrap();
    assert_eq!(cells.as_array().unwrap().len(), runs.len());
    for (cell, run) in cells.as_array().unwrap().iter().zip(runs) {
        if run["promised"] != "may break" {
            assert_eq!(*cell, run["promised"], "{} {}", run["version"], run["scenario"]);
        }
    }
    let last = runs.iter().find(|run| run["version"] == "v4-ratelimit" && run["scenario"] == "stampede").unwrap();
    let funnel = browser.text("svg.funnel").await;
    let past = last["counters"]["passed_rate_limit"].as_u64().unwrap();
    assert!(funnel.contains("past the limiter") && funnel.contains(&past.to_string()), "{funnel}");
    let over = "return [...document.querySelectorAll('svg.matrix rect')].filter((rect) => { \
                const box = rect.getBoundingClientRect(); return [...document.querySelectorAll('svg.matrix text')].some((text) => { \
                const words = text.getBoundingClientRect(); const middle = (words.left + words.right) / 2; \
                return words.top > box.top && words.bottom < box.bottom && middle > box.left && middle < box.right \
                && (words.left < box.left || words.right > box.right); }); }).length";
    assert_eq!(browser.script(over).await, 0, "words that run over the edge of their cell");
    browser.screenshot("matrix.png").await;
    browser.as_telephone().await;
    assert!(!browser.scrolls_sideways().await);
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
}

/// Chapter 6 says of four crowds: sold exactly, twenty times of twenty, and nothing left anywhere.
#[test]
fn chapter_6_sold_exactly_each_time() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (file, buyers, stock, instances) in [
        ("v6-x1", 10_000, 100, 1),
        ("v6-x3", 10_000, 100, 3),
        ("v6-100000-x1", 100_000, 1000, 1),
        ("v6-100000-x3", 100_000, 1000, 3),
    ] {
        let text = fs::read_to_string(root.join(format!("docs/results/{file}.json"))).unwrap();
        let record: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(record.runs.len(), 20, "{file}");
        for run in record.runs {
            assert_eq!((run.buyers, run.stock, run.instances), (buyers, stock, instances), "{file}");
            assert_eq!((run.audit.orders, run.audit.sold, run.audit.undersold), (stock, stock, 0), "{file}");
            assert!(run.audit.is_sound() && run.audit.not_conserved == 0 && run.audit.unknown == 0, "{file}");
        }
    }
}

/// Each fault ten times: the table in the book is the file's, and nothing was oversold, lost or leaked.
#[test]
fn chapter_6_survived_each_fault_each_time() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join("docs/results/faults.json");
    let faults = Faults::read(&file).unwrap();
    let names: Vec<&str> = faults.faults.iter().map(|rounds| rounds.fault.as_str()).collect();
    let all: Vec<String> = Fault::value_variants().iter().map(Fault::to_string).collect();
    assert_eq!(names, all);
    assert!(faults.faults.iter().all(|rounds| rounds.rounds.len() == 10 && rounds.are_clean()));
    let page = fs::read_to_string(root.join("docs/src/faults.md")).unwrap();
    let printed = Command::new(loadtest()).arg("report").arg(&file).arg("--markdown").output().unwrap();
    let table = String::from_utf8(printed.stdout).unwrap();
    assert!(page.contains(&table), "the table should be:\n{table}");
}

/// A hundred thousand forgeries at two instances.
#[test]
fn chapter_6_took_no_forgery() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results/v6-forger.json")).unwrap();
    let record: Record = serde_json::from_str(&text).unwrap();
    let [run] = &record.runs[..] else { panic!("{} runs", record.runs.len()) };
    assert_eq!((run.version.as_str(), run.instances, run.figure().as_str()), ("v6-production", 2, "0 of 100,000"));
}

/// What chapters and cards quote stands in the figures.
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
    assert!(forger.iter().chain(&two).chain(&restart).all(|run| run["lost_promises"] == 0));
    for (file, quote) in [
        ("v1-naive/README.md", format!("the counter says that {} were sold", count(&v1["sold"]))),
        ("v1-naive/README.md", format!("It still oversells: {} orders", count(&in_transaction["orders"]))),
        ("v1-naive/README.md", format!("{} orders a second", count(&v1["requests_per_second"]))),
        ("v2-pessimistic/README.md", format!("with two instances it sold {} of 100", process_lock["orders"])),
        (
            "v2-pessimistic/README.md",
            format!("holds, by {} retries", count(&serializable["counters"]["serialization_failures"])),
        ),
        ("v2-pessimistic/README.md", format!("{} statements per unit sold", rounded(&v2["statements_per_order"]))),
        ("v3-optimistic/README.md", format!("lost {} compare-and-swaps", count(&v3["counters"]["conflicts"]))),
        ("v3-optimistic/README.md", format!("{} statements per unit sold", rounded(&v3["statements_per_order"]))),
        ("v3-optimistic/README.md", format!("answers {} requests a second", count(&v3["requests_per_second"]))),
        ("v3-optimistic/README.md", format!("answers {}:", count(&v2["requests_per_second"]))),
        ("v4-ratelimit/README.md", format!("{} of 10,000 were told", count(&v4["outcomes"]["rate-limited"]))),
        ("v5-hidden-api/README.md", format!("{} taken", forger[0]["measure"]["value"].as_f64().unwrap())),
        ("v5-hidden-api/README.md", format!("{} of 10,000 honest buyers", span(&two))),
        ("v5-hidden-api/README.md", format!("{} told `wrong-path`", span(&restart))),
        ("v6-production/README.md", format!("p99 {} ms with 10,000 buyers", confirmed(&x1))),
        ("v6-production/README.md", format!("{} ms with 100,000 and three", confirmed(&large))),
        ("v6-production/README.md", format!("of 10,000 attempts {passed} reached Redis")),
        ("v6-production/README.md", format!("{} orders a second", thousands(queued.round() as i64))),
        ("v6-production/README.md", times.clone()),
        ("docs/src/path.md", times.clone()),
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
