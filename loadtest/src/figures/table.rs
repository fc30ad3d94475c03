//! Tables in a page: finds the one that a record's rows belong to.

use std::ops::Range;

/// The rows of each table of a page, without its head, as ranges of the text. A table is a block of lines that begin with `|`.
fn bodies(text: &str) -> Vec<Range<usize>> {
    let mut bodies = Vec::new();
    let (mut at, mut lines_before, mut body) = (0, 0, None);
    for line in text.split_inclusive('\n').chain(["\n"]) {
        if line.starts_with('|') {
            lines_before += 1;
            if lines_before == 3 {
                body = Some(at);
            }
        } else {
            bodies.extend(body.take().map(|start| start..at));
            lines_before = 0;
        }
        at += line.len();
    }
    bodies
}

/// The first cells of rows: what a table is about.
fn first_cells<'a>(rows: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    rows.map(|row| row.split('|').nth(1).unwrap_or_default().trim()).collect()
}

/// The rows of the first table after `from` that is about the same as these rows.
pub(super) fn like(rows: &[&str], text: &str, from: usize) -> Option<Range<usize>> {
    let wanted = first_cells(rows.iter().copied());
    bodies(text).into_iter().find(|body| body.start >= from && first_cells(text[body.clone()].lines()) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_by_its_first_cells() {
        let text = "# x\n\n| a | b |\n|---|---|\n| v1 | 1 |\n| v2 | 2 |\n\nand\n\n| c |\n|---|\n| v1 |\n| v2 |";
        let found = |rows: &[&str], from| like(rows, text, from).map(|range| &text[range]);
        let rows = ["| v1 | 3 |", "| v2 | 4 |"];
        assert_eq!(found(&rows, 0), Some("| v1 | 1 |\n| v2 | 2 |\n"));
        assert_eq!(found(&rows, 30), Some("| v1 |\n| v2 |"));
        assert_eq!(found(&["| v1 | 3 |"], 0), None);
        assert_eq!(found(&rows, text.len()), None);
    }
}
