//! The file `docs/results/quoted`: for each page, where its numbers come from.
//!
//! ```text
//! [docs/src/million.md]                                the pages of the lines below; `*` is every page
//! say Of {v6-nginx:nginx.requests} requests            the page has this sentence, with the numbers of the records
//! rows matrix 2                                        the page has all rows of this table of a record
//! given 20 ms # the default of --backoff-cap-ms        this number is set, computed or told, and not measured here
//! ```

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, ensure};

use super::{page, records::FOLDER, sentence::Sentence};

/// Where the numbers of a page come from.
#[derive(Default)]
pub struct Sources {
    /// Sentences, each with the line of the file.
    pub sentences: Vec<(usize, Sentence)>,
    /// Tables: the record's name, and the number of its table from 1.
    pub tables: Vec<(usize, String, usize)>,
    /// Phrases with numbers that are not measured here.
    pub given: Vec<(usize, String)>,
}

/// The sources of all pages.
pub struct Quotes {
    of: BTreeMap<String, Sources>,
}

/// The name of the file in messages.
pub fn file() -> String {
    format!("{FOLDER}/quoted")
}

impl Quotes {
    /// Reads `docs/results/quoted` below `root`.
    ///
    /// # Errors
    /// The file cannot be read, or a line has none of the forms above.
    pub fn read(root: &Path) -> anyhow::Result<Quotes> {
        let text = fs::read_to_string(root.join(file())).with_context(|| format!("cannot read {}", file()))?;
        let (mut of, mut pages) = (BTreeMap::new(), Vec::new());
        for (n, line) in text.lines().enumerate() {
            let at = n + 1;
            let parsed = Self::line(&mut of, &mut pages, at, line.trim());
            parsed.with_context(|| format!("{}:{at}: {line}", file()))?;
        }
        Ok(Quotes { of })
    }

    fn line(of: &mut BTreeMap<String, Sources>, pages: &mut Vec<String>, at: usize, line: &str) -> anyhow::Result<()> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(names) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            *pages = names.split(' ').map(str::to_owned).collect();
            return Ok(());
        }
        ensure!(!pages.is_empty(), "a [page] has to come first");
        let (word, rest) = line.split_once(' ').context("no such line")?;
        for page in pages {
            let sources = of.entry(page.clone()).or_default();
            match word {
                "say" => sources.sentences.push((at, Sentence::parse(rest)?)),
                "rows" => {
                    let (name, table) = rest.split_once(' ').context("rows RECORD NUMBER")?;
                    sources.tables.push((at, name.to_owned(), table.parse()?));
                }
                "given" => {
                    let (phrase, reason) = rest.split_once(" # ").context("given PHRASE # REASON")?;
                    ensure!(!reason.trim().is_empty(), "the reason is missing");
                    sources.given.push((at, phrase.trim().to_owned()));
                }
                _ => anyhow::bail!("`{word}` is not `say`, `rows` or `given`"),
            }
        }
        Ok(())
    }

    /// The sources that are named for this page.
    pub fn of(&self, page: &str) -> Option<&Sources> {
        self.of.get(page)
    }

    /// The sources of every page.
    pub fn of_all(&self) -> Option<&Sources> {
        self.of.get("*")
    }

    /// A line for each page that is named and that is not checked.
    pub fn of_no_page(&self, root: &Path) -> Vec<String> {
        let names = page::names(root).unwrap_or_default();
        let unknown = self.of.keys().filter(|name| *name != "*" && !names.contains(name));
        unknown.map(|name| format!("{}: {name} is no page", file())).collect()
    }
}
