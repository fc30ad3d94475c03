use super::*;

fn due(text: &str, arrivals: Pattern, seed: u64) -> Vec<f64> {
    Schedule::stages(text, arrivals).unwrap().due(seed).map(|due| due.as_secs_f64()).collect()
}

#[test]
fn a_constant_rate_has_equal_distances() {
    let schedule = Schedule::constant(200.0, Duration::from_secs(2), Pattern::Constant).unwrap();
    let due: Vec<_> = schedule.due(1).collect();
    assert_eq!((due.len(), due[0], due[399]), (400, Duration::ZERO, Duration::from_millis(1995)));
    assert_eq!(schedule.to_string(), "200/s for 2 s");
}

/// Five seconds from 0 to 1,000 are 2,500 buyers, half of them after 71 % of the time.
#[test]
fn a_ramp_has_the_area_below_it() {
    let ramp = due("0:0,5s:1000", Pattern::Constant, 1);
    assert_eq!(ramp.len(), 2500);
    assert!((ramp[1250] - 5.0 * 0.5_f64.sqrt()).abs() < 1e-6, "{}", ramp[1250]);
    assert!(ramp.is_sorted());
    let both = due("0:0,5s:1000,30s:5000", Pattern::Constant, 1);
    assert_eq!(both.len(), 2500 + 75_000);
    let step = due("0:10,1s:10,1s:100,2s:100", Pattern::Constant, 1);
    assert_eq!((step.len(), step.iter().filter(|due| **due < 1.0).count()), (110, 10));
    let pause = due("0:10,1s:0,2s:0,3s:10", Pattern::Constant, 1);
    assert_eq!(pause.len(), 10);
    assert!(pause.iter().all(|due| !(1.0..2.0).contains(due)), "{pause:?}");
}

#[test]
fn poisson_arrivals_have_the_mean_and_the_spread_of_chance_and_are_the_seeds() {
    let poisson = due("0:1000,20s:1000", Pattern::Poisson, 7);
    assert!((19_400..20_600).contains(&poisson.len()), "{}", poisson.len());
    let gaps: Vec<_> = poisson.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
    assert!((deviation / mean - 1.0).abs() < 0.1, "as wide as its mean: {deviation} {mean}");
    assert_eq!(poisson, due("0:1000,20s:1000", Pattern::Poisson, 7));
    assert_ne!(poisson, due("0:1000,20s:1000", Pattern::Poisson, 8));
}

#[test]
fn a_burst_comes_together() {
    let mut burst = due("0:1000,1s:1000", Pattern::Burst, 1);
    assert_eq!(burst.len(), 1000);
    burst.dedup();
    assert!((10..=11).contains(&burst.len()), "{burst:?}");
}

#[test]
fn what_is_wrong_is_said_with_what_to_write() {
    let constant = |rate, lasts| Schedule::constant(rate, Duration::from_secs(lasts), Pattern::Constant);
    for (refused, why) in [
        (constant(0.0, 1), "at a rate of 0 no buyer comes: write for example 100/s"),
        (constant(2e6, 1), "at most 1,000,000/s"),
        (constant(1.0, 0), "write a longer --duration"),
        (constant(1.0, 3601), "write a shorter time"),
        (Schedule::stages("0:0,5s:1000,3s:1", Pattern::Constant), "goes backwards, from 5 s to 3 s"),
        (Schedule::stages("0:0,5s:0", Pattern::Constant), "no buyer comes"),
        (Schedule::stages("0:5", Pattern::Constant), "two time:rate pairs"),
        (Schedule::stages("1s:5,2s:5", Pattern::Constant), "begins at 0"),
        (Schedule::stages("0:0,5s", Pattern::Constant), "`5s` is no time:rate pair; write for example 0:0,5s:1000"),
        (Schedule::stages("0:0,5:9", Pattern::Constant), "`5` is no time"),
        (Schedule::stages("0:0,5s:-9", Pattern::Constant), "`-9` is no rate"),
        (Schedule::stages("", Pattern::Constant), "no time:rate pair"),
    ] {
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
    for text in ["", "s", "-1s", "NaNs", "infs", "1e300m", "1h", "10"] {
        assert!(seconds(text).unwrap_err().contains("10s, 500ms or 2m"), "{text}");
    }
    for text in ["", "/s", "fast", "-1", "inf", "1/m"] {
        assert!(per_second(text).unwrap_err().contains("2000/s"), "{text}");
    }
    assert_eq!((seconds("500ms"), per_second("2000/s")), (Ok(Duration::from_millis(500)), Ok(2000.0)));
}
