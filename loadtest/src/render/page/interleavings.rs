use maud::{Markup, html};

use super::{page, words};
use crate::{
    interleave::{explain::explain, play::Played},
    record::interleavings::{Explorations, Explored, OrderOfEvents, Replayed, Replays},
    render::{
        interleavings,
        svg::lanes,
        table::{Cell, Row, Shows, Table, count, left, right, unwanted},
        text::thousands,
    },
};

/// More orders than these nobody reads; the file has them all.
const MOST: usize = 500;

/// The last column is for orders that stand for a class.
const ORDERS: [Shows<OrderOfEvents>; 8] = [
    (left("order", 0), |order| order.order.join(" · ").into()),
    (left("told", 0), told),
    (right("oversold", 0), |order| unwanted(order.oversold)),
    (right("undersold", 0), |order| unwanted(order.undersold)),
    (right("conflicts", 0), |order| count(order.conflicts as i64)),
    (right("waits", 0), |order| count(order.blocked as i64)),
    (right("deadlocks", 0), |order| count(order.deadlocks as i64)),
    (right("interleavings", 0), |order| count(order.interleavings as i64)),
];

fn told(order: &OrderOfEvents) -> Cell {
    let told: Vec<_> = order.told.iter().map(|(buyer, told)| format!("{buyer} {told}")).collect();
    told.join(", ").into()
}

/// The report of what was explored.
pub fn explored(file: &Explorations) -> String {
    let which = if file.explored.iter().any(Explored::is_by_class) { "One order of each class" } else { "Each order" };
    let body = html! {
        p.lead {
            "A few buyers, each with an instance of its own, and every order in which their SQL statements can reach the database. "
            (which) " was played on a real PostgreSQL, on the unchanged versions, and audited."
        }
        (interleavings::table(&file.explored).html())
        @for explored in &file.explored { (section(explored)) }
    };
    let about =
        "Every order begins with the same rows. A statement goes when the one before it is done, or waits for a lock.";
    page(file, "Every interleaving", &body, about)
}

/// A version from near: its picture, what happens in it, and every order.
fn section(explored: &Explored) -> Markup {
    let columns = if explored.is_by_class() { &ORDERS[..] } else { &ORDERS[..ORDERS.len() - 1] };
    let orders = explored.orders.iter().take(MOST).map(|order| Row::of(columns, order));
    let orders = Table::new(columns.iter().map(|(column, _)| *column), orders);
    html! {
        section {
            h2 { (explored.title()) }
            p { (explored.says()) "." }
            @if let Some(shown) = &explored.shown { (figure(&explored.caption(), shown, &explain(&shown.steps))) }
            details {
                summary { @if explored.is_by_class() { "One interleaving of each class" } @else { "Every interleaving" } }
                (orders.html())
                @if explored.orders.len() > MOST {
                    p { "And " (thousands((explored.orders.len() - MOST) as i64)) " more." }
                }
            }
        }
    }
}

/// The report of schedules that were played.
pub fn replayed(file: &Replays) -> String {
    let body = html! { @for replayed in &file.replayed { (schedule(replayed)) } };
    let about = "A statement goes when the one before it is done, or waits for a lock. Nothing depends on time.";
    page(file, "One interleaving", &body, about)
}

fn schedule(replayed: &Replayed) -> Markup {
    html! {
        section {
            h2 { (replayed.title()) }
            p { code { (replayed.schedule) } }
            p { (words(&replayed.says())) "." }
            (figure(&replayed.caption(), &replayed.played, &replayed.notes))
        }
    }
}

fn figure(title: &str, played: &Played, lines: &[String]) -> Markup {
    html! {
        .wide { (lanes::picture(title, played)) }
        ul { @for line in lines { li { (line) } } }
    }
}
