//! When each card is due, in a small file that outlives the program.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::card::Card;

/// The version of the file's format.
pub const SCHEMA: u64 = 1;
/// Days until a card is due again, after the first time that nothing was missed, the second, and so on.
pub const DAYS: [u64; 4] = [1, 3, 7, 21];

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// More bytes than the deck of all cards has.
const BLOCK: usize = 16 * 1024;
/// A card is due so much earlier, so that one of yesterday evening is due this morning.
const EARLY: u64 = 12 * HOUR;

/// The reader's memory of all cards.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Deck {
    schema: u64,
    cards: BTreeMap<u8, Memory>,
    /// The cards that differ from the file.
    #[serde(skip)]
    changed: BTreeSet<u8>,
}

/// The reader's memory of one card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// How often in a row nothing was missed.
    pub level: usize,
    /// When it was rehearsed last, in seconds since 1970.
    pub rehearsed: u64,
    /// When it is due, in seconds since 1970.
    pub due: u64,
    /// What was missed then.
    #[serde(default)]
    pub missed: Vec<String>,
    /// What the reader had then, if the card was left before its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub had: Vec<String>,
}

impl Deck {
    /// The file in the user's folder for data.
    ///
    /// # Errors
    /// The environment names no such folder.
    pub fn default_path(environment: impl Fn(&str) -> Option<PathBuf>) -> anyhow::Result<PathBuf> {
        let folder = |name| environment(name).filter(|folder| folder.is_absolute());
        let data = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")));
        let data =
            data.context("there is no folder for the deck: set HOME or XDG_DATA_HOME, or name a file with --deck")?;
        Ok(data.join("oversold/deck.json"))
    }

    /// Reads a deck. A file that does not exist is an empty one.
    ///
    /// # Errors
    /// The file cannot be read, is no deck, or is of a newer schema. It is left as it is.
    pub fn read(path: &Path) -> anyhow::Result<Deck> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Deck { schema: SCHEMA, ..Deck::default() }),
            Err(why) => return Err(why).with_context(|| format!("cannot read {}", path.display())),
        };
        let no_deck = || format!("{} is no deck: move it away, or name another file with --deck", path.display());
        let value: Value = serde_json::from_str(&text).with_context(no_deck)?;
        let schema = value["schema"].as_u64().with_context(no_deck)?;
        if schema > SCHEMA {
            bail!(
                "{} is of schema {schema}, and this program reads {SCHEMA}: take a newer one, or name another file with --deck",
                path.display()
            );
        }
        serde_json::from_value(value).with_context(no_deck)
    }

    /// Writes the cards that have changed. They are put into the deck as it is in the file now, so that two programs lose nothing of
    /// each other. The file is replaced in one step, so it is never half written.
    ///
    /// # Errors
    /// The file cannot be read again or written.
    pub fn save(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut deck = Deck::read(path)?;
        for number in &self.changed {
            deck.cards.insert(*number, self.of(*number));
        }
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()); // a link stays one
        let cannot = || format!("cannot write {}", path.display());
        let mut part = NamedTempFile::new_in(folder_of(&path)).with_context(cannot)?;
        let text = serde_json::to_string_pretty(&deck)? + "\n";
        part.write_all(text.as_bytes()).and_then(|()| part.as_file().sync_all()).with_context(cannot)?;
        part.persist(&path).with_context(cannot)?;
        self.cards = deck.cards;
        self.changed.clear();
        Ok(())
    }

    /// Makes the deck's folder, and checks that a file can be written there. On a full disk, an empty one could.
    ///
    /// # Errors
    /// It cannot.
    pub fn check_writable(path: &Path) -> anyhow::Result<()> {
        let folder = folder_of(path);
        let written = fs::create_dir_all(folder).and_then(|()| NamedTempFile::new_in(folder));
        let written =
            written.and_then(|mut file| file.write_all(&[b' '; BLOCK]).and_then(|()| file.as_file().sync_all()));
        written.with_context(|| format!("cannot keep a deck in {}", folder.display()))
    }

    /// Puts a clock right that was set back: no card was rehearsed later than `now`. Intervals stay as they are. Returns whether a
    /// card was moved by more than an hour.
    pub fn settle(&mut self, now: u64) -> bool {
        let mut latest = now;
        for (number, memory) in self.cards.iter_mut().filter(|(_, memory)| memory.rehearsed > now) {
            latest = latest.max(memory.rehearsed);
            memory.due = now.saturating_add(memory.due.saturating_sub(memory.rehearsed));
            memory.rehearsed = now;
            self.changed.insert(*number);
        }
        latest - now > HOUR
    }

    /// What is remembered of a card.
    pub fn of(&self, number: u8) -> Memory {
        self.cards.get(&number).cloned().unwrap_or_default()
    }

    /// Whether a card was never rehearsed.
    pub fn is_new(&self, number: u8) -> bool {
        !self.cards.contains_key(&number)
    }

    /// Whether a card is due.
    pub fn is_due(&self, number: u8, now: u64) -> bool {
        self.of(number).due <= now
    }

    /// Days until a card is due, rounded up.
    pub fn days_until(&self, number: u8, now: u64) -> u64 {
        self.of(number).due.saturating_sub(now).div_ceil(DAY)
    }

    /// The cards that are due: first those that are longest overdue, then new ones in their order, the whole interview last.
    pub fn due<'a>(&self, cards: &'a [Card], now: u64) -> Vec<&'a Card> {
        let mut due: Vec<_> = cards.iter().filter(|card| self.is_due(card.number, now)).collect();
        due.sort_by_key(|card| {
            let is_new = self.is_new(card.number);
            (is_new, self.of(card.number).due, is_new && card.minutes() > 5, card.number)
        });
        due
    }

    /// Nothing of the card was missed. A card that was not due yet keeps its interval.
    pub fn had(&mut self, number: u8, now: u64) {
        let before = self.of(number);
        let level = if before.due <= now { before.level.saturating_add(1) } else { before.level.max(1) };
        let days = DAYS[level.min(DAYS.len()) - 1];
        let due = now + days * DAY - EARLY;
        self.keep(number, Memory { level, rehearsed: now, due, ..Memory::default() });
    }

    /// Something of the card was missed, so it is due at once.
    pub fn missed(&mut self, number: u8, missed: Vec<String>, now: u64) {
        self.keep(number, Memory { rehearsed: now, due: now, missed, ..Memory::default() });
    }

    /// Some steps of the card were had, and some missed, and others may be left. A card of which nothing was missed yet stays as due
    /// as it was.
    pub fn marked(&mut self, number: u8, had: Vec<String>, missed: Vec<String>, now: u64) {
        let Memory { level, due, .. } = self.of(number);
        let (level, due) = if missed.is_empty() { (level, due) } else { (0, now) };
        self.keep(number, Memory { level, rehearsed: now, due, missed, had });
    }

    /// The steps that the reader had when they left the card before its end, less than half a day ago. Empty if nothing else is left.
    pub fn left(&self, card: &Card, now: u64) -> Vec<String> {
        let memory = self.of(card.number);
        let is_left = card.outline.iter().chain(&card.follow_ups).any(|step| !memory.had.contains(&step.cue));
        if is_left && now.saturating_sub(memory.rehearsed) < EARLY { memory.had } else { Vec::new() }
    }

    fn keep(&mut self, number: u8, memory: Memory) {
        self.cards.insert(number, memory);
        self.changed.insert(number);
    }
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
