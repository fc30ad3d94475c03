//! Every exercise fails before, passes after, and refuses its wrong fixes.
//!
//! The programs are built as one crate, with a module for each file, because most of the time of a build is the linker's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::lab;
use loadtest::exercise::{
    Check, Exercise,
    catalogue::{EXERCISES, named},
    check::{Checker, Outcome},
    folder::Folder,
};
use serde_json::Value;

/// The states of an exercise's file: its name, its text, and whether the check has to pass.
fn states(exercise: &Exercise) -> Vec<(String, &'static str, bool)> {
    let wrong = (1..).zip(exercise.wrong).map(|(n, text)| (format!("wrong_{n}"), *text, false));
    let all = [("start".to_owned(), exercise.start, false), ("solution".to_owned(), exercise.solution, true)];
    all.into_iter().chain(wrong).collect()
}

/// The crate with every state of every program. It begins as the exercise with the most dependencies.
fn crate_of_all(folder: &Path) -> Folder {
    let all = Folder::start(named("conditional").unwrap(), folder).unwrap();
    let manifest = fs::read_to_string(all.path.join("Cargo.toml")).unwrap();
    let signed = Folder::start(named("signed-path").unwrap(), &folder.join("signed")).unwrap();
    let further = fs::read_to_string(signed.path.join("Cargo.toml")).unwrap();
    let dependencies = further.split_once("[dependencies]\n").unwrap().1.split_once("\n\n").unwrap().0;
    let head = format!("[dependencies]\n{dependencies}\n");
    fs::write(all.path.join("Cargo.toml"), manifest.replace("[dependencies]\n", &head)).unwrap();
    fs::remove_dir_all(&signed.path).unwrap();

    let (mut modules, mut calls) = (String::new(), String::new());
    for exercise in &EXERCISES {
        let Check::Program { files, .. } = exercise.check else { continue };
        let module = exercise.name.replace('-', "_");
        modules += &format!("mod {module} {{\n");
        for (state, text, _) in states(exercise) {
            let folder = all.path.join("src").join(&module).join(&state);
            fs::create_dir_all(&folder).unwrap();
            let mut names = Vec::new();
            for (name, text) in files.iter().chain([&("exercise.rs", text)]) {
                fs::write(folder.join(name), text).unwrap();
                names.push(format!("pub mod {};", name.trim_end_matches(".rs")));
            }
            modules += &format!("    pub mod {state} {{ {} }}\n", names.join(" "));
            calls += &format!("        \"{}/{state}\" => {module}::{state}::check::check(),\n", exercise.name);
        }
        modules += "}\n";
    }
    let main = format!(
        "{modules}\nfn main() -> std::process::ExitCode {{\n    let name = std::env::args().nth(1).unwrap_or_default();\n    \
         let result = match name.as_str() {{\n{calls}        _ => panic!(\"no such state: {{name}}\"),\n    }};\n    \
         let (Ok(line) | Err(line)) = &result;\n    println!(\"{{line}}\");\n    \
         std::process::ExitCode::from(u8::from(result.is_err()))\n}}\n"
    );
    fs::write(all.path.join("src/main.rs"), main).unwrap();
    all
}

/// Builds the crate as a check does, and returns its program. One compiler at a time: other tests, which measure times, run meanwhile.
fn build(folder: &Path) -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap());
    cargo
        .args(["build", "--quiet", "--profile", "quick", "--jobs", "1", "--message-format", "json"])
        .current_dir(folder);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", messages(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    let program = lines.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    program.expect("a program")
}

/// What the compiler says, as a person reads it.
fn messages(output: &Output) -> String {
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let texts = messages.filter_map(|message| message["message"]["rendered"].as_str().map(str::to_owned));
    texts.collect::<String>() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn every_program_fails_before_passes_after_and_refuses_a_wrong_fix() {
    // The same folder in each run, so that builds do not pile up.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exercises");
    let _ = fs::remove_dir_all(&folder);
    let all = crate_of_all(&folder);
    let program = build(&all.path);
    let mut wrong = Vec::new();
    for exercise in EXERCISES.iter().filter(|exercise| matches!(exercise.check, Check::Program { .. })) {
        for (state, _, passes) in states(exercise) {
            let name = format!("{}/{state}", exercise.name);
            let expected = if passes { Some(0) } else { Some(1) };
            let check = || Command::new(&program).arg(&name).output().unwrap();
            // A race may not happen the first time on a busy machine.
            let mut output = check();
            for _ in 1..5 {
                if passes || output.status.code() == expected {
                    break;
                }
                output = check();
            }
            let line = String::from_utf8_lossy(&output.stdout).into_owned();
            println!("{name}: {}", line.trim());
            if output.status.code() != expected || line.trim().is_empty() || line.contains("the check itself failed") {
                wrong.push(format!("{name}: {output:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn every_schedule_fails_before_passes_after_and_refuses_a_wrong_one() {
    let (folder, lab) = (tempfile::tempdir().unwrap(), lab("postgres").await);
    for exercise in EXERCISES.iter().filter(|exercise| matches!(exercise.check, Check::Schedule(_))) {
        let started = Folder::start(exercise, &folder.path().join(exercise.name)).unwrap();
        let checker = Checker::new(&started, Some(&lab)).await.unwrap();
        for (state, text, passes) in states(exercise) {
            fs::write(started.work(), text).unwrap();
            let outcome = checker.check(&started).await.unwrap();
            println!("{}/{state}: {outcome:?}", exercise.name);
            assert_eq!(matches!(outcome, Outcome::Passed(_)), passes, "{}/{state}: {outcome:?}", exercise.name);
        }
        for (text, why) in [
            ("A select B select", "is not a buyer and a statement"),
            ("A select", "is for two buyers, A and B"),
            (
                "A select · B select · A select · B select · A select · B select · A select · B select · A select",
                "at most",
            ),
        ] {
            fs::write(started.work(), text).unwrap();
            let outcome = checker.check(&started).await.unwrap();
            assert!(matches!(&outcome, Outcome::Failed(says) if says.contains(why)), "{text}: {outcome:?}");
        }
        checker.close(Some(&lab)).await.unwrap();
    }
}

/// A reader of the book finds each exercise in its chapter, and in the list.
#[test]
fn the_book_names_each_exercise() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src");
    let list = fs::read_to_string(book.join("exercises.md")).unwrap();
    let chapters = fs::read_dir(book.join("chapters")).unwrap().map(|entry| entry.unwrap().path());
    let chapters: Vec<_> = chapters.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    for exercise in &EXERCISES {
        assert!(list.contains(&format!("`{}`: ", exercise.name)), "{} is not in the list", exercise.name);
        let page = exercise.chapter.name().split_once('-').unwrap().0.to_owned() + "-";
        let is_of_chapter = |path: &Path| path.file_name().unwrap().to_str().unwrap().starts_with(&page);
        let start = format!("start {}`", exercise.name);
        let is_named = chapters.iter().any(|(path, text)| is_of_chapter(path) && text.contains(&start));
        assert!(is_named, "no page of {} says `{start}", exercise.chapter);
    }
}

/// The exhibits are read by people, so they look like the rest of the code.
#[test]
fn the_exercises_are_formatted() {
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders = fs::read_dir(clone.join("loadtest/exercises")).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|path| match fs::read_dir(&path) {
        Ok(files) => files.map(|file| file.unwrap().path()).collect(),
        Err(_) => vec![path],
    });
    let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect();
    assert!(files.len() > 50, "{files:?}");
    let mut rustfmt = Command::new("rustfmt");
    let output = rustfmt.args(["--check", "--edition", "2024", "--config-path"]).arg(clone).args(&files).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
