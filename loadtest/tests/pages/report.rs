//! The report of a run in a real browser; and files that are not reports.

use std::{fs, path::Path, process::Command};

use crate::support::browser::Browser;
use crate::support::{loadtest, v1_oversells};
use serde_json::{Value, json};

/// Runs v1 on SQLite and returns the figures; `folder` then has `run.json` and `run.html`.
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
    let written = |record: &Value| {
        fs::write(folder.path().join("hostile.json"), record.to_string()).unwrap();
        report(folder.path(), "hostile.json")
    };
    for field in ["version", "variant", "scenario", "database", "promised"] {
        let mut record = record.clone();
        record["runs"][0][field] = hostile.into();
        assert_eq!(written(&record).0, Some(4), "{field} is one of a few words");
    }
    record["runs"][0]["verdict"] = hostile.into();
    record["runs"][0]["outcomes"][hostile] = 1.into();
    record["runs"][0]["counters"][hostile] = 1.into();
    record["runs"][0]["shop_args"] = json!([hostile]);
    record["machine"]["model"] = hostile.into();
    record["machine"]["system"] = hostile.into();
    record["commit"] = hostile.into();
    record["command"] = hostile.into();
    assert_eq!(written(&record), (Some(0), String::new()));

    let browser = Browser::start().await;
    browser.page.goto(&format!("file://{}", folder.path().join("again.html").display())).await.unwrap();
    assert!(browser.text("main").await.contains("<script>"));
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

/// Chapters 5 and 6 are compared if the file has both, and not otherwise.
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
    let row = |name: &str| section.split(&format!("<th scope=\"row\">{name}</th>")).nth(1)?.split("</tr>").next();
    let heads =
        ["two instances", "restarted"].map(|what| format!("<th>chapter 5, {what}</th><th>chapter 6, {what}</th>"));
    assert!(section.contains(&heads.concat()), "{section}");
    let bad = |n: &str| format!("<td class=\"bad\">{n}</td><td>0</td>").repeat(2);
    assert_eq!(row("honest buyers turned away"), Some(bad("4,321").as_str()));
    assert_eq!(row("lost promises"), Some(bad("432").as_str()));
    assert_eq!(row("oversold"), Some("<td>0</td>".repeat(4).as_str()));
    assert_eq!(row("sold of stock"), Some("<td>90 of 100</td><td>92 of 100</td><td>91 of 100</td><td>93 of 100</td>"));
    assert_eq!(row("no answer"), Some("<td>70</td><td>72</td><td>71</td><td>73</td>"));
    for missing in 0..runs.len() {
        let mut fewer = runs.clone();
        fewer.remove(missing);
        assert_eq!(made(&fewer), None);
    }
}

#[test]
fn an_invalid_run_file_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let record = run(folder.path()).to_string();
    let newer = record.replacen("\"schema\":3", "\"schema\":99", 1);
    for (name, text, what) in [
        ("half.json", &record[..record.len() / 2], "not a whole file of figures"),
        ("newer.json", &newer, "is of schema 99, this program reads 3"),
        ("other.json", "{}", "not a whole file of figures"),
        ("empty.json", "", "not a whole file of figures"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
        let (code, said) = report(folder.path(), name);
        assert!(code == Some(4) && said.trim_end().lines().count() == 1 && said.contains(what), "{name}: {said}");
    }
    let (code, said) = report(folder.path(), "no.json");
    assert!(code == Some(4) && said.contains("cannot read no.json"), "{said}");
}

/// The matrix and the funnel show the figures in words and numbers, and no text runs over the edge.
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
    let cells = cells.as_array().unwrap().iter().zip(runs);
    let promised: Vec<_> = cells.filter(|(_, run)| run["verdict"] == "as promised").collect();
    assert!(promised.len() > runs.len() / 2, "{}", promised.len());
    for (cell, run) in promised {
        assert_eq!(*cell, run["promised"], "{} {}", run["version"], run["scenario"]);
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
