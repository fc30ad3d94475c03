use super::*;
use crate::record::example;

fn parsed(text: &str) -> Threshold {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// The place of the caret, counted from 0, and what should be there.
fn refused(text: &str) -> (usize, String) {
    let error = text.parse::<Threshold>().unwrap_err().to_string();
    let [_, shown, caret] = error.lines().collect::<Vec<_>>()[..] else { panic!("{error}") };
    assert_eq!(shown.trim_end(), format!("  {text}").trim_end());
    let (place, expected) = caret[2..].split_once("^ here should be ").unwrap();
    (place.len(), expected.to_owned())
}

#[test]
fn every_form_is_understood() {
    let latency = |percentile, outcome: &str| Figure::Latency(percentile, outcome.into());
    for (text, figure, comparison, limit, unit) in [
        ("p99(bought)>50ms", latency(Percentile::P99, "bought"), Comparison::Above, 50.0, Unit::Ms),
        ("p50(refused)>=0.5s", latency(Percentile::P50, "refused"), Comparison::AtLeast, 500.0, Unit::Ms),
        ("p90(sold-out)>1ms", latency(Percentile::P90, "sold-out"), Comparison::Above, 1.0, Unit::Ms),
        (" p999 ( bought ) > 2 s ", latency(Percentile::P999, "bought"), Comparison::Above, 2000.0, Unit::Ms),
        ("max(bought)<1ms", latency(Percentile::Max, "bought"), Comparison::Below, 1.0, Unit::Ms),
        ("oversold>0", Figure::Oversold, Comparison::Above, 0.0, Unit::Count),
        ("undersold > 0", Figure::Undersold, Comparison::Above, 0.0, Unit::Count),
        ("errors>1%", Figure::Errors, Comparison::Above, 1.0, Unit::Percent),
        ("errors>3", Figure::Errors, Comparison::Above, 3.0, Unit::Count),
        ("dropped>0", Figure::Dropped, Comparison::Above, 0.0, Unit::Count),
        ("late>0.5 %", Figure::Late, Comparison::Above, 0.5, Unit::Percent),
        ("rps<=2000", Figure::Rps, Comparison::AtMost, 2000.0, Unit::Count),
    ] {
        let expected = Threshold { text: text.trim().into(), figure, comparison, limit, unit };
        assert_eq!(parsed(text), expected);
        assert_eq!(serde_json::from_str::<Threshold>(&serde_json::to_string(&expected).unwrap()).unwrap(), expected);
    }
}

#[test]
fn the_caret_is_under_the_place() {
    for (text, place, expected) in [
        ("", 0, "a figure"),
        ("p98(bought)>50ms", 0, "a figure"),
        ("  p(bought)>50ms", 2, "a figure"),
        ("Oversold>0", 0, "a figure"),
        ("p99>50ms", 3, "(bought)"),
        ("p99()>50ms", 4, "an outcome"),
        ("p99(bought>50ms", 10, "a closing bracket"),
        ("p99(bought)", 11, "a comparison"),
        ("p99(bought)=50ms", 11, "a comparison"),
        ("p99(bought)>>50ms", 12, "a number"),
        ("p99(bought)>-1ms", 12, "a number"),
        ("p99(bought)>1.2.3ms", 12, "a number"),
        ("rps<NaN", 4, "a number"),
        ("p99(bought)>50", 14, "a unit: ms or s"),
        ("p99(bought)>50%", 14, "a unit: ms or s"),
        ("p99(bought)>50ms!", 16, "the end"),
        ("oversold>1%", 10, "the end"),
        ("rps<1e9", 5, "the end"),
        ("errors>1‰", 8, "the end"),
        ("äp99(bought)>1ms", 0, "a figure"),
        ("p99(böught)>1ms", 4, "an outcome"),
        ("p99(bougt)>1ms", 4, "an outcome"),
    ] {
        let (at, should_be) = refused(text);
        assert!(at == place && should_be.starts_with(expected), "{text}: {at}, {should_be}");
    }
}

#[test]
fn a_caret_counts_characters_and_stays_on_its_line() {
    let error = "errors>1\n\n%ä!".parse::<Threshold>().unwrap_err().to_string();
    assert_eq!(error, "\n  errors>1  %ä!\n             ^ here should be the end");
}

#[test]
fn a_run_is_held_against_it() {
    let mut run = example::run();
    let ms = 12.345;
    run.latency_ms.bought = Some(Latency { count: 1, p50: ms, p90: ms, p99: ms, p999: ms, max: ms });
    run.latency_ms.refused = None;
    run.outcomes = [("bought".to_owned(), 99_997), ("unknown".to_owned(), 2), ("queued".to_owned(), 1)].into();
    (run.audit.oversold, run.audit.undersold) = (7, 0);
    (run.requests, run.requests_per_second) = (5000, 1999.5);
    for (text, failed, value) in [
        ("p99(bought)>12ms", true, "12.345 ms"),
        ("p99(bought)>12.345ms", false, "12.345 ms"),
        ("max(bought)>=12.345ms", true, "12.345 ms"),
        ("p50(bought)>1s", false, "12.345 ms"),
        ("p50(refused)>1s", true, "no samples"),
        ("oversold>7", false, "7"),
        ("oversold>6", true, "7"),
        ("undersold>0", false, "0"),
        ("errors>0.1%", false, "0.003000 %"),
        ("errors>0.0029%", true, "0.003000 %"),
        ("errors>2", true, "3"),
        ("rps<2000", true, "1,999"),
        ("rps<1000", false, "1,999"),
    ] {
        let checked = parsed(text).check(&run);
        assert_eq!((checked.failed, checked.value()), (failed, value.to_owned()), "{text}");
    }
}

#[test]
fn a_threshold_over_no_samples_is_failed() {
    let mut run = example::run();
    run.outcomes.clear();
    run.requests = 0;
    (run.latency_ms.bought, run.latency_ms.refused) = (None, None);
    for text in ["p99(bought)>1s", "max(sold-out)<1s", "oversold>9", "undersold>9", "errors>99%", "rps<0"] {
        let checked = parsed(text).check(&run);
        assert_eq!((checked.failed, checked.measured, checked.value()), (true, None, "no samples".into()), "{text}");
    }
    for text in ["dropped>0", "late>1%"] {
        assert_eq!(parsed(text).check(&run).measured, None, "{text}: a closed loop has no arrivals");
    }
}

#[test]
fn arrivals_are_counted_of_an_open_loop() {
    let arrivals = Arrivals { planned: 300, dropped: 3, late: 0 };
    let run = Run { bystander: Some(example::bystander(arrivals)), ..example::run() };
    let check = |text: &str| {
        let checked = parsed(text).check(&run);
        (checked.failed, checked.value())
    };
    assert_eq!(check("dropped>0"), (true, "3".into()));
    assert_eq!(check("dropped>1%"), (false, "1.000 %".into()));
    assert_eq!(check("late>0"), (false, "0".into()));
}
