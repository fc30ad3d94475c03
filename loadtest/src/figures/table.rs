//! Tables in a page: finds the rows that those of a record replace.

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

/// What a row is about, and the number of its cells.
fn subject(row: &str) -> (&str, usize) {
    (row.split('|').nth(1).unwrap_or_default().trim(), row.matches('|').count())
}

/// The first rows from `from` on that follow each other in a table and are about the same as these, with as many cells.
pub(super) fn like(rows: &[&str], text: &str, from: usize) -> Option<Range<usize>> {
    let wanted: Vec<_> = rows.iter().map(|row| subject(row)).collect();
    bodies(text).into_iter().find_map(|body| {
        let mut starts = vec![body.start];
        starts.extend(text[body.clone()].match_indices('\n').map(|(at, _)| body.start + at + 1));
        let found = |part: &&[usize]| {
            let lines = text[part[0]..part[rows.len()]].lines();
            part[0] >= from && lines.map(subject).eq(wanted.iter().copied())
        };
        starts.windows(rows.len() + 1).find(found).map(|part| part[0]..part[rows.len()])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_first_cells() {
        let text =
            "# x\n\n| a | b |\n|---|---|\n| v1 | 1 |\n| v2 | 2 |\n\nand\n\n| c |\n|---|\n| v1 |\n| v2 |\n| v3 |\n";
        let found = |rows: &[&str], from| like(rows, text, from).map(|range| &text[range]);
        let rows = ["| v1 | 3 |", "| v2 | 4 |"];
        let short = ["| v1 |", "| v2 |"];
        assert_eq!(found(&rows, 0), Some("| v1 | 1 |\n| v2 | 2 |\n"));
        assert_eq!(found(&short, 0), Some("| v1 |\n| v2 |\n"));
        assert_eq!(found(&["| v3 |"], 0), Some("| v3 |\n"));
        assert_eq!(found(&["| v2 |", "| v1 |"], 0), None);
        assert_eq!(found(&rows, 30), None);
    }
}
