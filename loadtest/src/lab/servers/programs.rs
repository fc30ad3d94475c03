//! Finds a server's programs on this machine.

use std::{fs, path::PathBuf};

/// Finds the folder that holds `program`: the last of `folders` in sort order, otherwise one on the `PATH`.
pub(in crate::lab) fn folder_of(program: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut known: Vec<_> = folders.into_iter().collect();
    known.sort();
    known.into_iter().rev().chain(std::env::split_paths(&path)).find(|folder| folder.join(program).is_file())
}

/// The folders named `inside` in all subfolders of these. Packages keep their programs there, one folder for each version.
pub(super) fn in_each_of<'a>(parents: &'a [&str], inside: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    let versions = parents.iter().flat_map(|parent| fs::read_dir(parent).into_iter().flatten().flatten());
    versions.map(move |version| version.path().join(inside))
}
