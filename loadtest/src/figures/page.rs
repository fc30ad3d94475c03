//! A page of README or book: its quoted numbers, and its numbers without a source.

use std::{fs, ops::Range, path::Path, sync::LazyLock};

use regex::Regex;

use super::{
    Tables,
    quotes::{self, Quotes, Sources},
    records::Records,
    sentence::literal,
    table,
};

/// Pages whose numbers are not compared. The decisions name what was measured when they were made, and are not renewed.
const NOT_CHECKED: [&str; 1] = ["docs/src/decisions.md"];

/// What is no prose: code in another language than `text`, comments, code in a line, targets of links, includes.
static NO_PROSE: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        r"(?s)^ *```(?:sh|rust|lua|sql|java|toml|nginx|html|json)\n.*?^ *```$",
        r"(?s)<!--.*?-->",
        r"`[^`\n]+`",
        r"\]\([^()\s]*\)",
        r"https?://[^\s)]+",
    ];
    pattern(&format!("(?m:{})", parts.join("|")))
});

/// What looks like a figure: thousands with a comma, a number with a unit of the load test, a factor with decimals.
static FIGURE: LazyLock<Regex> = LazyLock::new(|| {
    let unit = "(?:k?/s|ms|µs|(?:times|requests?|orders?|conflicts|retries|statements)\\b)";
    pattern(&format!(
        r"(?:^|[^\w.,/-])(\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?(?:(?: to \d+(?:\.\d+)?)? ?{unit})|× ?\d+\.\d+)"
    ))
});

/// A number with one digit and zeros, such as 10,000, is the size of a crowd or of a sale. No measured rate is so round.
static ROUND: LazyLock<Regex> = LazyLock::new(|| pattern("^[1-9]0{0,2}(?:,000)+$"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant or escaped pattern")
}

/// The pages that are checked: each README and the book.
///
/// # Errors
/// A folder cannot be read.
pub fn names(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in fs::read_dir(root)? {
        let folder = folder?;
        if folder.file_type()?.is_dir() && folder.path().join("README.md").is_file() {
            names.push(format!("{}/README.md", folder.file_name().to_string_lossy()));
        }
    }
    names.extend(["README.md".to_owned(), "README.zh-CN.md".into()]);
    add(root, "docs/src", &mut names)?;
    names.retain(|name| !NOT_CHECKED.contains(&name.as_str()));
    names.sort();
    Ok(names)
}

fn add(root: &Path, folder: &str, names: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            add(root, &name, names)?;
        } else if name.ends_with(".md") {
            names.push(name);
        }
    }
    Ok(())
}

/// A page, with the text that is left when all that has a source is blanked.
pub struct Page<'a> {
    name: &'a str,
    text: &'a str,
    left: String,
    findings: Vec<String>,
}

