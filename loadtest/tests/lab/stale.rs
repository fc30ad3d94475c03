//! `make figures-check`: which records have owners that have changed since. And `docs/results/measure` on a dirty tree.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::support::executable;

fn run(folder: &Path, program: &str, args: &[&str]) -> Output {
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    Command::new(program).args(args).current_dir(folder).env("PATH", path).output().unwrap()
}

fn git(folder: &Path, args: &[&str]) -> String {
    let author = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"];
    let output = run(folder, "git", &[&author[..], args].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn write(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// A repository with a script of this one and some sources, committed. `cargo` is a program that exits with 42.
fn repository(script: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(script);
    write(root, script, "");
    fs::copy(from, root.join(script)).unwrap();
    write(root, "bin/cargo", "#!/bin/sh\nexit 42\n");
    fs::set_permissions(root.join("bin/cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    for source in [
        "v1-naive/src/shop/serve.rs",
        "v1-naive/src/page.rs",
        "v2-pessimistic/src/purchase.rs",
        "loadtest/src/buyer/click.rs",
    ] {
        write(root, source, "before\n");
    }
    write(root, "v2-pessimistic/src/tests.rs", "before");
    git(root, &["init", "--quiet"]);
    git(root, &["add", "."]);
    git(root, &["commit", "--quiet", "--message", "Begin"]);
    folder
}

#[test]
fn a_record_is_stale_when_an_owner_has_changed() {
    let folder = repository(".ci/stale");
    let root = folder.path();
    let record = |commit: &str| {
        let command = "cargo loadtest run v2 --json docs/results/a.json";
        let text =
            format!("{{\n  \"kind\": \"runs\",\n  \"commit\": \"{commit}\",\n  \"command\": \"{command}\",\n}}\n");
        write(root, "docs/results/a.json", &text);
    };
    let check = || {
        let output = run(root, ".ci/stale", &[]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let head = git(root, &["rev-parse", "HEAD"]);
    record(&head);
    assert_eq!(check(), (Some(0), "figures: 1 of 1 records are up to date\n".into()));
    // Neither another version nor a test nor a comment decides what chapter 2 sells.
    write(root, "v1-naive/src/page.rs", "after");
    write(root, "v2-pessimistic/src/tests.rs", "after");
    write(root, "v2-pessimistic/src/purchase.rs", "//! New.\nbefore\n#[cfg(test)]\nmod tests {\n}\n");
    assert_eq!(check(), (Some(0), "figures: 1 of 1 records are up to date\n".into()));
    for owner in [
        "v2-pessimistic/src/purchase.rs",
        "v1-naive/src/shop/serve.rs",
        "loadtest/src/buyer/click.rs",
        "v2-pessimistic/src/new.rs",
    ] {
        write(root, owner, "after");
        let (code, says) = check();
        assert!(code == Some(1) && says.contains(&format!("changed since: {owner}")), "{says}");
        if git(root, &["ls-files", owner]).is_empty() {
            fs::remove_file(root.join(owner)).unwrap();
        } else {
            git(root, &["checkout", "--quiet", owner]);
        }
    }
    assert_eq!(check().0, Some(0));
    record(&format!("{head}-dirty"));
    assert!(check().1.contains("measured with uncommitted changes"));
    record("0123456789abcdef0123456789abcdef01234567");
    assert!(check().1.contains("unknown: no commit 0123456789ab here"));
}

#[test]
fn only_a_clean_tree_is_measured() {
    let folder = repository("docs/results/measure");
    let root = folder.path();
    let measure = |args: &[&str]| {
        let output = run(root, "docs/results/measure", args);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // It is allowed to begin: `cargo` is what fails here.
    assert_eq!(measure(&["demo"]), (Some(42), String::new()));
    // The records that it writes do not stop it.
    write(root, "docs/results/demo.json", "{}");
    write(root, "docs/results/faults.json.part", "{");
    assert_eq!(measure(&["demo", "faults"]), (Some(42), String::new()));
    let (code, said) = measure(&["demos"]);
    assert!(code == Some(4) && said.contains("no record demos"), "{said}");
    // A new file stops it, and so does a change, also of itself.
    write(root, "v1-naive/src/new.rs", "new");
    let (code, said) = measure(&[]);
    assert!(code == Some(4) && said.contains("?? v1-naive/src/new.rs"), "{said}");
    fs::remove_file(root.join("v1-naive/src/new.rs")).unwrap();
    let script = fs::read_to_string(root.join("docs/results/measure")).unwrap();
    executable(&root.join("docs/results/measure"), &(script + "\n"));
    let (code, said) = measure(&["demo"]);
    assert!(code == Some(4) && said.contains("docs/results/measure"), "{said}");
}
