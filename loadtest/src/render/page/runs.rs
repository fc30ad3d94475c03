use maud::{Markup, html};

use super::{instances, page, words};
use crate::{
    matrix,
    record::{Bystander, Record, Run},
    render::{
        rounds,
        runs::{mark, table},
        svg::{self, Picture, chart},
        table::{Cell, Row, Table, count, left, right},
        text::{percent, thousands},
        thresholds,
    },
    scenario::Scenario,
    verdict::{Verdict, latency::Latency},
};

/// Explains the curves of an open loop.
pub const OMISSION: &str = "Latency counts from when a buyer was due, service time from when the request left. A generator that waits for a \
                            stalled shop asks less while it stalls, and service time alone hides that: coordinated omission.";

/// The report of runs.
pub fn report(record: &Record) -> String {
    let is_matrix = matrix::is_one(record);
    let body = html! {
        (lead(record))
        @if is_matrix { (pictures(record)) }
        (instances::section(record))
        @if let Some(table) = thresholds::table(&record.runs) {
            section.thresholds { h2 { "Thresholds" } (table.html()) }
        }
        @if let Some(table) = rounds::table(&record.runs) {
            section.rounds { h2 { "Rounds" } (table.html()) }
        }
        (table(&record.runs).html())
        @for (n, run) in record.runs.iter().enumerate() {
            (section(n, run, !is_matrix || run.scenario == Scenario::Stampede))
        }
    };
    let about = format!(
        "Seed {}. Milliseconds count from the opening of the sale to the answer, for everybody, also for those who waited for \
         a connection. Requests a second compare versions within this file and say nothing about another machine.",
        record.seed
    );
    page(record, "What came out", &body, &about)
}

/// The pictures that show several versions.
fn pictures(record: &Record) -> Markup {
    let section = |class, title, about, picture: Picture| {
        html! { section class=(class) { h2 { (title) } p { (about) } .wide { (picture) } } }
    };
    let matrix = "Rows are versions, columns are what they were put through. Green held, red broke; as promised, unless it says not.";
    let funnel =
        "Of the requests of a stampede, how many were left after each gate. Asking for the hidden URL comes before.";
    html! {
        (section("matrix", "What holds, what breaks", matrix, svg::matrix::picture(record)))
        (section("funnel", "How far a request gets", funnel, svg::funnel::picture(record)))
    }
}

/// The most important results, in words.
fn lead(record: &Record) -> Markup {
    let count = |which: fn(&Verdict) -> bool| record.runs.iter().filter(|run| which(&run.verdict)).count();
    let kept = count(|verdict| *verdict == Verdict::AsPromised);
    let judged = kept + count(|verdict| *verdict == Verdict::NotAsPromised);
    let invalid = count(|verdict| verdict.invalid().is_some());
    let worst = record.runs.iter().rev().max_by_key(|run| run.audit.oversold).filter(|run| run.audit.oversold > 0);
    html! {
        p.lead {
            @if let Some(run) = worst {
                strong { (run.title()) } " had " (thousands(run.stock)) " units and sold "
                strong.bad { (thousands(run.audit.orders)) } ". "
            }
            (kept) " of " (judged) " runs with a promise came out as promised, breaking included."
            @if invalid > 0 {
                " " strong.invalid { (invalid) " invalid" } ": they say nothing, run them again."
            }
        }
    }
}

/// One run. Among many runs, only the stampedes are unfolded.
fn section(n: usize, run: &Run, is_open: bool) -> Markup {
    html! {
        section id={ "run-" (n) } {
            @if is_open {
                h2 { (run.title()) }
                (details(run))
            } @else {
                details {
                    summary { strong { (run.title()) } ": " (run.figure()) }
                    (details(run))
                }
            }
        }
    }
}

/// The verdict and all figures of a run. Green means that the version held, red that it broke.
fn details(run: &Run) -> Markup {
    let class = mark(&run.verdict, run.is_broken()).look().2.unwrap_or_default();
    html! {
        p { span class={ "badge " (class) } { (run.outcome()) } }
        p { (words(&run.says())) "." }
        p.soft { (conditions(run)) }
        @if run.is_a_crowd() {
            (chart::orders(run))
            (chart::told_and_held(run))
        }
        (chart::latency(run))
        @if let (Some(open_loop), Some(times)) = (&run.open_loop, &run.times_ms) {
            p { (OMISSION) }
            (chart::omission(times, open_loop.lag.as_ref()))
        }
        details { summary { "Every answer" } (answers(run).html()) }
        @if let Some(bystander) = &run.bystander {
            h3 { "Buyers of another sale" }
            (bystanders(bystander).html())
        }
    }
}

fn conditions(run: &Run) -> Markup {
    html! {
        (thousands(run.buyers as i64)) " " (if run.is_a_crowd() { "buyers" } else { "tries" }) ", "
        (thousands(run.stock)) " units, " (thousands(run.connections as i64)) " connections, "
        (run.instances) (if run.instances == 1 { " instance" } else { " instances" })
        @if let Some(pool) = run.pool { ", " (pool) " database connections each" }
        @if let Some(database) = run.database { ", " (database) }
        @if run.is_a_crowd() { ", " (run.load) }
        @if !run.shop_args.is_empty() { ", " code { (run.shop_args.join(" ")) } }
        "."
    }
}

/// The number of buyers and their times by answer, and the shops' counters.
fn answers(run: &Run) -> Table {
    let all: u64 = run.outcomes.values().sum();
    let told = run.outcomes.iter().map(|(kind, n)| {
        let times = run.outcome_ms.get(kind);
        let of = |times: Option<Latency>| {
            times.map_or([(); 4].map(|()| Cell::from("")), |Latency { p50, p99, p999, max, .. }| {
                [p50, p99, p999, max].map(|ms| format!("{ms:.1}").into())
            })
        };
        let [p50, p99, p999, max] = of(times.map(|times| times.latency));
        let [_, service, ..] = of(times.map(|times| times.service));
        let share = percent(*n as f64, all as f64).into();
        Row::new([kind.into(), count(*n as i64), share, p50, p99, p999, max, service])
    });
    let counted =
        run.counters.iter().map(|(counter, n)| (counter.replace('_', " ") + " in the shop", count(*n as i64)));
    let statements =
        run.statements_per_order.map(|n| ("SQL statements per order".to_owned(), format!("{n:.1}").into()));
    let counted = counted.chain(statements).map(|(what, n)| Row::new([what.into(), n]));
    let columns =
        ["buyers", "share", "p50 ms", "p99 ms", "p99.9 ms", "slowest ms", "service p99 ms"].map(|head| right(head, 0));
    Table::new([left("told", 0)].into_iter().chain(columns), told.chain(counted))
}

fn bystanders(bystander: &Bystander) -> Table {
    let sides = [("alone", &bystander.alone), ("beside the stampede", &bystander.beside)];
    let rows = sides.into_iter().filter_map(|(side, latency)| {
        let latency = latency.as_ref()?;
        let ms = [latency.p50, latency.p99].map(|ms| Cell::from(format!("{ms:.1}")));
        Some(Row::new([[side.into(), latency.count.into()], ms].concat()))
    });
    Table::new([left("", 0), right("buyers", 0), right("p50 ms", 0), right("p99 ms", 0)], rows)
}
