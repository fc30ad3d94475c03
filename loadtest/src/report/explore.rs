use std::fmt::Write;

use super::{escape, lanes, page};
use crate::{
    interleave::{explain::explain, table},
    record::interleavings::{Explorations, Explored, Replayed, Replays},
    text::thousands,
};

const LEAD: &str = "<p class=\"lead\">Two or three buyers, each with an instance of its own, and every order in which their SQL \
    statements can reach the database. Each order was played on a real PostgreSQL, on the unchanged versions, and audited.</p>";

/// The report of what was explored.
pub fn explored(file: &Explorations) -> String {
    let [version, heads @ ..] = table::heads();
    let heads: String = heads.iter().map(|head| format!("<th>{}", escape(head))).collect();
    let mut body =
        format!("{LEAD}<div class=\"wide\"><table><thead><tr><th>{version}<th>verdict{heads}</tr></thead><tbody>\n");
    for explored in &file.explored {
        let [title, cells @ ..] = table::cells(explored);
        let cells: String = cells.iter().map(|cell| format!("<td>{}", escape(cell))).collect();
        let class = if explored.is_broken() { "bad" } else { "good" };
        let _ = writeln!(
            body,
            "<tr><th scope=\"row\">{}<td><span class=\"badge {class}\">{}</span> {}{cells}</tr>",
            escape(&title),
            explored.promised,
            explored.verdict,
        );
    }
    body += "</tbody></table></div>\n";
    body.extend(file.explored.iter().map(section));
    let about =
        "Every order begins with the same rows. A statement goes when the one before it is done, or waits for a lock.";
    page("Every order of events", &body, &file.machine, file.commit.as_deref(), &file.command, about)
}

/// A version from near: its picture, what happens in it, and every order.
fn section(explored: &Explored) -> String {
    let title = escape(&explored.title());
    let mut out = format!("<section><h2>{title}</h2><p>{}.</p>", escape(&explored.says()));
    if let Some(shown) = &explored.shown {
        out += &figure(&explored.caption(), shown, &explain(&shown.steps));
    }
    out += "<details><summary>Every order of events</summary><div class=\"wide\"><table><thead><tr><th>order<th>told\
            <th>oversold<th>undersold<th>conflicts<th>waits<th>deadlocks</tr></thead><tbody>";
    // More than these nobody reads; the file has them all.
    for order in explored.orders.iter().take(500) {
        let told: Vec<_> = order.told.iter().map(|(buyer, told)| format!("{buyer} {told}")).collect();
        let units = |n: i64| format!("<td{}>{n}", if n > 0 { " class=\"bad\"" } else { "" });
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}<td>{}{}{}<td>{}<td>{}<td>{}</tr>",
            escape(&order.order.join(" · ")),
            escape(&told.join(", ")),
            units(order.oversold),
            units(order.undersold),
            order.conflicts,
            order.blocked,
            order.deadlocks,
        );
    }
    let more = explored.orders.len().saturating_sub(500);
    let more = if more > 0 { format!("<p>And {} more.</p>", thousands(more as i64)) } else { String::new() };
    out + "</tbody></table></div>" + &more + "</details></section>\n"
}

/// The report of schedules that were played.
pub fn replayed(file: &Replays) -> String {
    let body: String = file.replayed.iter().map(schedule).collect();
    let about = "A statement goes when the one before it is done, or waits for a lock. Nothing depends on time.";
    page("One order of events", &body, &file.machine, file.commit.as_deref(), &file.command, about)
}

fn schedule(replayed: &Replayed) -> String {
    format!(
        "<section><h2>{}</h2><p><code>{}</code></p><p>{}.</p>{}</section>\n",
        escape(&replayed.title()),
        escape(&replayed.schedule),
        escape(&replayed.says().replace('`', "")),
        figure(&replayed.caption(), &replayed.played, &replayed.notes),
    )
}

fn figure(title: &str, played: &crate::interleave::play::Played, lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("<li>{}", escape(line))).collect();
    format!("<div class=\"wide\">{}</div><ul>{lines}</ul>", lanes::svg(title, played))
}
