//! Do the checks notice a shop with a seeded bug?

use std::{fs, path::Path, process::Command};

use loadtest::{
    mutant::Mutant,
    record::mutants::{Cell, Colour, Mutants},
    scenario::{SCENARIOS, Scenario},
};

use crate::support::loadtest;

/// Whether the machine was too busy for the correct shop: only times were wrong.
fn was_slow(cell: &Cell) -> bool {
    let is_about_time = matches!(cell.scenario, Scenario::Bystander | Scenario::Flood | Scenario::Office);
    is_about_time && cell.noticed.iter().all(|word| word == "figure" || word.ends_with(" undersold"))
}

#[test]
#[ignore = "takes some minutes: make test"]
fn each_mutant_is_noticed_where_it_has_to_be_and_the_right_shop_holds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mutants.json");
    let output = Command::new(loadtest())
        .args(["mutants", "--database", "sqlite", "--json"])
        .arg(&file)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(file.exists(), "{}", String::from_utf8_lossy(&output.stderr));
    let mutants = Mutants::read(&file).unwrap().figures.mutants;
    assert_eq!(mutants.len(), 13 * SCENARIOS.len());
    let wrong: Vec<_> = mutants.iter().filter(|cell| !cell.is_expected()).collect();
    // Three columns measure time, and this is a debug build on a busy machine. A mutant that no scenario notices is never the
    // machine's fault.
    assert!(wrong.iter().all(|cell| cell.colour == Colour::Red && was_slow(cell)), "{wrong:?}");
    assert_eq!(output.status.code(), Some(if wrong.is_empty() { 0 } else { 2 }), "{output:?}");
}

/// One check is not enough: a shop that only says `sold-out` must fail, and the command reports it.
#[test]
fn a_shop_that_sells_nothing_is_noticed() {
    let args = ["mutants", "always-sold-out", "--database", "sqlite"];
    let output = Command::new(loadtest()).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("undersold") && !table.contains("holds "), "{table}");
}

#[test]
fn the_books_table_is_the_commands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join("docs/results/mutants.json");
    let mutants = Mutants::read(&file).unwrap();
    let all_expected = mutants.mutants.iter().all(|cell| cell.is_expected());
    assert!(all_expected && mutants.mutants[0].mutant == Mutant::Right);
    let page = fs::read_to_string(root.join("docs/src/mutants.md")).unwrap();
    assert!(
        page.contains(&loadtest::render::mutants::table(&mutants.mutants).markdown()),
        "report --markdown prints another table"
    );
}
