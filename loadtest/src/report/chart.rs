use std::fmt::Write;

use super::escape;
use crate::{record::Run, text::thousands, verdict::latency::Latency};

/// The drawing area, in the units of the pictures.
const WIDTH: f64 = 720.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 600.0;

/// Orders that were told to buyers, over time, against the stock; the moment of overselling marked.
pub(super) fn orders(run: &Run) -> String {
    let (Some(last), true) = (run.timeline.last(), run.sales == 1) else { return String::new() };
    let (top, bottom) = (24.0, 220.0);
    let most = (run.stock.max(last.bought) as f64 * 1.08).max(1.0);
    let x = |ms: f64| LEFT + ms / last.ms.max(0.001) * (RIGHT - LEFT);
    let y = |orders: i64| bottom - orders as f64 / most * (bottom - top);
    let stock = y(run.stock);

    let mut line = format!("M{:.1} {:.1}", x(0.0), y(0));
    for point in &run.timeline {
        let _ = write!(line, "L{:.1} {:.1}", x(point.ms), y(point.bought));
    }
    let mut svg = String::new();
    let mut caption = format!("Told yes over time: {} buyers", thousands(last.bought));
    if let Some(moment) = run.oversold_after_ms {
        let at = x(moment);
        let _ = write!(
            svg,
            "<rect class=\"over\" x=\"{at:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\"/>\
             <line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\
             <text class=\"bad\" x=\"{:.1}\" y=\"16\">oversold from here, {moment:.0} ms</text>",
            RIGHT - at,
            (stock - top).max(0.0),
            at.min(RIGHT - 190.0),
        );
        let _ = write!(caption, "; the stock of {} was gone after {moment:.0} ms", thousands(run.stock));
    } else {
        let _ = write!(caption, ", never more than the stock of {}", thousands(run.stock));
    }
    let _ = write!(
        svg,
        "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
         <line class=\"stock\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{stock:.1}\" y2=\"{stock:.1}\"/>\
         <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\">stock {}</text>\
         <path class=\"orders\" d=\"{line}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{} orders</text>\
         <text class=\"soft\" x=\"{LEFT}\" y=\"240\">0</text>\
         <text class=\"soft\" x=\"{RIGHT}\" y=\"240\" text-anchor=\"end\">{:.0} ms</text>",
        RIGHT + 8.0,
        // Not on top of the other label.
        if (stock - y(last.bought)).abs() < 20.0 { y(last.bought) + 22.0 } else { stock + 4.0 },
        thousands(run.stock),
        RIGHT + 8.0,
        y(last.bought) + 4.0,
        thousands(last.bought),
        last.ms,
    );
    figure("orders", &caption, 250.0, &svg)
}

/// What buyers were told, what the database holds, and what it says that it holds.
pub(super) fn told_and_held(run: &Run) -> String {
    let audit = &run.audit;
    let bars = [
        ("stock", run.stock, "good"),
        ("told yes", run.told_yes(), if run.told_yes() > run.stock { "bad" } else { "" }),
        ("orders", audit.orders, if audit.orders > run.stock { "bad" } else { "" }),
        ("sold says", audit.sold, if audit.not_conserved > 0 { "bad" } else { "" }),
    ];
    let most = bars.iter().map(|bar| bar.1).max().unwrap_or_default().max(1) as f64;
    let mut svg = String::new();
    for (n, (name, units, class)) in bars.iter().enumerate() {
        let y = 8.0 + n as f64 * 30.0;
        let width = (*units as f64 / most * (RIGHT - LEFT)).max(1.0);
        let _ = write!(
            svg,
            "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\
             <rect class=\"bar {class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"20\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 8.0,
            y + 15.0,
            LEFT + width + 8.0,
            y + 15.0,
            thousands(*units),
        );
    }
    figure("told", "What buyers were told, and what the database holds, in units", 128.0, &svg)
}

/// From the opening to the answer, for each kind of answer: a bar from the median to the 99th percentile.
pub(super) fn latency(run: &Run) -> String {
    let rows: Vec<(&str, &Latency)> = [("bought", &run.latency_ms.bought), ("refused", &run.latency_ms.refused)]
        .into_iter()
        .filter_map(|(name, latency)| Some((name, latency.as_ref()?)))
        .collect();
    let most = rows.iter().map(|row| row.1.max).fold(1.0, f64::max);
    let x = |ms: f64| LEFT + ms / most * (RIGHT - LEFT);
    let mut svg = String::new();
    for (n, (name, latency)) in rows.iter().enumerate() {
        let y = 8.0 + n as f64 * 44.0;
        let (p50, p99, max) = (x(latency.p50), x(latency.p99), x(latency.max));
        let _ = write!(
            svg,
            "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\
             <line class=\"axis\" x1=\"{LEFT}\" x2=\"{max:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
             <rect class=\"bar\" x=\"{p50:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"16\"/>\
             <text class=\"soft\" x=\"{LEFT}\" y=\"{:.1}\">p50 {:.0} ms, p99 {:.0} ms, slowest {:.0} ms</text>",
            LEFT - 8.0,
            y + 13.0,
            y + 8.0,
            y + 8.0,
            (p99 - p50).max(2.0),
            y + 32.0,
            latency.p50,
            latency.p99,
            latency.max,
        );
    }
    figure(
        "latency",
        "From the opening to the answer: from the median to the 99th percentile",
        rows.len() as f64 * 44.0 + 4.0,
        &svg,
    )
}

fn figure(class: &str, caption: &str, height: f64, svg: &str) -> String {
    let caption = escape(caption);
    format!(
        "<figure class=\"{class}\"><figcaption>{caption}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{caption}\">{svg}</svg></figure>"
    )
}
