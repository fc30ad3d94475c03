//! The report: one HTML file for somebody who never saw the terminal. No network, light and dark, charts as inline SVG.

/// The charts of one run.
mod chart;
/// Every order of events, and one of them.
pub mod explore;
/// How far the requests of a stampede get.
pub mod funnel;
/// Chapters 5 and 6 on two instances, and restarted.
mod instances;
/// The ladder of the versions, as a picture of its own.
pub mod ladder;
/// One order of events: a lane for each buyer and one for the row.
pub mod lanes;
/// Versions against scenarios.
pub mod matrix;

use std::fmt::Write;

use crate::{
    lab::machine::Machine,
    record::{Bystander, Record, Run},
    scenario::Scenario,
    text::thousands,
    verdict::Verdict,
};

const STYLE: &str = include_str!("report.css");

/// The whole file.
pub fn html(record: &Record) -> String {
    let mut body = [lead(record), pictures(record), instances::section(record), table(record)].concat();
    let all_open = !crate::matrix::is_one(record);
    for (n, run) in record.runs.iter().enumerate() {
        body += &section(n, run, all_open || run.scenario == Scenario::Stampede);
    }
    let about = format!(
        "Seed {}. Milliseconds count from the opening of the sale to the answer, for everybody, also for those who waited for \
         a connection. Requests a second compare versions within this file and say nothing about another machine.",
        record.seed
    );
    page("What came out", &body, &record.machine, record.commit.as_deref(), &record.command, &about)
}

/// A page of this title, and below it how its figures were made.
fn page(title: &str, body: &str, machine: &Machine, commit: Option<&str>, command: &str, about: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Oversold: {}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n<main>\n<h1>{title}</h1>\n{body}\
         <footer><h2>How it was measured</h2><dl>\
         <dt>Machine</dt><dd>{}, {} processors, {} GiB, {}; buyers, shop and database share it</dd>\
         <dt>Commit</dt><dd><code>{}</code></dd><dt>Command</dt><dd><code>{}</code></dd></dl>\
         <p>{about}</p></footer>\n</main>\n</html>\n",
        title.to_lowercase(),
        escape(&machine.model),
        machine.cores,
        machine.memory_gib,
        escape(&machine.system),
        escape(commit.unwrap_or("unknown")),
        escape(command),
    )
}

/// What shows several versions at a glance, where there are several.
fn pictures(record: &Record) -> String {
    if !crate::matrix::is_one(record) {
        return String::new();
    }
    let picture = |class, title, about, svg: &str| {
        format!("<section class=\"{class}\"><h2>{title}</h2><p>{about}</p><div class=\"wide\">{svg}</div></section>")
    };
    let about = "Rows are versions, columns are what they were put through. Green held, red broke; as promised, unless it says not.";
    let matrix_svg = matrix::svg(record);
    let funnel_about = "Of the requests of a stampede, how many were left after each gate. Asking for the hidden address comes before.";
    picture("matrix", "What holds, what breaks", about, &matrix_svg)
        + &picture("funnel", "How far a request gets", funnel_about, &funnel::svg(record))
}

/// The news first, in words.
fn lead(record: &Record) -> String {
    let count = |which: fn(&Verdict) -> bool| record.runs.iter().filter(|run| which(&run.verdict)).count();
    let kept = count(|verdict| *verdict == Verdict::AsPromised);
    let judged = kept + count(|verdict| *verdict == Verdict::NotAsPromised);
    let invalid = count(|verdict| verdict.invalid().is_some());
    let worst = record.runs.iter().rev().max_by_key(|run| run.audit.oversold).filter(|run| run.audit.oversold > 0);
    let mut lead = String::from("<p class=\"lead\">");
    if let Some(run) = worst {
        let _ = write!(
            lead,
            "<strong>{}</strong> had {} units and sold <strong class=\"bad\">{}</strong>. ",
            escape(&run.title()),
            thousands(run.stock),
            thousands(run.audit.orders)
        );
    }
    let _ = write!(lead, "{kept} of {judged} runs with a promise came out as promised, breaking included.");
    if invalid > 0 {
        let _ =
            write!(lead, " <strong class=\"invalid\">{invalid} invalid</strong>: they say nothing, run them again.");
    }
    lead + "</p>"
}

