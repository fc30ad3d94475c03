//! The table in the terminal: a row per run as it ends, and below it, in words, what the row says.

use anstream::println;
use anstyle::{AnsiColor, Style};

use crate::record::{Latencies, Run};

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

/// Prints a run: red if stock or promises were broken, green if all held.
pub fn row(title: &str, run: &Run) {
    let audit = &run.audit;
    let broken = !audit.is_sound() || audit.undersold > 0;
    let style = AnsiColor::on_default(if broken { AnsiColor::Red } else { AnsiColor::Green });
    let (yes, no) = latencies(&run.latency_ms);
    let name = match run.scenario {
        "stampede" => title.to_owned(),
        scenario => format!("{title} {scenario}"),
    };
    println!(
        "{style}{name:<32} {:<8} {:>8} {:>8} {:>7} {:>6} {:>8} {:>9} {:>5} {:>7} {yes:>15} {no:>15}{style:#}",
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
        Some(crate::history::Latency { p50, p99, .. }) => format!("{p50:.0} / {p99:.0}"),
    };
    (show(&latency.bought), show(&latency.refused))
}

/// `12,345`.
pub fn thousands(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    let sign = if n < 0 { "-" } else { "" };
    sign.to_owned() + &groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_grouped() {
        let written = [0, 999, 1000, 1_234_567, -12_345].map(thousands);
        assert_eq!(written, ["0", "999", "1,000", "1,234,567", "-12,345"]);
    }
}
