//! A prediction: what will a real run show?

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::{
    record::Record,
    render::text::{significant, thousands},
};

/// A prediction is near if it differs from what came out by this factor at most.
const NEAR: f64 = 1.25;

/// A question about a run, which is played when the reader has answered it.
#[derive(Debug)]
pub struct Predict {
    /// The question.
    pub ask: String,
    /// The arguments of `cargo loadtest`.
    pub command: Vec<String>,
    /// What to read from the file of figures.
    read: Read,
    /// Why it comes out like that.
    pub why: String,
}

/// What to read from the file of figures.
#[derive(Debug)]
enum Read {
    /// The number at this JSON pointer. `-` is the last element of a list.
    Number(String),
    /// The word for the outcome of the first run: `holds`, `oversells`, …
    Outcome,
}

/// What a run has shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
}

impl Predict {
    /// Reads the lines `ask:`, `run:`, `read:` and `why:`. A line without such a word continues the one before.
    ///
    /// # Errors
    /// One of them is missing, or `run` does not begin with `cargo loadtest`.
    pub fn parse(text: &str) -> anyhow::Result<Predict> {
        const NAMES: [&str; 4] = ["ask", "run", "read", "why"];
        let mut said = [const { String::new() }; NAMES.len()];
        let mut last = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let named =
                line.split_once(": ").and_then(|(name, text)| Some((NAMES.iter().position(|n| *n == name)?, text)));
            match (named, last) {
                (Some((at, text)), _) => {
                    said[at] = text.into();
                    last = Some(at);
                }
                (None, Some(at)) => said[at] += &format!(" {line}"),
                (None, None) => bail!("what is \"{line}\" in a prediction?"),
            }
        }
        for (name, text) in NAMES.iter().zip(&said) {
            ensure!(!text.is_empty(), "a prediction without \"{name}: \"");
        }
        let [ask, run, read, why] = said;
        let command =
            run.strip_prefix("cargo loadtest ").with_context(|| format!("a prediction cannot run \"{run}\""))?;
        let read = match read.as_str() {
            "outcome" => Read::Outcome,
            pointer => Read::Number(pointer.into()),
        };
        Ok(Predict { ask, command: command.split_whitespace().map(str::to_owned).collect(), read, why })
    }

    /// The command as one types it.
    pub fn line(&self) -> String {
        format!("cargo loadtest {}", self.command.join(" "))
    }

    /// Whether a number is asked for, and not a word.
    pub fn is_number(&self) -> bool {
        matches!(self.read, Read::Number(_))
    }

    /// Why this cannot be an answer; `None` if it can.
    pub fn refuses(&self, said: &str) -> Option<&'static str> {
        match self.is_number() {
            true if number(said).is_none() => Some("not a number, such as 120"),
            false if !said.chars().any(char::is_alphabetic) => Some("not a word, such as holds"),
            true | false => None,
        }
    }

    /// The figure in a file.
    ///
    /// # Errors
    /// The file does not have it.
    pub fn figure(&self, file: &Value) -> anyhow::Result<Figure> {
        match &self.read {
            Read::Outcome => {
                let record: Record = serde_json::from_value(file.clone())?;
                Ok(Figure::Word(record.runs.first().context("the file has no run")?.word()))
            }
            Read::Number(pointer) => {
                let found = pointer.split('/').skip(1).try_fold(file, |value, part| match (value, part) {
                    (Value::Array(list), "-") => list.last(),
                    (Value::Array(list), part) => list.get(part.parse::<usize>().ok()?),
                    (value, part) => value.get(part),
                });
                let number = found.and_then(Value::as_f64);
                number.map(Figure::Number).with_context(|| format!("the file has no number at {pointer}"))
            }
        }
    }
}

