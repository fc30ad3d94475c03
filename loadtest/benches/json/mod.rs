//! The record of a benchmark.

use std::path::Path;

use loadtest::record::file::{Figures, File};

/// Writes the figures to FILE of `--json FILE`, from the repository's root; does nothing without `--json`.
///
/// # Errors
/// `--json` has no file, or it cannot be written.
pub(crate) fn write<F: Figures>(bench: &str, figures: F) -> anyhow::Result<()> {
    let mut args = std::env::args().skip_while(|arg| arg != "--json").skip(1);
    let file = match args.next() {
        Some(file) => file,
        None if std::env::args().any(|arg| arg == "--json") => anyhow::bail!("--json needs a file"),
        None => return Ok(()),
    };
    let command = format!("cargo bench -p loadtest --bench {bench} -- --json {file}");
    // cargo runs a benchmark in its package's folder.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    File { command, ..File::new(figures) }.write(&file)
}
