//! The confidence interval of a ratio of two medians, by bootstrap: the rounds of both files are drawn again with replacement, as many
//! as there were. The ratios of the drawn medians spread as those of new measurements would.

use super::spread::median;

/// The number of resamples.
const RESAMPLES: usize = 10_000;
/// The share of drawn ratios that lies below the interval, and above it.
const TAIL: f64 = 0.05;

/// The ratio of B's median to A's median.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The ratio.
    pub value: f64,
    /// Its 90 % interval, from least to greatest. `None` if a file has only one round, because one round does not show
    /// how much rounds differ.
    pub interval: Option<(f64, f64)>,
}

/// The ratio of `b` to `a`, the same each time; `None` if one has no values, or `a` has one that is not above 0.
pub fn ratio(a: &[f64], b: &[f64]) -> Option<Ratio> {
    if a.is_empty() || b.is_empty() || a.iter().any(|&value| value <= 0.0) {
        return None;
    }
    let value = median(&mut b.to_vec()) / median(&mut a.to_vec());
    let interval = (a.len() > 1 && b.len() > 1).then(|| interval(a, b));
    Some(Ratio { value, interval })
}

fn interval(a: &[f64], b: &[f64]) -> (f64, f64) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut drawn = (a.to_vec(), b.to_vec());
    let mut redrawn = |values: &[f64], drawn: &mut [f64]| {
        drawn.fill_with(|| values[random.usize(..values.len())]);
        median(drawn)
    };
    let mut draw = || redrawn(b, &mut drawn.1) / redrawn(a, &mut drawn.0);
    let mut ratios: Vec<f64> = (0..RESAMPLES).map(|_| draw()).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let tail = (RESAMPLES as f64 * TAIL) as usize;
    (ratios[tail], ratios[RESAMPLES - 1 - tail])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUNDS: [f64; 7] = [93.0, 104.0, 98.0, 101.0, 110.0, 96.0, 99.0];

    #[test]
    fn what_is_identical_has_a_ratio_of_1() {
        let Ratio { value, interval: Some((low, high)) } = ratio(&ROUNDS, &ROUNDS).unwrap() else { panic!() };
        assert!(value == 1.0 && low < 1.0 && 1.0 < high && low > 0.9 && high < 1.1, "{low} to {high}");
        assert_eq!(ratio(&[5.0; 3], &[5.0; 3]).unwrap().interval, Some((1.0, 1.0)));
    }

    #[test]
    fn what_is_doubled_has_a_ratio_of_2() {
        let doubled = ROUNDS.map(|value| value * 2.0);
        let Ratio { value, interval: Some((low, high)) } = ratio(&ROUNDS, &doubled).unwrap() else { panic!() };
        assert!(value == 2.0 && low < 2.0 && 2.0 < high && low > 1.8 && high < 2.2, "{low} to {high}");
    }

    #[test]
    fn an_interval_is_the_same_each_time() {
        assert_eq!(ratio(&ROUNDS, &ROUNDS), ratio(&ROUNDS, &ROUNDS));
    }

    #[test]
    fn one_round_has_no_interval() {
        for (a, b) in [(&ROUNDS[..1], &ROUNDS[..]), (&ROUNDS[..], &ROUNDS[..1])] {
            assert_eq!(ratio(a, b).unwrap().interval, None);
        }
    }

    #[test]
    fn nothing_can_be_divided_by_0() {
        assert_eq!(ratio(&[0.0, 1.0], &ROUNDS), None);
        assert_eq!((ratio(&[], &ROUNDS), ratio(&ROUNDS, &[])), (None, None));
        assert_eq!(ratio(&[1.0], &[0.0]).unwrap().value, 0.0);
    }
}