/// What was predicted beside what came out: how far they are apart, in a sentence.
pub fn compare(said: &str, figure: &Figure) -> String {
    match figure {
        Figure::Word(word) if is_same(said, word) => "As you said.".into(),
        Figure::Word(_) => "Not as you said.".into(),
        Figure::Number(came) => match number(said) {
            Some(said) if said == *came => "Exactly.".into(),
            Some(said) if said > 0.0 && *came > 0.0 => {
                let factor = (said / came).max(came / said);
                match factor <= NEAR {
                    true => "Near.".into(),
                    false => format!("Off by a factor of {}.", factor_of(factor)),
                }
            }
            Some(_) | None => "Not as you said.".into(),
        },
    }
}

/// `oversell` and `Oversells` are the same answer.
fn is_same(said: &str, word: &str) -> bool {
    let stem = |text: &str| text.trim().to_lowercase().trim_end_matches('s').to_owned();
    stem(said) == stem(word)
}

/// A number as people type it: `10,000`, `10 000`, `676 ms` is none.
fn number(said: &str) -> Option<f64> {
    let digits: String = said.chars().filter(|c| !matches!(c, ',' | '_' | '\'') && !c.is_whitespace()).collect();
    let number = digits.parse::<f64>().ok()?;
    let is_plain = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    (is_plain && number.is_finite()).then_some(number)
}

fn factor_of(factor: f64) -> String {
    if factor < 10.0 { format!("{factor:.1}") } else { thousands(factor.round() as i64) }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Figure::Number(n) if n.fract() == 0.0 => f.pad(&thousands(*n as i64)),
            Figure::Number(n) => f.pad(&significant(*n)),
            Figure::Word(word) => f.pad(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reading(pointer: &str) -> Predict {
        Predict::parse(&format!("\nask: How many\n  orders?\nrun: cargo loadtest run v1\nread: {pointer}\nwhy: So.\n"))
            .unwrap()
    }

    #[test]
    fn a_number_is_found_by_its_place_and_the_last_of_a_list_by_a_dash() {
        let file = json!({ "faults": [{ "rounds": [{ "lost": 1 }, { "lost": 2 }] }], "word": "holds" });
        assert_eq!(reading("/faults/0/rounds/-/lost").figure(&file).unwrap(), Figure::Number(2.0));
        assert_eq!(reading("/faults/0/rounds/0/lost").figure(&file).unwrap(), Figure::Number(1.0));
        for missing in ["/faults/1/rounds/0/lost", "/faults/x", "/word", "/nothing"] {
            assert!(reading(missing).figure(&file).unwrap_err().to_string().contains(missing));
        }
        assert_eq!(reading("/x").ask, "How many orders?");
        assert_eq!(reading("/x").line(), "cargo loadtest run v1");
    }

    #[test]
    fn what_was_said_is_compared_with_what_came_out() {
        for (said, came, says) in [
            ("10,000", 10_000.0, "Exactly."),
            ("0", 0.0, "Exactly."),
            ("100", 110.0, "Near."),
            ("100", 126.0, "Off by a factor of 1.3."),
            ("10 000", 100.0, "Off by a factor of 100."),
            ("0", 5.0, "Not as you said."),
            ("5", 0.0, "Not as you said."),
        ] {
            assert_eq!(compare(said, &Figure::Number(came)), says, "{said} {came}");
        }
        assert_eq!(compare(" Oversell", &Figure::Word("oversells".into())), "As you said.");
        assert_eq!(compare("holds", &Figure::Word("oversells".into())), "Not as you said.");
    }

    #[test]
    fn only_a_number_is_accepted_where_one_is_asked_for() {
        let (number, word) = (reading("/x"), reading("outcome"));
        assert!(["100", "10,000", " 1.5 "].iter().all(|said| number.refuses(said).is_none()));
        assert!(["", "many", "-1", "1e3", "NaN", "inf", "."].iter().all(|said| number.refuses(said).is_some()));
        assert!(word.refuses("oversells").is_none() && word.refuses("").is_some() && word.refuses("12").is_some());
    }
}
