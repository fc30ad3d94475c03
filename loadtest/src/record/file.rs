//! Files of figures. All kinds share one envelope, which says what the figures are and how they were made.

use std::{
    fmt, fs,
    ops::{Deref, DerefMut},
    path::Path,
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::lab::machine::{Machine, commit};

/// The version of the file format. It grows when a field changes its meaning or is removed. Files of schema 1 and 2 have no
/// `kind`.
pub const SCHEMA: u32 = 3;

/// The kind of figures in a file. They are in the field of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Runs with their audits.
    Runs,
    /// Faults injected into chapter 6.
    Faults,
    /// Mutants: shops with a seeded bug.
    Mutants,
    /// Versions with all of their interleavings.
    Explored,
    /// Schedules that were replayed.
    Replayed,
    /// The greatest rates that versions can serve.
    Capacities,
    /// Samples of the benchmark.
    Bench,
    /// The load generator's rate against `wrk`'s.
    Generator,
    /// How long buyers waited for the message about their order.
    Watchers,
    /// Ways to take one unit.
    Ways,
}

pub(crate) const KINDS: [Kind; 10] = [
    Kind::Runs,
    Kind::Faults,
    Kind::Mutants,
    Kind::Explored,
    Kind::Replayed,
    Kind::Capacities,
    Kind::Bench,
    Kind::Generator,
    Kind::Watchers,
    Kind::Ways,
];

impl Kind {
    /// The kind's name in a file, and the field that has its figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Runs => "runs",
            Kind::Faults => "faults",
            Kind::Mutants => "mutants",
            Kind::Explored => "explored",
            Kind::Replayed => "replayed",
            Kind::Capacities => "capacities",
            Kind::Bench => "bench",
            Kind::Generator => "generator",
            Kind::Watchers => "watchers",
            Kind::Ways => "ways",
        }
    }

    /// The kind of the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, is truncated, is not a file of figures, or has an unknown schema.
    pub fn of(path: &Path) -> anyhow::Result<Kind> {
        Ok(read(path)?.0)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Kind::Runs => "runs",
            Kind::Faults => "faults",
            Kind::Mutants => "mutants",
            Kind::Explored => "interleavings",
            Kind::Replayed => "schedules",
            Kind::Capacities => "capacities",
            Kind::Bench => "the benchmark",
            Kind::Generator => "rates of the generator",
            Kind::Watchers => "waiting buyers",
            Kind::Ways => "ways to take a unit",
        })
    }
}

/// Figures that a file can contain.
pub trait Figures: Serialize + DeserializeOwned {
    /// The kind of these figures.
    const KIND: Kind;
}

/// A file of figures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct File<F> {
    /// The kind of the figures.
    pub kind: Kind,
    /// The version of the format: [`SCHEMA`].
    pub schema: u32,
    /// The machine on which the figures were made.
    pub machine: Machine,
    /// The commit, with `-dirty` if the working tree differed; `None` outside a checkout.
    pub commit: Option<String>,
    /// The command line.
    pub command: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: F,
}

impl<F> Deref for File<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.figures
    }
}

impl<F> DerefMut for File<F> {
    fn deref_mut(&mut self) -> &mut F {
        &mut self.figures
    }
}

impl<F: Figures> File<F> {
    /// A file of figures that were made on this machine, at this commit, by this command.
    pub fn new(figures: F) -> File<F> {
        let (machine, commit) = (Machine::this(), commit());
        File { kind: F::KIND, schema: SCHEMA, machine, commit, command: command(), figures }
    }

    /// Reads a file of this kind in the current or an older schema.
    ///
    /// # Errors
    /// The file cannot be read, is truncated, is of another kind, or has an unknown schema.
    pub fn read(path: &Path) -> anyhow::Result<File<F>> {
        let (kind, value) = read(path)?;
        ensure!(kind == F::KIND, "{} is a file of {kind}, but a file of {} is needed", path.display(), F::KIND);
        serde_json::from_value(value).with_context(|| is_not_whole(path))
    }

    /// Writes the file atomically: an existing file keeps its content until the new one is complete.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        let cannot = || format!("cannot write {}", path.display());
        if path.exists() && !path.is_file() {
            return fs::write(path, text).with_context(cannot); // a terminal or a pipe
        }
        let part = path.with_extension("json.part");
        fs::write(&part, text).with_context(cannot)?;
        fs::rename(&part, path).with_context(cannot)
    }
}

/// The command line, with `loadtest` in place of the program's path, which differs everywhere.
fn command() -> String {
    let command = std::iter::once("cargo loadtest".to_owned()).chain(std::env::args().skip(1));
    command.collect::<Vec<_>>().join(" ")
}

fn is_not_whole(path: &Path) -> String {
    format!("{} is not a whole file of figures: make it again with --json", path.display())
}

/// Reads a file of any kind. A file without `kind` is recognized by its field of figures.
fn read(path: &Path) -> anyhow::Result<(Kind, Value)> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut value: Value = serde_json::from_str(&text).with_context(|| is_not_whole(path))?;
    let schema = value["schema"].as_u64().with_context(|| is_not_whole(path))?;
    ensure!(
        schema <= SCHEMA.into(),
        "{} is of schema {schema}, this program reads {SCHEMA}: take a newer one",
        path.display()
    );
    let kind = match value.get("kind") {
        Some(kind) => Some(serde_json::from_value(kind.clone())?),
        None => KINDS.into_iter().find(|kind| value.get(kind.name()).is_some()),
    };
    let kind = kind.with_context(|| is_not_whole(path))?;
    value["kind"] = kind.name().into();
    Ok((kind, value))
}

/// Checks before a long run that its result can be written.
///
/// # Errors
/// The file cannot be written.
pub fn check_writable(path: &Path) -> anyhow::Result<()> {
    let new = !path.exists();
    let opened = fs::OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("cannot write {}", path.display()))?;
    if new {
        let _ = fs::remove_file(path); // an aborted run must not leave an empty file
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runs.json");
        for text in [r#"{"schema": 1, "runs": []}"#, r#"{"schema": 3, "kind": "runs", "runs": []}"#] {
            fs::write(&file, text).unwrap();
            assert_eq!(Kind::of(&file).unwrap(), Kind::Runs);
            let error = File::<crate::record::faults::Grid>::read(&file).unwrap_err().to_string();
            assert!(error.ends_with("is a file of runs, but a file of faults is needed"), "{error}");
        }
        for text in [r#"{"schema": 3, "kind": "recipes", "runs": []}"#, r#"{"schema": 3}"#, r#"{"runs": []}"#, "[]"] {
            fs::write(&file, text).unwrap();
            assert!(Kind::of(&file).is_err(), "{text}");
        }
    }

    #[test]
    fn a_kind_is_written_as_the_field_that_it_names() {
        for kind in KINDS {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