impl<'a> Page<'a> {
    /// The page `name` with this text.
    pub fn new(name: &'a str, text: &'a str) -> Page<'a> {
        Page { name, text, left: text.to_owned(), findings: Vec::new() }
    }

    /// What is wrong with the page, one line each.
    pub fn check(mut self, quotes: &Quotes, records: &Records, tables: Tables) -> Vec<String> {
        if let Some(sources) = quotes.of(self.name) {
            self.check_sentences(sources, records);
            self.check_tables(sources, records, tables);
        }
        for found in NO_PROSE.find_iter(&self.left.clone()) {
            self.blank(found.range());
        }
        let own = quotes.of(self.name).into_iter().flat_map(|sources| &sources.given).map(|given| (given, true));
        let of_all = quotes.of_all().into_iter().flat_map(|sources| &sources.given).map(|given| (given, false));
        for ((line, phrase), is_own) in own.chain(of_all) {
            self.blank_phrase(*line, phrase, is_own);
        }
        self.find_unsourced();
        self.findings
    }

    /// The text with the records' numbers in its sentences and tables, and the sentences and tables that it does not have.
    pub fn renewed(mut self, quotes: &Quotes, records: &Records, tables: Tables) -> (String, Vec<String>) {
        let mut renewed = Vec::new();
        for (line, sentence) in quotes.of(self.name).into_iter().flat_map(|sources| &sources.sentences) {
            match sentence.find(self.text, records) {
                Ok(quoted) => renewed.extend(quoted.into_iter().map(|quoted| (quoted.at, quoted.should_be))),
                Err(error) => self.wrong_source(*line, &format!("{error:#}")),
            }
        }
        let mut taken: Vec<Range<usize>> = Vec::new();
        for (line, name, number) in quotes.of(self.name).into_iter().flat_map(|sources| &sources.tables) {
            let Some(rows) = self.rows(*line, name, *number, records, tables) else { continue };
            let lines: Vec<_> = rows.lines().collect();
            // Several tables of a page can have the same first cells. They are quoted in their order.
            let mut like = table::like(&lines, self.text, 0);
            while let Some(next) = like.clone().filter(|next| taken.contains(next)) {
                like = table::like(&lines, self.text, next.end);
            }
            match like {
                Some(at) => {
                    taken.push(at.clone());
                    renewed.push((at, rows));
                }
                None => self.wrong_source(*line, &format!("no table has the rows of {name}'s table {number}")),
            }
        }
        // A sentence in a table is renewed with its row.
        renewed.retain(|(at, _)| !taken.iter().any(|rows| rows != at && rows.contains(&at.start)));
        renewed.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
        let mut text = self.text.to_owned();
        for (at, should_be) in renewed {
            // A sentence may be broken into lines elsewhere.
            if !text[at.clone()].split_whitespace().eq(should_be.split_whitespace()) {
                text.replace_range(at, &should_be);
            }
        }
        (text, self.findings)
    }

    /// The rows of a record's table, as Markdown.
    fn rows(&mut self, line: usize, name: &str, number: usize, records: &Records, tables: Tables) -> Option<String> {
        let printed = match tables(&records.path(name)) {
            Ok(printed) => printed,
            Err(error) => {
                self.wrong_source(line, &format!("{error:#}"));
                return None;
            }
        };
        let Some(table) = printed.split("\n\n").nth(number - 1) else {
            self.wrong_source(line, &format!("{name} has no table {number}"));
            return None;
        };
        Some(table.trim().lines().skip(2).map(|row| format!("{row}\n")).collect())
    }

    fn check_sentences(&mut self, sources: &Sources, records: &Records) {
        for (line, sentence) in &sources.sentences {
            match sentence.find(self.text, records) {
                Ok(quoted) => {
                    for quoted in quoted {
                        let says = &self.text[quoted.at.clone()];
                        if !says.split_whitespace().eq(quoted.should_be.split(' ')) {
                            let at = self.line(quoted.at.start);
                            let rule = format!("{}:{line}", quotes::file());
                            self.findings
                                .push(format!("{}:{at}: {says} should be {} ({rule})", self.name, quoted.should_be));
                        }
                        self.blank(quoted.at);
                    }
                }
                Err(error) => self.wrong_source(*line, &format!("{error:#}")),
            }
        }
    }

    fn check_tables(&mut self, sources: &Sources, records: &Records, tables: Tables) {
        for (line, name, number) in &sources.tables {
            let Some(rows) = self.rows(*line, name, *number, records, tables) else { continue };
            for row in rows.lines() {
                match self.text.find(&format!("\n{row}\n")) {
                    Some(start) => self.blank(start..start + 1 + row.len()),
                    None => self.wrong_source(*line, &format!("the page should have the row: {row}")),
                }
            }
        }
    }

    /// Blanks each occurrence of a phrase. One that is named for this page has to be there.
    fn blank_phrase(&mut self, line: usize, phrase: &str, is_own: bool) {
        let found: Vec<_> = pattern(&literal(phrase)).find_iter(&self.left).map(|found| found.range()).collect();
        if is_own && found.is_empty() {
            self.wrong_source(line, &format!("the page has no \"{phrase}\" that needs a reason"));
        }
        found.into_iter().for_each(|found| self.blank(found));
    }

    fn find_unsourced(&mut self) {
        let left = std::mem::take(&mut self.left);
        for found in FIGURE.captures_iter(&left).filter_map(|found| found.get(1)) {
            let number = found.as_str();
            if !ROUND.is_match(number) {
                let at = self.line(found.start());
                self.findings.push(format!("{}:{at}: \"{number}\" has no source in {}", self.name, quotes::file()));
            }
        }
    }

    fn wrong_source(&mut self, line: usize, what: &str) {
        self.findings.push(format!("{}:{line}: {}: {what}", quotes::file(), self.name));
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text[..at].matches('\n').count()
    }

    /// Replaces a part with spaces, so that offsets still lead to lines.
    fn blank(&mut self, part: Range<usize>) {
        let blank: String =
            self.left[part.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        self.left.replace_range(part, &blank);
    }
}
