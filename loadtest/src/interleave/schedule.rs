//! A schedule: the order of the buyers' statements, written by hand. For example `A select · B select · A update`, with line
//! breaks anywhere, and comments from `#` to the end of the line.

use std::{fmt, fs::File, io::Read, path::Path, str::FromStr};

use anyhow::{Context, bail, ensure};

use super::{
    scheduler::MOST_BUYERS,
    step::letter,
    wire::{Hold, statement::WORDS},
};

/// The largest schedule file in bytes.
const LONGEST: u64 = 64 * 1024;

/// The order in which statements are released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The turns, in order.
    pub turns: Vec<Turn>,
}

/// One statement of one buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The buyer; 0 is A.
    pub buyer: usize,
    /// The statement: one of [`WORDS`].
    pub word: &'static str,
}

impl Schedule {
    /// Reads a schedule from a file.
    ///
    /// # Errors
    /// The file cannot be read, is too long, or is not a schedule.
    pub fn read(path: &Path) -> anyhow::Result<Schedule> {
        let cannot_read = || format!("cannot read {}", path.display());
        let mut text = String::new();
        File::open(path)
            .with_context(cannot_read)?
            .take(LONGEST)
            .read_to_string(&mut text)
            .with_context(cannot_read)?;
        ensure!((text.len() as u64) < LONGEST, "{} does not end within {LONGEST} bytes", path.display());
        text.parse().with_context(|| path.display().to_string())
    }

    /// The number of buyers in the schedule.
    pub fn buyers(&self) -> usize {
        self.turns.iter().map(|turn| turn.buyer + 1).max().unwrap_or_default()
    }

    /// The statements to hold. A schedule without commits was written for a version without transactions, so commits are not
    /// held.
    pub fn hold(&self) -> Hold {
        if self.turns.iter().any(|turn| turn.word == "commit") { Hold::All } else { Hold::AllButCommits }
    }
}

impl FromStr for Schedule {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Schedule> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let turns: Vec<&str> = lines.flat_map(|line| line.split(['·', ',', ';'])).map(str::trim).collect();
        let turns = turns.into_iter().filter(|turn| !turn.is_empty()).map(str::parse);
        let turns = turns.collect::<anyhow::Result<Vec<Turn>>>()?;
        ensure!(!turns.is_empty(), "there is no statement in this schedule");
        Ok(Schedule { turns })
    }
}

impl FromStr for Turn {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Turn> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let &[buyer, statement] = words.as_slice() else {
            bail!("`{text}` is not a buyer and a statement, as `A select` is; `·` stands between two");
        };
        let last = letter(MOST_BUYERS - 1);
        let buyer = (0..MOST_BUYERS).find(|n| letter(*n) == buyer);
        let buyer = buyer.with_context(|| format!("`{text}` has no buyer: they are A to {last}"))?;
        let word = WORDS.into_iter().find(|word| *word == statement);
        let word = word.with_context(|| format!("`{text}` is no statement: they are {}", WORDS.join(", ")))?;
        Ok(Turn { buyer, word })
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", letter(self.buyer), self.word)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let turns: Vec<_> = self.turns.iter().map(Turn::to_string).collect();
        f.write_str(&turns.join(" · "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_is_printed() {
        let text = "A select · B select · A update · B update · A insert · B insert";
        let schedule: Schedule = text.parse().unwrap();
        assert_eq!((schedule.to_string().as_str(), schedule.buyers(), schedule.turns.len()), (text, 2, 6));
        let by_hand =
            "# the lost update\nA select\n  B   select, A update;B update # both write\n\nA insert · B insert ·";
        assert_eq!(by_hand.parse::<Schedule>().unwrap(), schedule);
        assert_eq!(schedule.hold(), Hold::AllButCommits);
        assert_eq!("A select · A commit".parse::<Schedule>().unwrap().hold(), Hold::All);
    }

    #[test]
    fn an_invalid_schedule_is_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<Schedule>().unwrap_err().to_string();
        assert!(refused("A select · B delete").contains("`B delete` is no statement: they are select, update"));
        assert!(refused("A select · E select").contains("they are A to D"));
        assert!(refused("A SELECT").contains("`A SELECT` is no statement"));
        assert!(refused("A select B select").contains("is not a buyer and a statement"));
        assert!(refused("select").contains("is not a buyer and a statement"));
        assert!(refused("# nothing\n · \n").contains("no statement in this schedule"));
    }
}