fn table(record: &Record) -> String {
    let mut table = String::from(
        "<div class=\"wide\"><table><thead><tr><th>version<th>verdict<th>database<th>buyers<th>told yes<th>orders<th><code>sold</code>\
         <th>oversold<th>undersold<th>lost promises<th>requests/s</tr></thead><tbody>\n",
    );
    for (n, run) in record.runs.iter().enumerate() {
        let audit = &run.audit;
        let _ = writeln!(
            table,
            "<tr><th scope=\"row\"><a href=\"#run-{n}\">{}</a><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}{}{}{}<td>{}</tr>",
            escape(&run.title()),
            badge(run),
            run.database,
            thousands(run.buyers as i64),
            thousands(run.told_yes()),
            thousands(audit.orders),
            thousands(audit.sold),
            units(audit.oversold),
            units(audit.undersold),
            units(audit.lost_promises),
            thousands(run.requests_per_second as i64),
        );
    }
    table + "</tbody></table></div>\n"
}

/// A cell with something of which there should be none.
fn units(n: i64) -> String {
    format!("<td{}>{}", if n > 0 { " class=\"bad\"" } else { "" }, thousands(n))
}

/// Green for what held, red for what broke; and whether that was to be.
fn badge(run: &Run) -> String {
    let class = match run.verdict {
        Verdict::Invalid(_) => "invalid",
        _ if run.is_broken() => "bad",
        _ => "good",
    };
    format!("<span class=\"badge {class}\">{}</span> {}", run.promised, escape(&run.verdict.to_string()))
}

/// A run from near. Among many, only the stampedes lie open.
fn section(n: usize, run: &Run, open: bool) -> String {
    let title = escape(&run.title());
    let mut out = match open {
        true => format!("<section id=\"run-{n}\"><h2>{title}</h2>"),
        false => format!(
            "<section id=\"run-{n}\"><details><summary><strong>{title}</strong>: {}</summary>",
            escape(&run.figure())
        ),
    };
    let _ = write!(
        out,
        "<p>{}</p><p>{}.</p><p class=\"soft\">{}</p>",
        badge(run),
        escape(&run.says()).replace("`sold`", "<code>sold</code>"),
        conditions(run)
    );
    if run.is_a_crowd() {
        out += &chart::orders(run);
        out += &chart::told_and_held(run);
    }
    out += &chart::latency(run);
    out += &answers(run);
    if let Some(bystander) = &run.bystander {
        out += &bystanders(bystander);
    }
    out + if open { "</section>\n" } else { "</details></section>\n" }
}

fn conditions(run: &Run) -> String {
    let tries = if run.is_a_crowd() { "buyers" } else { "tries" };
    let shop_args = match run.shop_args.join(" ") {
        none if none.is_empty() => none,
        args => format!(", <code>{}</code>", escape(&args)),
    };
    format!(
        "{} {tries}, {} units, {} connections, {} instance{}, {} database connections each, {}{shop_args}.",
        thousands(run.buyers as i64),
        thousands(run.stock),
        thousands(run.connections as i64),
        run.instances,
        if run.instances == 1 { "" } else { "s" },
        run.pool,
        run.database,
    )
}

/// What buyers were told, in numbers.
fn answers(run: &Run) -> String {
    let mut out = String::from(
        "<details><summary>Every answer</summary><table><thead><tr><th>told<th>buyers</tr></thead><tbody>",
    );
    for (kind, n) in &run.outcomes {
        let _ = write!(out, "<tr><th scope=\"row\">{}<td>{}</tr>", escape(kind), thousands(*n as i64));
    }
    for (counter, n) in &run.counters {
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{} in the shop<td>{}</tr>",
            escape(&counter.replace('_', " ")),
            thousands(*n as i64)
        );
    }
    if let Some(statements) = run.statements_per_order {
        let _ = write!(out, "<tr><th scope=\"row\">SQL statements per order<td>{statements:.1}</tr>");
    }
    out + "</tbody></table></details>"
}

fn bystanders(bystander: &Bystander) -> String {
    let mut out = String::from(
        "<h3>Buyers of another sale</h3><table><thead><tr><th><th>buyers<th>p50 ms<th>p99 ms</tr></thead><tbody>",
    );
    for (name, latency) in [("alone", &bystander.alone), ("beside the stampede", &bystander.beside)] {
        if let Some(latency) = latency {
            let _ = write!(
                out,
                "<tr><th scope=\"row\">{name}<td>{}<td>{:.1}<td>{:.1}</tr>",
                latency.count, latency.p50, latency.p99
            );
        }
    }
    out + "</tbody></table>"
}

/// Makes text of a run file harmless: somebody else may have written it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
