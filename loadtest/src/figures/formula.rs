//! Computes a number from records.
//!
//! - `demo[v1 transaction]:orders` is a value of each run of `docs/results/demo.json` whose version, variant, scenario, fault or
//!   way is named. Without a variant in the brackets, only runs without one count. `v6-x1:seconds` is the value of every run.
//! - `bench[sell 64]:per_second` is a value of each sample of the benchmark with this subject and number of connections. All words of
//!   the subject are named: `bench[orders v2 64]`, `bench[among held 10000 64]`.
//! - A list on the way yields a value for each member, and `trials.offered=2000.useful` those of the members with that field.
//! - `median(…)`, `min(…)`, `max(…)`, `sum(…)` and `count(…)` make one number of several. `ceil(…)` rounds up, and `floor(…)` down
//!   as the tables do. A comma in brackets puts numbers together.
//! - `+ - * /` compute run by run, or with a single number. `-` needs spaces around it.
//! - `range(…)` is quoted as `3 to 5`. `| .2` at the end keeps two decimals.

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::records::{Records, items};
use crate::{compare::spread::Spread, render::text::thousands};

/// A formula's number as a page quotes it.
///
/// # Errors
/// The formula cannot be parsed, a record does not have the value, or there is more than one number.
pub fn text(formula: &str, records: &Records) -> anyhow::Result<String> {
    let (formula, decimals) = match formula.split_once('|') {
        Some((formula, format)) => (formula, format.trim().strip_prefix('.').context("| .DECIMALS")?.parse::<usize>()?),
        None => (formula, 0),
    };
    let number = |n: f64| if decimals == 0 { thousands(n.round() as i64) } else { format!("{n:.decimals$}") };
    let formula = formula.trim();
    if let Some(inner) = formula.strip_prefix("range") {
        let Spread { min, max, .. } = Spread::of(&series(inner, records)?).context("no numbers")?;
        let (least, most) = (number(min), number(max));
        return Ok(if least == most { least } else { format!("{least} to {most}") });
    }
    match series(formula, records)?[..] {
        [one] => Ok(number(one)),
        ref several => bail!("{} numbers, one is needed", several.len()),
    }
}

/// The numbers of a formula.
fn series(formula: &str, records: &Records) -> anyhow::Result<Vec<f64>> {
    let mut reader = Reader { rest: formula, records };
    let series = reader.sum()?;
    ensure!(reader.rest.trim().is_empty(), "not understood: {}", reader.rest);
    Ok(series)
}

/// Reads a formula from left to right, and computes it.
struct Reader<'a> {
    rest: &'a str,
    records: &'a Records,
}

impl<'a> Reader<'a> {
    fn sum(&mut self) -> anyhow::Result<Vec<f64>> {
        let mut left = self.product()?;
        while let Some(operator) = self.take(&["+", "- "]) {
            let right = self.product()?;
            left = each(&left, &right, |a, b| if operator == "+" { a + b } else { a - b })?;
        }
        Ok(left)
    }

    fn product(&mut self) -> anyhow::Result<Vec<f64>> {
        let mut left = self.factor()?;
        while let Some(operator) = self.take(&["*", "/"]) {
            let right = self.factor()?;
            left = each(&left, &right, |a, b| if operator == "*" { a * b } else { a / b })?;
        }
        Ok(left)
    }

