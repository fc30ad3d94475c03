use maud::{Markup, html};

use crate::{
    record::{Record, Run},
    render::{
        table::{Cell, Row, Table, count, left, right, unwanted},
        text::thousands,
    },
    scenario::Scenario,
    version::Version,
};

/// What a row says, and how it is taken from a run.
type Figure = (&'static str, fn(&Run) -> Cell);

const FIGURES: [Figure; 5] = [
    ("honest buyers turned away", |run| unwanted(run.told("wrong-path") as i64)),
    ("sold of stock", |run| format!("{} of {}", thousands(run.audit.orders), thousands(run.stock)).into()),
    ("oversold", |run| unwanted(run.audit.oversold)),
    ("lost promises", |run| unwanted(run.audit.lost_promises)),
    ("no answer", |run| count(run.told("unknown") as i64)),
];

/// Chapters 5 and 6 beside each other where chapter 5 breaks; nothing if the record lacks one of the four runs.
pub(super) fn section(record: &Record) -> Markup {
    let columns = [
        (right("chapter 5, two instances", 0), Version::V5, Scenario::TwoInstances),
        (right("chapter 6, two instances", 0), Version::V6, Scenario::TwoInstances),
        (right("chapter 5, restarted", 0), Version::V5, Scenario::Restart),
        (right("chapter 6, restarted", 0), Version::V6, Scenario::Restart),
    ];
    let runs: Vec<_> = columns.iter().filter_map(|(_, version, scenario)| record.run_of(*version, *scenario)).collect();
    if runs.len() < columns.len() {
        return html! {};
    }
    let rows =
        FIGURES.map(|(what, figure)| Row::new([what.into()].into_iter().chain(runs.iter().map(|run| figure(run)))));
    let table = Table::new([left("", 0)].into_iter().chain(columns.map(|(column, ..)| column)), rows);
    html! {
        section.instances {
            h2 { "Two instances, and a restart" }
            p {
                "Chapter 5 keeps in each process to whom it gave which address. The other instance, or the same one after a kill -9, \
                 knows none of them and turns honest buyers away. Chapter 6 signs them: every instance can tell, and none has to \
                 remember."
            }
            (table.html())
        }
    }
}
