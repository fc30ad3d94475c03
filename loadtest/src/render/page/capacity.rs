use maud::{Markup, html};

use super::page;
use crate::{
    record::capacity::Capacities,
    render::{
        capacity::{costs, disturbance, table, trials},
        svg::capacity,
        text::percent,
    },
};

/// The report of capacities.
pub fn report(file: &Capacities) -> String {
    let limits = file.limits;
    let body: Markup = html! {
        p.lead {
            "The greatest rate of buyers that each version serves, when there is a unit for each of them. A rate is served if the p99 is at \
             most " (limits.p99_ms) " ms from when a buyer was due, at most " (percent(limits.errors, 1.0)) " of the buyers get no unit, and \
             useful orders are made at " (percent(limits.reached, 1.0)) " of the offered rate or more. An order is useful if a unit was taken for it. \
             A rate fails if it fails twice in a row."
        }
        section.capacity { .wide { (capacity::picture(file)) } }
        @if let Some(disturbance) = disturbance(&file.capacities) { p { strong.invalid { (disturbance) } } }
        (table(&file.capacities).html())
        section { h2 { "What an order costs there" } (costs(&file.capacities).html()) }
        section {
            h2 { "Every trial" }
            @for one in &file.capacities { (trials(&one.title(), &one.trials).html()) }
        }
    };
    let about = format!(
        "Seed {}. The generator is on the same machine as the shop and its servers, so these rates are not those of another machine.",
        file.seed
    );
    page(file, "Capacity", &body, &about)
}
