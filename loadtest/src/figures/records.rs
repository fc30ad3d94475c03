//! The records: files in `docs/results`, each with kind, machine, clean commit, seed and command.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::record::file::KINDS;

/// The folder of the records.
pub const FOLDER: &str = "docs/results";

/// The records below a folder, each read once.
pub struct Records {
    root: PathBuf,
    read: RefCell<HashMap<String, Rc<Value>>>,
}

impl Records {
    /// The records of the repository at `root`.
    pub fn new(root: &Path) -> Records {
        Records { root: root.into(), read: RefCell::default() }
    }

    /// The file of the record with this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(FOLDER).join(name).with_extension("json")
    }

    /// The record `docs/results/NAME.json`.
    ///
    /// # Errors
    /// There is no such file, or it is no JSON.
    pub fn get(&self, name: &str) -> anyhow::Result<Rc<Value>> {
        if let Some(value) = self.read.borrow().get(name) {
            return Ok(value.clone());
        }
        let text = fs::read_to_string(self.path(name)).with_context(|| format!("no record {name}"))?;
        let value: Rc<Value> = Rc::new(serde_json::from_str(&text).with_context(|| format!("{name}.json is no JSON"))?);
        self.read.borrow_mut().insert(name.to_owned(), value.clone());
        Ok(value)
    }

    /// What is wrong with the records, one line each.
    ///
    /// # Errors
    /// The folder or `docs/results/measure` cannot be read.
    pub fn check(&self) -> anyhow::Result<Vec<String>> {
        let folder = self.root.join(FOLDER);
        let mut files: Vec<_> = fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
        files.sort_by_key(fs::DirEntry::path);
        let measured = self.measured()?;
        let mut findings = Vec::new();
        for path in files.iter().map(fs::DirEntry::path) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let wrong = match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => self.wrong(&name, &measured)?,
                Some("txt") => vec!["is text and no record".to_owned()],
                Some(_) | None => Vec::new(), // the scripts and the quotes
            };
            let again =
                if measured.contains(&name) { format!(": run `docs/results/measure {name}`") } else { String::new() };
            let file = path.strip_prefix(&self.root).unwrap_or(&path).display().to_string();
            findings.extend(wrong.iter().map(|wrong| format!("{file}: {wrong}{again}")));
        }
        Ok(findings)
    }

    /// The names of the records that `docs/results/measure` makes.
    fn measured(&self) -> anyhow::Result<Vec<String>> {
        let script = self.root.join(FOLDER).join("measure");
        let listed = Command::new(&script).arg("--list").output();
        let listed = listed.with_context(|| format!("cannot run {}", script.display()))?;
        ensure!(listed.status.success(), "{} --list failed", script.display());
        Ok(String::from_utf8(listed.stdout)?.lines().map(str::to_owned).collect())
    }

    fn wrong(&self, name: &str, measured: &[String]) -> anyhow::Result<Vec<String>> {
        let record = self.get(name)?;
        let mut wrong = Vec::new();
        match record["commit"].as_str() {
            Some(commit) if commit.ends_with("-dirty") => {
                wrong.push("was measured with uncommitted changes".to_owned());
            }
            Some(_) => {}
            None => wrong.push("names no commit".into()),
        }
        for field in ["kind", "machine", "command", "seed"] {
            // Nothing of a way is drawn but the wait before a buyer asks again.
            let needed = field != "seed" || record["kind"] != "ways";
            if needed && record.get(field).is_none() {
                wrong.push(format!("has no {field}"));
            }
        }
        if items(&record).into_iter().any(says_nothing) {
            wrong.push("has an invalid run or a wrong sample".into());
        }
        if !measured.iter().any(|one| one == name) {
            wrong.push(format!("no line of {FOLDER}/measure makes it"));
        }
        Ok(wrong)
    }
}

/// Whether it is an invalid run, a fault without a valid round, or a sample of the benchmark that is not what its name says.
fn says_nothing(item: &Value) -> bool {
    let is_invalid = |item: &Value| item["verdict"].as_str().is_some_and(|verdict| verdict.starts_with("invalid"));
    let rounds = item["rounds"].as_array().filter(|rounds| !rounds.is_empty());
    is_invalid(item) || item["wrong"].is_string() || rounds.is_some_and(|rounds| rounds.iter().all(is_invalid))
}

/// The figures of a record: its runs, faults, capacities … A record of another form is its only item.
pub fn items(record: &Value) -> Vec<&Value> {
    let figures = KINDS.iter().find_map(|kind| record.get(kind.name())?.as_array());
    figures.map_or_else(|| vec![record], |items| items.iter().collect())
}