    fn factor(&mut self) -> anyhow::Result<Vec<f64>> {
        if self.take(&["("]).is_some() {
            return self.in_brackets();
        }
        let word = self.word(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if let Ok(number) = word.parse() {
            return Ok(vec![number]);
        }
        if self.take(&["("]).is_some() {
            let series = self.in_brackets()?;
            return of(word, series);
        }
        let named = match self.take(&["["]) {
            Some(_) => {
                let (named, rest) = self.rest.split_once(']').context("a [ without ]")?;
                self.rest = rest;
                named.split_whitespace().collect()
            }
            None => Vec::new(),
        };
        ensure!(self.take(&[":"]).is_some(), "`{word}` is no number and no RECORD:FIELD");
        let path = self.word(|c| c.is_ascii_alphanumeric() || "-_.=".contains(c));
        values(&*self.records.get(word)?, &named, path).with_context(|| format!("{word}{named:?}:{path}"))
    }

    fn in_brackets(&mut self) -> anyhow::Result<Vec<f64>> {
        let mut series = self.sum()?;
        while self.take(&[","]).is_some() {
            series.extend(self.sum()?);
        }
        ensure!(self.take(&[")"]).is_some(), "a ( without )");
        Ok(series)
    }

    /// Takes one of these from the front.
    fn take(&mut self, any: &[&'static str]) -> Option<&'static str> {
        let rest = self.rest.trim_start();
        let taken = any.iter().find(|one| rest.starts_with(**one))?;
        self.rest = &rest[taken.len()..];
        Some(taken)
    }

    fn word(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest.trim_start();
        let (word, rest) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
        self.rest = rest;
        word
    }
}

/// Computes number by number, or with the one number of a side.
fn each(left: &[f64], right: &[f64], compute: impl Fn(f64, f64) -> f64) -> anyhow::Result<Vec<f64>> {
    let len = left.len().max(right.len());
    ensure!(
        [left, right].iter().all(|side| side.len() == len || side.len() == 1),
        "{} and {} numbers",
        left.len(),
        right.len()
    );
    let at = |side: &[f64], n: usize| side[if side.len() == 1 { 0 } else { n }];
    Ok((0..len).map(|n| compute(at(left, n), at(right, n))).collect())
}

fn of(function: &str, series: Vec<f64>) -> anyhow::Result<Vec<f64>> {
    let spread = || Spread::of(&series).context("no numbers");
    let one = match function {
        "median" => spread()?.median,
        "min" => spread()?.min,
        "max" => spread()?.max,
        "sum" => {
            ensure!(!series.is_empty(), "no numbers");
            series.iter().sum()
        }
        "count" => series.len() as f64,
        "floor" => return Ok(series.into_iter().map(f64::floor).collect()),
        "ceil" => return Ok(series.into_iter().map(f64::ceil).collect()),
        _ => bail!("no function {function}"),
    };
    Ok(vec![one])
}

/// The values at `path` of the record's items that are named.
fn values(record: &Value, named: &[&str], path: &str) -> anyhow::Result<Vec<f64>> {
    let chosen: Vec<_> = items(record).into_iter().filter(|item| is_chosen(item, named)).collect();
    ensure!(!chosen.is_empty(), "the record has no such item");
    let mut found = Vec::new();
    for item in chosen {
        at_path(item, path, &mut found)?;
    }
    Ok(found)
}

/// Whether an item has all these names: of its version, variant, scenario, fault or way; of a sample its subject and connections.
fn is_chosen(item: &Value, named: &[&str]) -> bool {
    if let Some(subject) = item.get("subject") {
        let words = subject_words(subject);
        let is_named = |word: &String| named.iter().any(|name| is_version(word, name));
        let connections = item["connections"].to_string();
        return words.iter().all(is_named)
            && named.iter().all(|name| *name == connections || words.iter().any(|word| is_version(word, name)));
    }
    let field = |field: &str| item[field].as_str().unwrap_or_default();
    let has = |name: &&str| {
        is_version(field("version"), name)
            || ["variant", "scenario", "fault", "way"].iter().any(|other| field(other) == *name)
    };
    let only_variants = named.is_empty() || field("variant").is_empty() || named.contains(&field("variant"));
    named.iter().all(has) && only_variants
}

/// Whether this is the name of the version, or its first part: `v2` of `v2-pessimistic`. Equal words are the same.
fn is_version(version: &str, name: &str) -> bool {
    version == name || name.starts_with('v') && version.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
}

/// The words of a sample's subject: `sell`, or `among`, `held` and `10000`.
fn subject_words(subject: &Value) -> Vec<String> {
    match subject {
        Value::Object(one) => {
            one.iter().flat_map(|(word, of)| [vec![word.clone()], subject_words(of)].concat()).collect()
        }
        Value::Array(several) => several.iter().flat_map(subject_words).collect(),
        Value::String(word) => vec![word.clone()],
        other => vec![other.to_string()],
    }
}

/// Adds the numbers at `path`. A list on the way adds those of each of its members. A counter that a record does not have is 0.
fn at_path(value: &Value, path: &str, found: &mut Vec<f64>) -> anyhow::Result<()> {
    if let Some(members) = value.as_array() {
        // An invalid round of a fault was repeated.
        let mut valid = members.iter().filter(|member| member["verdict"] != "invalid");
        return valid.try_for_each(|member| at_path(member, path, found));
    }
    if let Some((condition, rest)) = path.split_once('.').filter(|(condition, _)| condition.contains('=')) {
        let (field, wanted) = condition.split_once('=').unwrap_or_default();
        let is_met = value[field] == wanted || wanted.parse::<f64>().is_ok_and(|wanted| value[field] == wanted);
        return if is_met { at_path(value, rest, found) } else { Ok(()) };
    }
    let Some((field, rest)) = path.split_once('.').or((!path.is_empty()).then_some((path, ""))) else {
        found.push(value.as_f64().or(value.as_bool().map(f64::from)).context("is no number")?);
        return Ok(());
    };
    match value.get(field) {
        Some(value) if ["counters", "outcomes"].contains(&field) && value.get(rest).is_none() => found.push(0.0),
        Some(value) => at_path(value, rest, found)?,
        None => bail!("it has no {field}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_formula_is_computed_from_records() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(super::super::records::FOLDER);
        fs::create_dir_all(&folder).unwrap();
        let runs = r#"{"runs": [
            {"version": "v2-pessimistic", "variant": null, "rate": 1000.4, "counters": {"lost": 7}, "times": [{"ms": 1}, {"ms": 3}]},
            {"version": "v3-optimistic", "variant": null, "rate": 500, "counters": {}, "times": []},
            {"version": "v3-optimistic", "variant": "no-retry", "rate": 12345.6, "counters": {}, "times": []},
            {"version": "v2-pessimistic", "variant": null, "rate": 2000, "counters": {}, "times": [{"ms": 2}]},
            {"version": "v3-optimistic", "variant": null, "rate": 3000, "counters": {}, "times": []}]}"#;
        fs::write(folder.join("a.json"), runs).unwrap();
        let records = Records::new(root.path());
        for (formula, expected) in [
            ("a[v3 no-retry]:rate", "12,346"),
            ("median(a[v2]:rate) | .1", "1500.2"),
            ("range(a[v2]:rate)", "1,000 to 2,000"),
            ("range(a[v3-optimistic]:rate / a[v2]:rate) | .2", "0.50 to 1.50"),
            ("sum(a[v2]:counters.lost)", "7"),
            ("max(a[v2]:times.ms) - 1", "2"),
            ("sum(a[v2]:times.ms=3.ms)", "3"),
            ("count(a:rate) * (2 + 2) / 2", "10"),
            ("ceil(1000000 / max(a:rate))", "82"),
            ("floor(12345.6)", "12,345"),
            ("range(a[v3]:rate, a[v2]:rate)", "500 to 3,000"),
            ("range(a[no-retry]:rate)", "12,346"),
        ] {
            assert_eq!(text(formula, &records).unwrap(), expected, "{formula}");
        }
        let samples = r#"{"bench": [
            {"subject": "held", "connections": 64, "p99": 5},
            {"subject": {"orders": "v2-pessimistic"}, "connections": 64, "p99": 6},
            {"subject": {"orders": "v2-pessimistic"}, "connections": 256, "p99": 7},
            {"subject": {"among": [1000, "held"]}, "connections": 64, "p99": 8},
            {"subject": {"durable": ["v2-pessimistic", "redis-never"]}, "connections": 64, "p99": 9}]}"#;
        fs::write(folder.join("b.json"), samples).unwrap();
        for (formula, expected) in [
            ("b[held 64]:p99", "5"),
            ("b[orders v2 64]:p99", "6"),
            ("range(b[orders v2]:p99)", "6 to 7"),
            ("b[among held 1000 64]:p99", "8"),
            ("b[durable v2 redis-never 64]:p99", "9"),
        ] {
            assert_eq!(text(formula, &records).unwrap(), expected, "{formula}");
        }
        let rates = r#"{"ways": [
            {"way": "redis-lua", "rates": [{"clients": 1, "p99": 3}, {"clients": 16, "p99": 4}]},
            {"way": "redis-decr", "rates": [{"clients": 16, "p99": 5}]}]}"#;
        fs::write(folder.join("c.json"), rates).unwrap();
        assert_eq!(text("c[redis-lua]:rates.clients=16.p99", &records).unwrap(), "4");
        let rounds = r#"{"faults": [{"fault": "redis-cut", "rounds": [
            {"verdict": "clean", "ms": 7}, {"verdict": "invalid", "ms": 99}, {"verdict": "broken", "ms": 8}]}]}"#;
        fs::write(folder.join("d.json"), rounds).unwrap();
        assert_eq!(text("max(d:rounds.ms)", &records).unwrap(), "8", "an invalid round was repeated");
        assert_eq!(text("count(d:rounds.verdict=clean.ms)", &records).unwrap(), "1");
        for wrong in ["b[held 256]:p99", "b[64]:p99", "b[orders 64]:p99", "c[redis-lock]:rates.p99"] {
            assert!(text(wrong, &records).is_err(), "{wrong}");
        }
        for wrong in [
            "a:rate",
            "b:rate",
            "a[v4]:rate",
            "a[v2]:price",
            "median(a:rate",
            "mode(a:rate)",
            "a",
            "1 2",
            "a[v2]:rate + a:rate",
        ] {
            assert!(text(wrong, &records).is_err(), "{wrong}");
        }
    }
}
