use std::fmt;

use crate::render::text::{significant, thousands};

/// The median and the range of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Half are below; of an even number the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of these; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        Some(Spread { median: median(&mut sorted), min, max })
    }
}

/// The median of at least one value. Reorders the values.
pub(super) fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    let is_even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    match below.iter().copied().max_by(f64::total_cmp).filter(|_| is_even) {
        Some(lower) => f64::midpoint(lower, upper),
        None => upper,
    }
}

impl fmt::Display for Spread {
    /// `12.34 (11.05 to 14.20)`; only the value where all are equal.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let shown = |n: f64| if n.fract() == 0.0 { thousands(n as i64) } else { significant(n) };
        let Spread { median, min, max } = *self;
        match min == max {
            true => f.pad(&shown(median)),
            false => f.pad(&format!("{} ({} to {})", shown(median), shown(min), shown(max))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(&[]), None);
        for (values, median, min, max) in [
            (vec![3.0], 3.0, 3.0, 3.0),
            (vec![9.0, 1.0], 5.0, 1.0, 9.0),
            (vec![9.0, 1.0, 2.0], 2.0, 1.0, 9.0),
            (vec![4.0, 9.0, 1.0, 2.0], 3.0, 1.0, 9.0),
        ] {
            assert_eq!(Spread::of(&values), Some(Spread { median, min, max }));
        }
    }

    #[test]
    fn a_spread_shows_its_range() {
        let shown = |values: &[f64]| Spread::of(values).unwrap().to_string();
        assert_eq!(shown(&[100.0, 100.0]), "100");
        assert_eq!(shown(&[12_345.6, 9000.0, 0.25]), "9,000 (0.2500 to 12,346)");
    }
}
