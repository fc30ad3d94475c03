//! Parses a threshold: a figure, a comparison, a number and a unit. Spaces are allowed between them.

use std::{error::Error, fmt, str::FromStr};

use super::{Comparison, Figure, Percentile, Threshold, Unit};
use crate::verdict::history::KINDS;

const FIGURE: &str =
    "a figure: p50, p90, p99, p999 or max, as in p99(bought); or oversold, undersold, errors, dropped, late, rps";

const OUTCOME: &str =
    "an outcome: bought, refused, queued, unknown, or a kind of refusal such as sold-out or rate-limited";

/// A text that is not a threshold. It is shown with a caret under the wrong place and what is expected there.
#[derive(Debug, PartialEq, Eq)]
pub struct NoThreshold {
    text: String,
    /// In characters.
    place: usize,
    expected: &'static str,
}

impl fmt::Display for NoThreshold {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let NoThreshold { text, place, expected } = self;
        write!(f, "\n  {text}\n  {:place$}^ here should be {expected}", "")
    }
}

impl Error for NoThreshold {}

impl FromStr for Threshold {
    type Err = NoThreshold;

    fn from_str(text: &str) -> Result<Self, NoThreshold> {
        Parser { text, at: 0 }.threshold()
    }
}

impl TryFrom<String> for Threshold {
    type Error = NoThreshold;

    fn try_from(text: String) -> Result<Self, NoThreshold> {
        text.parse()
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Where the rest begins, in bytes.
    at: usize,
}

impl<'a> Parser<'a> {
    fn threshold(mut self) -> Result<Threshold, NoThreshold> {
        let figure = self.figure()?;
        let comparison = self.comparison()?;
        let limit = self.number()?;
        let (unit, factor) = self.unit(&figure)?;
        self.skip_spaces();
        if !self.rest().is_empty() {
            return Err(self.expected("the end"));
        }
        Ok(Threshold { text: self.text.trim().to_owned(), figure, comparison, limit: limit * factor, unit })
    }

    fn figure(&mut self) -> Result<Figure, NoThreshold> {
        self.skip_spaces();
        let start = self.at;
        let percentile = match self.take(|c| c.is_ascii_alphanumeric()) {
            "oversold" => return Ok(Figure::Oversold),
            "undersold" => return Ok(Figure::Undersold),
            "errors" => return Ok(Figure::Errors),
            "dropped" => return Ok(Figure::Dropped),
            "late" => return Ok(Figure::Late),
            "rps" => return Ok(Figure::Rps),
            "p50" => Percentile::P50,
            "p90" => Percentile::P90,
            "p99" => Percentile::P99,
            "p999" => Percentile::P999,
            "max" => Percentile::Max,
            _ => {
                self.at = start;
                return Err(self.expected(FIGURE));
            }
        };
        if !self.skip("(") {
            return Err(self.expected("(bought), (refused) or another outcome, as in p99(bought)"));
        }
        self.skip_spaces();
        let start = self.at;
        let outcome = self.take(|c| c.is_alphanumeric() || c == '-');
        // A misspelled outcome is found before the run and not after it.
        if outcome != "refused" && !KINDS.contains(&outcome) {
            self.at = start;
            return Err(self.expected(OUTCOME));
        }
        if !self.skip(")") {
            return Err(self.expected("a closing bracket"));
        }
        Ok(Figure::Latency(percentile, outcome.to_owned()))
    }

    fn comparison(&mut self) -> Result<Comparison, NoThreshold> {
        let comparisons = [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            (">", Comparison::Above),
            ("<", Comparison::Below),
        ];
        let found = comparisons.into_iter().find(|(sign, _)| self.skip(sign));
        found.map(|(_, comparison)| comparison).ok_or_else(|| self.expected("a comparison: >, >=, < or <="))
    }

    fn number(&mut self) -> Result<f64, NoThreshold> {
        self.skip_spaces();
        let start = self.at;
        let number =
            self.take(|c| c.is_ascii_digit() || c == '.').parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| {
            self.at = start;
            self.expected("a number, such as 50 or 0.5")
        })
    }

    /// The unit, and the factor that takes a number to it.
    fn unit(&mut self, figure: &Figure) -> Result<(Unit, f64), NoThreshold> {
        match figure {
            Figure::Latency(..) if self.skip("ms") => Ok((Unit::Ms, 1.0)),
            Figure::Latency(..) if self.skip("s") => Ok((Unit::Ms, 1000.0)),
            Figure::Latency(..) => Err(self.expected("a unit: ms or s")),
            Figure::Errors | Figure::Dropped | Figure::Late if self.skip("%") => Ok((Unit::Percent, 1.0)),
            Figure::Errors | Figure::Dropped | Figure::Late | Figure::Oversold | Figure::Undersold | Figure::Rps => {
                Ok((Unit::Count, 1.0))
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.take(char::is_whitespace);
    }

    /// Takes the characters that come next, as long as they pass the test.
    fn take(&mut self, is_of_it: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !is_of_it(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Skips spaces and then `sign`. Returns whether `sign` was there.
    fn skip(&mut self, sign: &str) -> bool {
        self.skip_spaces();
        let is_there = self.rest().starts_with(sign);
        self.at += if is_there { sign.len() } else { 0 };
        is_there
    }

    fn expected(&self, expected: &'static str) -> NoThreshold {
        let one_line = |text: &str| text.replace(char::is_control, " ");
        NoThreshold { text: one_line(self.text), place: self.text[..self.at].chars().count(), expected }
    }
}
