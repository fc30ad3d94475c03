//! The files that make an exercise's folder a crate: a workspace of its own, so that it is built alone; path dependencies on the
//! clone; and the clone's target folder and lock file, so that what is built once is not built again.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The workspace's manifest, which has the versions and features of all dependencies.
const WORKSPACE: &str = include_str!("../../../Cargo.toml");

/// What runs a check: prints its line, and says by the exit code whether it has passed.
const MAIN: &str = "
fn main() -> std::process::ExitCode {
    let result = check::check();
    let (Ok(line) | Err(line)) = &result;
    println!(\"{line}\");
    std::process::ExitCode::from(u8::from(result.is_err()))
}
";

/// The profile that checks are built with. It has the name and the settings of the workspace's profile, so its packages are shared
/// with `cargo run --profile quick` of the book.
const PROFILE: &str = "\
[profile.quick]
inherits = \"dev\"
debug = false
opt-level = 0
";

/// The clone that this program was built from.
pub(super) fn clone() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// `src/main.rs` of a crate with these other files in `src`.
pub(super) fn main(files: &[(&str, &str)]) -> String {
    let mut modules: Vec<_> = files.iter().map(|(name, _)| name.trim_end_matches(".rs")).chain(["exercise"]).collect();
    modules.sort_unstable();
    let modules: String = modules.into_iter().map(|module| format!("mod {module};\n")).collect();
    format!("//! Runs the check. There is nothing to change here: the exercise is in `exercise.rs`.\n\n{modules}{MAIN}")
}

/// `Cargo.toml` of a crate with these dependencies.
pub(super) fn manifest(name: &str, dependencies: &[&str]) -> anyhow::Result<String> {
    let lines = dependencies.iter().map(|name| dependency(name)).collect::<anyhow::Result<String>>()?;
    Ok(format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n[dependencies]\n{lines}\n\
         [workspace]\n\n{PROFILE}"
    ))
}

/// The line of the workspace's manifest; for one of its own crates, the absolute path.
fn dependency(name: &str) -> anyhow::Result<String> {
    let own = clone().join(name);
    if own.is_dir() {
        return Ok(format!("{name} = {{ path = {} }}\n", quoted(&own)?));
    }
    let line = WORKSPACE.lines().find(|line| line.split_once(" = ").is_some_and(|(found, _)| found == name));
    Ok(format!("{}\n", line.with_context(|| format!("the workspace has no dependency {name}"))?))
}

/// `.cargo/config.toml`: the clone's target folder, and `cargo loadtest` also inside of the exercise's folder.
pub(super) fn config() -> anyhow::Result<String> {
    let mut config = format!("[build]\ntarget-dir = {}\n", quoted(&target())?);
    let workspace = clone().join("Cargo.toml");
    // Cargo splits an alias at spaces.
    if let Some(path) = workspace.to_str().filter(|path| !path.contains(char::is_whitespace)) {
        let alias = format!("run --release --manifest-path {path} -p loadtest --");
        config += &format!("\n[alias]\nloadtest = {}\n", serde_json::to_string(&alias)?);
    }
    Ok(config)
}

/// The target folder that this program is in; that of the clone if it is elsewhere.
fn target() -> PathBuf {
    let program = std::env::current_exe().ok();
    let folder = program.as_deref().and_then(|program| program.ancestors().find(|at| at.join("CACHEDIR.TAG").exists()));
    folder.map_or_else(|| clone().join("target"), Path::to_owned)
}

/// A path as a string of TOML, which takes those of JSON.
fn quoted(path: &Path) -> anyhow::Result<String> {
    let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(serde_json::to_string(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_the_line_of_the_workspace_and_a_crate_of_it_has_its_path() {
        assert_eq!(dependency("tempfile").unwrap(), "tempfile = \"3\"\n");
        let own = dependency("v1-naive").unwrap();
        assert!(own.starts_with("v1-naive = { path = \"/") && own.ends_with("/v1-naive\" }\n"), "{own}");
        assert_eq!(dependency("left-pad").unwrap_err().to_string(), "the workspace has no dependency left-pad");
    }

    #[test]
    fn the_profile_is_that_of_the_workspace() {
        let (_, quick) = WORKSPACE.split_once("[profile.quick]\n").unwrap();
        let (settings, _) = quick.split_once("package.").unwrap();
        assert_eq!(PROFILE, format!("[profile.quick]\n{settings}"));
    }
}
