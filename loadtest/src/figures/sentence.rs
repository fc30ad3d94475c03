//! A sentence with numbers from records, such as `p99 {median(v6-x1:reservations.to_confirmed_ms.p99)} ms`.

use std::ops::Range;

use anyhow::Context;
use regex::Regex;

use super::{formula, records::Records};

/// What a page has in the place of a formula: a number, or a range of two.
const NUMBER: &str = r"(\d[\d,]*(?:\.\d+)?(?:\s+to\s+\d[\d,]*(?:\.\d+)?)?)";

/// A sentence of a page, with a formula for each number from a record.
pub struct Sentence {
    text: String,
    formulas: Vec<String>,
    pattern: Regex,
}

/// A number in a page, and what it should be.
#[derive(Debug, PartialEq)]
pub struct Quoted {
    /// Where the number is in the page, in bytes.
    pub at: Range<usize>,
    /// The number of the records.
    pub should_be: String,
}

impl Sentence {
    /// Parses a sentence. Any white space in it matches any other, line breaks included.
    ///
    /// # Errors
    /// A brace has no partner, or there is no formula.
    pub fn parse(text: &str) -> anyhow::Result<Sentence> {
        let (mut formulas, mut pattern, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (formula, after) = after.split_once('}').context("a { without }")?;
            formulas.push(formula.to_owned());
            pattern += &(literal(before) + NUMBER);
            rest = after;
        }
        anyhow::ensure!(!formulas.is_empty(), "a sentence without {{formula}}");
        // No digit may follow: `1` is not the end of `10`.
        pattern += &(literal(rest) + if rest.is_empty() { r"(?:[^\d]|$)" } else { "" });
        let begins_a_number = text.starts_with('{');
        let pattern = if begins_a_number { format!(r"(?:^|[^\d.,]){pattern}") } else { pattern };
        Ok(Sentence { text: text.to_owned(), formulas, pattern: Regex::new(&pattern)? })
    }

    /// The numbers of this sentence in a page.
    ///
    /// # Errors
    /// The page does not have the sentence exactly once, whatever its numbers; or a formula cannot be computed.
    pub fn find(&self, page: &str, records: &Records) -> anyhow::Result<Vec<Quoted>> {
        let mut all = self.pattern.captures_iter(page);
        let first = all.next().with_context(|| format!("the page does not have the sentence: {}", self.text))?;
        anyhow::ensure!(all.next().is_none(), "the page has the sentence twice, add a word to it: {}", self.text);
        let found = self.formulas.iter().zip(first.iter().skip(1).flatten());
        found
            .map(|(formula, number)| {
                let should_be = formula::text(formula, records).with_context(|| format!("{{{formula}}}"))?;
                Ok(Quoted { at: number.range(), should_be })
            })
            .collect()
    }
}

/// A pattern for this text; any white space in it matches any other.
pub(super) fn literal(text: &str) -> String {
    let words: Vec<_> = text.split(char::is_whitespace).map(regex::escape).collect();
    words.join(r"\s+")
}
