//! The screen at three sizes, from fixed numbers.

use std::time::Duration;

use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::*;
use crate::verdict::latency::Latency;

fn numbers() -> Numbers {
    Numbers {
        title: "v1-naive stampede".into(),
        load: "3,000 buyers, open loop, 300/s for 10 s, Poisson arrivals".into(),
        rates: (0..100).map(|n| 280 + n % 5 * 5).collect(),
        rate: 290.4,
        offered: Some(300.0),
        told: vec![("bought", 131), ("unknown", 3), ("sold-out", 1234), ("rate-limited", 20), ("overloaded", 9)],
        latency: Some(Latency { count: 1388, p50: 1.25, p90: 12.5, p99: 1025.0, p999: 1100.0, max: 1234.5 }),
        since: "from when due",
        yes: 131,
        units: 100,
        phase: Phase::Coming(Duration::from_millis(4700), Left::Time(Duration::from_millis(5300))),
    }
}

/// The text of the screen, without spaces at the ends of lines.
fn drawn(width: u16, height: u16, numbers: &Numbers) -> (String, TestBackend) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, numbers)).unwrap();
    let backend = terminal.backend().clone();
    let cells = backend.buffer().content();
    let lines = cells.chunks(width.into()).map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>());
    (lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n").trim_end().to_owned(), backend)
}

#[test]
fn a_usual_terminal_has_everything() {
    let (text, _) = drawn(80, 24, &numbers());
    assert_eq!(text, USUAL, "\n{text}");
}

#[test]
fn a_narrow_one_leaves_out_the_sparkline_first() {
    let (text, _) = drawn(40, 20, &numbers());
    assert_eq!(text, NARROW, "\n{text}");
    let few = Numbers { told: vec![("bought", 1)], load: "open loop".into(), ..numbers() };
    assert!(drawn(40, 20, &few).0.contains('█'), "there is room for it");
}

#[test]
fn a_smaller_one_has_one_sentence() {
    let (text, _) = drawn(30, 8, &numbers());
    assert_eq!(text, SMALL, "\n{text}");
    assert!(!fits((30, 8).into()) && !fits((39, 20).into()) && !fits((40, 19).into()) && fits((40, 20).into()));
}

#[test]
fn the_stock_is_red_as_soon_as_one_is_too_many() {
    let is_red = |yes, units| {
        let (text, backend) = drawn(80, 24, &Numbers { yes, units, told: Vec::new(), ..numbers() });
        assert_eq!(text.contains("too many"), yes as i64 > units, "{text}");
        backend.buffer().content().iter().any(|cell| cell.fg == Color::Red)
    };
    assert_eq!(
        [(0, 100), (100, 100), (101, 100), (0, 0), (1, 0)].map(|(yes, units)| is_red(yes, units)),
        [false, false, true, false, true]
    );
}

#[test]
fn a_run_that_starts_has_no_numbers_yet() {
    let none = Numbers {
        rates: Vec::new(),
        rate: 0.0,
        offered: None,
        told: Vec::new(),
        latency: None,
        yes: 0,
        phase: Phase::Starting,
        ..numbers()
    };
    for (width, height) in [(80, 24), (40, 20), (200, 60)] {
        let (text, _) = drawn(width, height, &none);
        assert!(text.contains("the shop starts") && text.contains("no answers yet"), "{text}");
    }
}

const USUAL: &str = "\
v1-naive stampede
3,000 buyers, open loop, 300/s for 10 s, Poisson arrivals
answers/s 290, 300 offered

▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆▃▄▅▅▆
████████████████████████████████████████████████████████████████████████████████
████████████████████████████████████████████████████████████████████████████████
████████████████████████████████████████████████████████████████████████████████
████████████████████████████████████████████████████████████████████████████████

outcomes                                latency ms from when due
bought                   131            p50       1.2
sold-out               1,234            p90      12.5
rate-limited              20            p99    1025.0
overloaded                 9            max    1234.5
unknown                    3

stock 131 of 100 sold, 31 too many
█████████████████████████████████████131 % █████████████████████████████████████

4.7 s so far, 5.3 s left
q ends the run and keeps the report";

const NARROW: &str = "\
v1-naive stampede
3,000 buyers, open loop, 300/s for 10 s,
Poisson arrivals
answers/s 290, 300 offered

outcomes
bought                   131
sold-out               1,234
other outcomes            29
unknown                    3
latency ms from when due
p50       1.2   p90      12.5
p99    1025.0   max    1234.5

stock 131 of 100 sold, 31 too many
█████████████████131 % █████████████████

4.7 s so far, 5.3 s left
q ends the run and keeps the report";

const SMALL: &str = "\
The terminal is too small for
the live screen: it needs 40 ×
20. The run goes on; q ends
it.";
