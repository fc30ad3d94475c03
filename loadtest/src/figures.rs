//! Whether README and book quote the records in `docs/results`.
//!
//! Read the modules in this order:
//!
//! 1. [`records`]: each record is complete, of a clean commit, and made by a line of `docs/results/measure`.
//! 2. [`quotes`]: the file `docs/results/quoted`, which says for each page where its numbers come from.
//! 3. [`formula`]: computes a number from records. [`sentence`]: finds a quoted sentence in a page; `table`: a table.
//! 4. [`page`]: compares a page with its quotes, and finds the numbers that have none.

pub mod formula;
pub mod page;
pub mod quotes;
pub mod records;
pub mod sentence;
mod table;

use std::{fs, path::Path};

use anyhow::Context;

use self::{page::Page, quotes::Quotes, records::Records};

/// Prints the tables of a record as Markdown.
pub type Tables<'a> = &'a dyn Fn(&Path) -> anyhow::Result<String>;

/// Checks records and pages below `root`. Returns what is wrong, one line each, with file and line.
///
/// # Errors
/// A file cannot be read, or `docs/results/quoted` has a line that is none.
pub fn check(root: &Path, tables: Tables) -> anyhow::Result<Vec<String>> {
    let (records, quotes) = (Records::new(root), Quotes::read(root)?);
    let mut findings = records.check()?;
    for name in page::names(root)? {
        let text = fs::read_to_string(root.join(&name))?;
        findings.extend(Page::new(&name, &text).check(&quotes, &records, tables));
    }
    findings.extend(quotes.of_no_page(root));
    Ok(findings)
}

/// Writes the records' numbers into the quoted sentences and tables below `root`. Returns the sentences and tables that no page has.
///
/// # Errors
/// A file cannot be read or written, or `docs/results/quoted` has a line that is none.
pub fn renew(root: &Path, tables: Tables) -> anyhow::Result<Vec<String>> {
    let (records, quotes) = (Records::new(root), Quotes::read(root)?);
    let mut findings = Vec::new();
    for name in page::names(root)? {
        let path = root.join(&name);
        let text = fs::read_to_string(&path)?;
        let (renewed, not_found) = Page::new(&name, &text).renewed(&quotes, &records, tables);
        findings.extend(not_found);
        if renewed != text {
            fs::write(&path, renewed).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(findings)
}
