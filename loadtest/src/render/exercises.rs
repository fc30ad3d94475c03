//! The list of exercises, and their texts on a terminal.

use super::table::{Cell, Row, Table, left};
use crate::{
    exercise::{Check, Exercise},
    version::VERSIONS,
};

/// A row for each exercise, with what it asks below it.
pub fn table(exercises: &[Exercise]) -> Table {
    let columns = [left("exercise", 15), left("chapter", 7), left("kind", 8)];
    Table::new(columns, exercises.iter().map(row))
}

fn row(exercise: &Exercise) -> Row {
    let chapter = VERSIONS.iter().take_while(|version| **version != exercise.chapter).count() + 1;
    let needs = match exercise.check {
        Check::Program { .. } => "",
        Check::Schedule(_) => " It needs PostgreSQL.",
    };
    let cells = [Cell::from(exercise.name), Cell::from(chapter), Cell::from(exercise.kind)];
    Row { notes: vec![format!("{}{needs}", exercise.asks())], ..Row::new(cells) }
}

/// The paragraphs and list items of a Markdown text, each as one line, without marks. An empty line stands between two blocks.
pub fn paragraphs(markdown: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for block in markdown.trim().split("\n\n") {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let first = lines.len();
        for line in block.lines().map(|line| line.trim().trim_start_matches("# ")) {
            match lines.get_mut(first..).and_then(<[String]>::last_mut) {
                Some(last) if !line.starts_with("- ") => *last += &format!(" {line}"),
                _ => lines.push(line.into()),
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise::catalogue::EXERCISES;

    #[test]
    fn a_block_is_a_line_and_so_is_each_item() {
        let lines = paragraphs("# Title\n\nOne line,\nand another.\n\n- one\n  item\n- two\n");
        assert_eq!(lines, ["Title", "", "One line, and another.", "", "- one item", "- two"]);
    }

    #[test]
    fn the_list_fits_forty_columns() {
        let list = table(&EXERCISES).terminal(40);
        let plain = anstream::adapter::strip_str(&list).to_string();
        assert!(plain.lines().all(|line| line.trim_end().chars().count() <= 40), "{plain}");
        for part in ["greedy-client", "It needs"] {
            assert!(plain.contains(part), "{part}: {plain}");
        }
    }
}
