//! One table in three forms: text for the terminal, Markdown for README and book, HTML for the report.

use std::{fmt::Display, iter};

use anstyle::{AnsiColor, Style};
use maud::{Markup, html};

use super::{page::words, text::thousands};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// The mark of a cell or of a whole row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    None,
    Good,
    Bad,
    /// The result is invalid, neither good nor bad.
    Invalid,
}

impl Mark {
    /// The mark's style in the terminal, its quotes in Markdown, and its class in HTML.
    pub(super) const fn look(self) -> (Style, &'static str, Option<&'static str>) {
        match self {
            Mark::None => (Style::new(), "", None),
            Mark::Good => (AnsiColor::Green.on_default(), "", Some("good")),
            Mark::Bad => (AnsiColor::Red.on_default(), "**", Some("bad")),
            Mark::Invalid => (AnsiColor::Yellow.on_default(), "*", Some("invalid")),
        }
    }
}

/// A column. Width 0 hides it in the terminal. The report has all columns of the Markdown table, and those that the terminal
/// hides.
#[derive(Clone, Copy)]
pub(super) struct Column {
    head: &'static str,
    is_right: bool,
    width: usize,
    in_markdown: bool,
}

/// A column of text.
pub(super) const fn left(head: &'static str, width: usize) -> Column {
    Column { head, is_right: false, width, in_markdown: true }
}

/// A column of numbers.
pub(super) const fn right(head: &'static str, width: usize) -> Column {
    Column { is_right: true, ..left(head, width) }
}

impl Column {
    pub(super) const fn not_in_markdown(self) -> Column {
        Column { in_markdown: false, ..self }
    }

    fn in_report(&self) -> bool {
        self.in_markdown || self.width == 0
    }
}

/// A cell. Its lines are below each other in the terminal and joined elsewhere; the first line has the mark.
#[derive(Clone)]
pub(super) struct Cell {
    lines: Vec<String>,
    mark: Mark,
}

impl<T: Display> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { lines: vec![text.to_string()], mark: Mark::None }
    }
}

/// A cell with a number.
pub(super) fn count(n: i64) -> Cell {
    thousands(n).into()
}

/// A cell with a number that should be 0.
pub(super) fn unwanted(n: i64) -> Cell {
    count(n).marked(if n > 0 { Mark::Bad } else { Mark::None })
}

impl Cell {
    pub(super) fn marked(self, mark: Mark) -> Cell {
        Cell { mark, ..self }
    }

    /// Adds a line.
    pub(super) fn with(mut self, line: impl Display) -> Cell {
        self.lines.push(line.to_string());
        self
    }

    fn markdown(&self) -> String {
        let plain = |line: &String| line.replace('&', "&amp;").replace('<', "&lt;").replace('|', "\\|");
        let (mut lines, (_, quote, _)) = (self.lines.iter().map(plain).collect::<Vec<_>>(), self.mark.look());
        lines[0] = format!("{quote}{}{quote}", lines[0]);
        lines.join(": ")
    }
}

/// A column, and the function that fills its cell.
pub(super) type Shows<T> = (Column, fn(&T) -> Cell);

/// A row: its cells; a mark for the whole row, which overrides the cells' marks in the terminal; notes below it, only in the
/// terminal; and a link on its first cell, only in the report.
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    pub(super) mark: Mark,
    pub(super) notes: Vec<String>,
    pub(super) link: Option<String>,
}

impl Row {
    pub(super) fn new(cells: impl IntoIterator<Item = Cell>) -> Row {
        Row { cells: cells.into_iter().collect(), mark: Mark::None, notes: Vec::new(), link: None }
    }

    /// Builds a row by filling each column from `item`.
    pub(super) fn of<T>(columns: &[Shows<T>], item: &T) -> Row {
        Row::new(columns.iter().map(|(_, cell)| cell(item)))
    }
}

/// A table: its columns and rows.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn new(columns: impl IntoIterator<Item = Column>, rows: impl IntoIterator<Item = Row>) -> Table {
        Table { columns: columns.into_iter().collect(), rows: rows.into_iter().collect() }
    }

    /// The terminal's form: the heads and all rows.
    pub fn terminal(&self) -> String {
        let heads = self.columns.iter().map(|column| (BOLD, column.head.replace('`', "")));
        self.line(heads) + &self.lines()
    }

    /// The terminal's form without heads, for rows that are printed later.
    pub fn lines(&self) -> String {
        self.rows.iter().map(|row| self.lines_of(row)).collect()
    }

    fn lines_of(&self, row: &Row) -> String {
        let deepest = row.cells.iter().map(|cell| cell.lines.len()).max().unwrap_or_default();
        let line = |n: usize| {
            self.line(row.cells.iter().map(|cell| {
                let (style, ..) = if row.mark == Mark::None { cell.mark.look() } else { row.mark.look() };
                let style = if n == 0 && cell.lines.len() > 1 { style.bold() } else { style };
                (style, cell.lines.get(n).map_or("", String::as_str))
            }))
        };
        let notes = row.notes.iter().map(|note| format!("{DIM}  {note}{DIM:#}\n"));
        (0..deepest).map(line).chain(notes).collect()
    }

    fn line(&self, cells: impl Iterator<Item = (Style, impl Display)>) -> String {
        let shown = iter::zip(&self.columns, cells).filter(|(column, _)| column.width > 0);
        let cells = shown.map(|(&Column { width, is_right, .. }, (style, text))| match is_right {
            true => format!("{style}{text:>width$}{style:#}"),
            false => format!("{style}{text:<width$}{style:#}"),
        });
        cells.collect::<Vec<_>>().join(" ") + "\n"
    }

    /// The cells of these columns, each with its column.
    fn shown<'a>(&'a self, row: &'a Row, is_in: fn(&Column) -> bool) -> impl Iterator<Item = (&'a Column, &'a Cell)> {
        iter::zip(&self.columns, &row.cells).filter(move |(column, _)| is_in(column))
    }

    /// The Markdown form, for README and book.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | ")).replace("|  |", "| |");
        let columns: Vec<_> = self.columns.iter().filter(|column| column.in_markdown).collect();
        let rule: String = columns.iter().map(|column| if column.is_right { "--:|" } else { "---|" }).collect();
        let heads = line(columns.iter().map(|column| column.head.to_owned()).collect());
        let row = |row| line(self.shown(row, |column| column.in_markdown).map(|(_, cell)| cell.markdown()).collect());
        format!("{heads}|{rule}\n") + &self.rows.iter().map(row).collect::<String>()
    }

    /// The HTML form, for the report.
    pub(super) fn html(&self) -> Markup {
        html! {
            .wide { table {
                thead { tr { @for column in self.columns.iter().filter(|column| column.in_report()) { th data-words[!column.is_right] { (words(column.head)) } } } }
                tbody { @for row in &self.rows { tr class=[row.mark.look().2] {
                    @for (n, (column, cell)) in self.shown(row, Column::in_report).enumerate() {
                        @match &row.link {
                            _ if n > 0 => td class=[cell.mark.look().2] data-words[!column.is_right] { (cell.lines.join(": ")) },
                            Some(link) => th scope="row" { a href=(link) { (cell.lines.join(": ")) } },
                            None => th scope="row" { (cell.lines.join(": ")) },
                        }
                    }
                } } }
            } }
        }
    }
}

#[cfg(test)]
mod tests;
