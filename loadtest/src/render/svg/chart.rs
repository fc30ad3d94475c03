use maud::{Markup, html};

use super::{Picture, apart, at, line, rect, text};
use crate::{
    record::{Run, Times},
    render::text::thousands,
    verdict::latency::{Distribution, Latency},
};

/// The drawing area, in the picture's units.
const WIDTH: f64 = 720.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 600.0;

/// The orders that buyers were told, over time, with the stock and the moment of overselling.
pub(crate) fn orders(run: &Run) -> Markup {
    let (Some(last), true) = (run.timeline.last(), run.sales == 1) else { return html! {} };
    let (top, bottom) = (24.0, 220.0);
    let most = (run.stock.max(last.bought) as f64 * 1.08).max(1.0);
    let x = |ms: f64| LEFT + ms / last.ms.max(0.001) * (RIGHT - LEFT);
    let y = |orders: i64| bottom - orders as f64 / most * (bottom - top);
    let (stock, end) = (y(run.stock), y(last.bought));

    let moments = run.timeline.iter().map(|point| format!("L{} {}", at(x(point.ms)), at(y(point.bought))));
    let curve = format!("M{LEFT} {bottom}{}", moments.collect::<String>());
    let [units, bought] = [run.stock, last.bought].map(thousands);
    let s = if last.bought == 1 { "" } else { "s" };
    let caption = match run.oversold_after_ms {
        Some(ms) => format!("{bought} buyer{s}; the stock of {units} was gone after {ms:.0} ms"),
        None => format!("{bought} buyer{s}, never more than the stock of {units}"),
    };
    let body = html! {
        @if let Some(ms) = run.oversold_after_ms {
            (rect("over", x(ms), top, RIGHT - x(ms), (stock - top).max(0.0), 0.0))
            (line("moment", x(ms), top, x(ms), bottom))
            (text("bad", x(ms).min(RIGHT - 190.0), 16.0, format_args!("oversold from here, {ms:.0} ms")))
        }
        (line("axis", LEFT, bottom, RIGHT, bottom))
        (line("stock", LEFT, stock, RIGHT, stock))
        // Keeps the two labels apart.
        @let below = if (stock - end).abs() < 20.0 { end + 22.0 } else { stock + 4.0 };
        (text("soft", RIGHT + 8.0, below, format_args!("stock {units}")))
        path class="orders" d=(curve) {}
        (text("", RIGHT + 8.0, end + 4.0, format_args!("{bought} order{s}")))
        (text("soft", LEFT, 240.0, "0"))
        (text("soft end", RIGHT, 240.0, format_args!("{:.0} ms", last.ms)))
    };
    figure("orders", format!("Told yes over time: {caption}"), 250.0, body)
}

/// The units that buyers were told, the orders in the database, and its `sold` counter.
pub(crate) fn told_and_held(run: &Run) -> Markup {
    let audit = &run.audit;
    let bad = |is_bad: bool| if is_bad { "bar bad" } else { "bar" };
    let bars = [
        ("stock", run.stock, "bar good"),
        ("told yes", run.told_yes(), bad(run.told_yes() > run.stock)),
        ("orders", audit.orders, bad(audit.orders > run.stock)),
        ("sold says", audit.sold, bad(audit.not_conserved > 0)),
    ];
    let most = bars.iter().map(|bar| bar.1).max().unwrap_or_default().max(1) as f64;
    let body = html! {
        @for (n, (name, units, class)) in bars.iter().enumerate() {
            @let (y, width) = (8.0 + n as f64 * 30.0, (*units as f64 / most * (RIGHT - LEFT)).max(1.0));
            (text("soft end", LEFT - 8.0, y + 15.0, name))
            (rect(class, LEFT, y, width, 20.0, 0.0))
            (text("", LEFT + width + 8.0, y + 15.0, thousands(*units)))
        }
    };
    figure("told", "What buyers were told, and what the database holds, in units".into(), 128.0, body)
}

