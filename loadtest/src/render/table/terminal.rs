//! A table on a terminal. A table that is wider than the terminal is shown in one of two ways. Rows that are printed one by one continue on
//! further lines. A table that is printed at once is cut into blocks, one below the other.

use std::fmt::Display;

use anstyle::Style;

use super::{Column, Mark, Row, Table};
use crate::render::text::wrapped;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// How far notes and the further lines of a row are indented.
const INDENT: usize = 2;
/// The narrowest column of a block that is cut. On a terminal without room for it, lines are longer than the terminal.
const LEAST: usize = 16;

/// The columns of a line, by number.
type Line = Vec<usize>;

impl Table {
    /// The form for a terminal of `room` columns: the heads and all rows. If the table is wider, in blocks that each begin with the key
    /// columns.
    pub fn terminal(&self, room: usize) -> String {
        match self.folded(room).len() {
            0 | 1 => self.heads(room) + &self.lines(room),
            _ => self.blocks(room).join("\n"),
        }
    }

    /// The heads for a terminal of `room` columns, for rows that are printed later.
    pub fn heads(&self, room: usize) -> String {
        let folded = self.folded(room).into_iter().enumerate();
        let head = |n: usize| (&self.columns[n], BOLD, self.columns[n].title());
        folded.map(|(n, columns)| line(n, columns.into_iter().map(head))).collect()
    }

    /// The rows without heads, for a terminal of `room` columns.
    pub fn lines(&self, room: usize) -> String {
        let folded = self.folded(room);
        self.rows.iter().map(|row| self.lines_of(row, &folded, room)).collect()
    }

    /// A row: a line for each of these, or several if a cell has several.
    fn lines_of(&self, row: &Row, folded: &[Line], room: usize) -> String {
        let (mut text, room) = (String::new(), room.saturating_sub(INDENT));
        for (n, columns) in folded.iter().enumerate() {
            let cells = columns.iter().map(|&n| {
                let column = &self.columns[n];
                let room = match () {
                    () if folded.len() == 1 || column.is_right => usize::MAX,
                    () if columns.len() == 1 => room,
                    () => column.width,
                };
                (column, row.cells[n].wrapped(room))
            });
            let cells: Vec<_> = cells.collect();
            let deepest = cells.iter().map(|(_, cell)| cell.lines.len()).max().unwrap_or_default();
            for depth in 0..deepest {
                text += &line(
                    n,
                    cells.iter().map(|(column, cell)| {
                        let (style, ..) = if row.mark == Mark::None { cell.mark.look() } else { row.mark.look() };
                        let style = if depth == 0 && cell.lines.len() > 1 { style.bold() } else { style };
                        (*column, style, cell.lines.get(depth).map_or("", String::as_str))
                    }),
                );
            }
        }
        for note in row.notes.iter().flat_map(|note| wrapped(note, room)) {
            text += &format!("{DIM}{:INDENT$}{note}{DIM:#}\n", "");
        }
        text
    }

    /// The lines of a row: one if all columns fit.
    fn folded(&self, room: usize) -> Vec<Line> {
        let shown = (0..self.columns.len()).filter(|n| self.columns[*n].width > 0);
        let shown: Vec<_> = shown.map(|n| (n, self.columns[n].width)).collect();
        let all = shown.iter().map(|(_, width)| width + 1).sum::<usize>();
        distribute(shown, if all <= room.saturating_add(1) { room } else { room.saturating_sub(INDENT) })
    }

    /// Blocks of columns that fit, each as narrow as its texts allow.
    fn blocks(&self, room: usize) -> Vec<String> {
        let keys = (0..self.keys).map(|n| self.widest(n) + 1).sum::<usize>();
        let beside = room.saturating_sub(keys).max(LEAST);
        let shown = (self.keys..self.columns.len()).filter(|n| self.columns[*n].width > 0);
        let mut blocks = distribute(shown.map(|n| (n, self.widest(n).min(beside))), beside);
        let last = blocks.pop().unwrap_or_default();
        let block = |columns: Line, has_notes: bool| {
            let columns: Line = (0..self.keys).chain(columns).collect();
            let width = |n| if n < self.keys { self.widest(n) } else { self.widest(n).min(beside) };
            let row = |row: &Row| Row {
                mark: row.mark,
                notes: if has_notes { row.notes.clone() } else { Vec::new() },
                ..Row::new(columns.iter().map(|&n| row.cells[n].wrapped(width(n))))
            };
            let fitted = columns.iter().map(|&n| Column { width: width(n), ..self.columns[n] });
            let block = Table::new(fitted, self.rows.iter().map(row));
            let folded = block.folded(usize::MAX);
            let rows = block.rows.iter().map(|row| block.lines_of(row, &folded, room));
            block.heads(usize::MAX) + &rows.collect::<String>()
        };
        let mut blocks: Vec<_> = blocks.into_iter().map(|columns| block(columns, false)).collect();
        blocks.push(block(last, true));
        blocks
    }

    /// The width of the longest text in a column.
    fn widest(&self, n: usize) -> usize {
        let lines = self.rows.iter().flat_map(|row| &row.cells[n].lines).map(|line| line.chars().count());
        lines.chain([self.columns[n].title().chars().count()]).max().unwrap_or_default()
    }
}

/// The `n`-th line of a row. All but the first are indented.
fn line<'a, T: Display>(n: usize, cells: impl Iterator<Item = (&'a Column, Style, T)>) -> String {
    let indent = if n == 0 { 0 } else { INDENT };
    let cells = cells.map(|(&Column { width, is_right, .. }, style, text)| match is_right {
        true => format!("{style}{text:>width$}{style:#}"),
        false => format!("{style}{text:<width$}{style:#}"),
    });
    format!("{:indent$}{}\n", "", cells.collect::<Vec<_>>().join(" "))
}

/// Distributes columns of these widths over lines of `room` characters, in their order.
fn distribute(columns: impl IntoIterator<Item = (usize, usize)>, room: usize) -> Vec<Line> {
    let (mut lines, mut left): (Vec<Line>, _) = (Vec::new(), 0);
    for (n, width) in columns {
        match lines.last_mut() {
            Some(line) if width < left => {
                line.push(n);
                left -= width + 1;
            }
            _ => {
                lines.push(vec![n]);
                left = room.saturating_sub(width);
            }
        }
    }
    lines
}
