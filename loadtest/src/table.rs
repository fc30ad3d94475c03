//! The table in the terminal: a row per run as it ends, and below it, in words, what the row says.

use std::fmt::Write;

use anstream::println;
use anstyle::{AnsiColor, Style};

use crate::{
    matrix,
    record::{Latencies, Record, Run},
    scenario::Scenario,
    text::thousands,
    verdict::{Verdict, latency::Latency},
};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Prints the heads of the columns.
pub fn head() {
    println!(
        "{BOLD}{:<32} {:<8} {:>8} {:>8} {:>7} {:>6} {:>8} {:>9} {:>5} {:>7} {:>15} {:>15}{BOLD:#}",
        "version",
        "database",
        "requests",
        "told yes",
        "orders",
        "sold",
        "oversold",
        "undersold",
        "lost",
        "req/s",
        "yes p50/p99",
        "no p50/p99"
    );
}

/// Prints a run: red if stock or promises were broken, green if all held, yellow if it says nothing.
pub fn row(run: &Run) {
    let audit = &run.audit;
    let style = AnsiColor::on_default(match run.verdict {
        Verdict::Invalid(_) => AnsiColor::Yellow,
        _ if run.is_broken() => AnsiColor::Red,
        _ => AnsiColor::Green,
    });
    let (yes, no) = latencies(&run.latency_ms);
    println!(
        "{style}{:<32} {:<8} {:>8} {:>8} {:>7} {:>6} {:>8} {:>9} {:>5} {:>7} {yes:>15} {no:>15}{style:#}",
        run.title(),
        run.database,
        thousands(run.requests as i64),
        thousands(run.told_yes()),
        thousands(audit.orders),
        thousands(audit.sold),
        thousands(audit.oversold),
        thousands(audit.undersold),
        thousands(audit.lost_promises),
        thousands(run.requests_per_second as i64),
    );
    println!("{DIM}  {}{DIM:#}", run.says());
}

fn latencies(latency: &Latencies) -> (String, String) {
    let show = |latency: &Option<_>| match latency {
        None => "–".to_owned(),
        Some(Latency { p50, p99, .. }) => format!("{p50:.0} / {p99:.0}"),
    };
    (show(&latency.bought), show(&latency.refused))
}

/// The same table for a README. Beside a matrix, only the stampedes: the rest stands there.
pub fn markdown(record: &Record) -> String {
    let mut table = String::from(
        "| version | told yes | orders | `sold` | oversold | undersold | lost | requests/s | yes p50 / p99 ms | no p50 / p99 ms | verdict |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
    );
    let all = !matrix::is_one(record);
    for run in record.runs.iter().filter(|run| all || run.scenario == Scenario::Stampede) {
        let audit = &run.audit;
        let units = |n: i64| if n > 0 { format!("**{}**", thousands(n)) } else { "0".into() };
        let (yes, no) = latencies(&run.latency_ms);
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {yes} | {no} | {}, {} |",
            run.title(),
            thousands(run.told_yes()),
            thousands(audit.orders),
            thousands(audit.sold),
            units(audit.oversold),
            units(audit.undersold),
            units(audit.lost_promises),
            thousands(run.requests_per_second as i64),
            run.promised,
            run.verdict,
        );
    }
    table
}