/// The latency for each kind of answer: a bar from the median to the 99th percentile.
pub(crate) fn latency(run: &Run) -> Markup {
    let rows: Vec<(&str, &Latency)> = [("bought", &run.latency_ms.bought), ("refused", &run.latency_ms.refused)]
        .into_iter()
        .filter_map(|(name, latency)| Some((name, latency.as_ref()?)))
        .collect();
    let most = rows.iter().map(|row| row.1.max).fold(1.0, f64::max);
    let x = |ms: f64| LEFT + ms / most * (RIGHT - LEFT);
    let body = html! {
        @for (n, (name, Latency { p50, p99, max, .. })) in rows.iter().enumerate() {
            @let y = 8.0 + n as f64 * 44.0;
            (text("soft end", LEFT - 8.0, y + 13.0, name))
            (line("axis", LEFT, y + 8.0, x(*max), y + 8.0))
            (rect("bar", x(*p50), y, (x(*p99) - x(*p50)).max(2.0), 16.0, 0.0))
            (text("soft", LEFT, y + 32.0, format_args!("p50 {p50:.0} ms, p99 {p99:.0} ms, slowest {max:.0} ms")))
        }
    };
    let caption = "From the opening to the answer: from the median to the 99th percentile";
    figure("latency", caption.into(), rows.len() as f64 * 44.0 + 4.0, body)
}

/// For each share of the buyers, the longest time among them: latency, service time, and the generator's own lag. The further to the
/// right, the fewer buyers are left. Both axes are logarithmic.
pub(crate) fn omission(times: &Times, lag: Option<&Distribution>) -> Markup {
    let (top, bottom) = (16.0, 200.0);
    let curves = [("latency", "orders", Some(&times.latency)), ("service time", "wait", Some(&times.service))];
    let curves = curves.into_iter().chain([("generator's lag", "lag", lag)]);
    let curves: Vec<_> = curves.filter_map(|(name, class, times)| Some((name, class, times?))).collect();
    let (latency, service) = (&times.latency, &times.service);
    let [shortest, longest] =
        [service.buckets.first(), latency.buckets.last()].map(|end| end.map_or(1.0, |end| end.up_to_ms));
    let (low, high) = (shortest.log10().floor(), longest.log10().ceil().max(shortest.log10().floor() + 1.0));
    // The lag may be shorter than all that is shown.
    let y = |ms: f64| bottom - (ms.log10().max(low) - low) / (high - low) * (bottom - top);
    let nines = (latency.latency.count as f64).log10().max(1.0);
    // 0 for none of the buyers, 1 for 90 %, 2 for 99 % …; the slowest buyer is the end.
    let x = |share: f64| LEFT + (-(1.0 - share).max(1e-9).log10()).min(nines) / nines * (RIGHT - LEFT);
    let path = |times: &Distribution| {
        let mut seen = 0;
        let mut path = String::new();
        for bucket in &times.buckets {
            let from = x(seen as f64 / times.latency.count as f64);
            seen += bucket.count;
            let (to, height) = (x(seen as f64 / times.latency.count as f64), at(y(bucket.up_to_ms)));
            path += &format!("{}{} {height}L{} {height}", if path.is_empty() { 'M' } else { 'L' }, at(from), at(to));
        }
        path
    };
    let ends = curves.iter().map(|(.., times)| y(times.buckets.last().map_or(1.0, |bucket| bucket.up_to_ms)));
    let labels = apart(ends);
    let body = html! {
        (line("axis", LEFT, bottom, RIGHT, bottom))
        @for exponent in low as i32..=high as i32 {
            (text("soft end", LEFT - 8.0, y(10_f64.powi(exponent)) + 4.0, format_args!("{} ms", 10_f64.powi(exponent))))
        }
        @for (share, name) in [(0.0, "0"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")] {
            @if -(1.0_f64 - share).log10() <= nines { (text("soft middle", x(share), bottom + 18.0, name)) }
        }
        @for ((name, class, times), label) in curves.iter().zip(labels) {
            path class=(class) fill="none" d=(path(times)) {}
            (text("soft", RIGHT + 8.0, label + 4.0, name))
        }
    };
    let caption = "Latency, from when a buyer was due; service time (dashed), from when the request left; and the generator's own lag (dotted). \
                   This share of the buyers was faster";
    figure("omission", caption.into(), 226.0, body)
}

fn figure(class: &str, caption: String, height: f64, body: Markup) -> Markup {
    html! {
        figure class=(class) {
            figcaption { (caption) }
            (Picture { class: "chart", label: caption, width: WIDTH, height, body })
        }
    }
}
