//! One table in three forms: text for the terminal, Markdown for README and book, HTML for the report.

use std::{fmt::Display, iter};

use anstyle::{AnsiColor, Style};
use maud::{Markup, html};

use super::{
    page::words,
    text::{thousands, wrapped},
};

mod terminal;

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

    /// The head as the terminal shows it.
    fn title(&self) -> String {
        self.head.replace('`', "")
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

    /// The cell with lines of at most `room` characters.
    fn wrapped(&self, room: usize) -> Cell {
        Cell { lines: self.lines.iter().flat_map(|line| wrapped(line, room)).collect(), ..self.clone() }
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
    /// The number of columns at the left that say what a row is about.
    keys: usize,
}

impl Table {
    pub(super) fn new(columns: impl IntoIterator<Item = Column>, rows: impl IntoIterator<Item = Row>) -> Table {
        Table { columns: columns.into_iter().collect(), rows: rows.into_iter().collect(), keys: 1 }
    }

    /// With this number of key columns instead of one.
    pub(super) fn with_keys(self, keys: usize) -> Table {
        Table { keys, ..self }
    }

    /// The cells of these columns, each with its column.
    fn shown<'a>(&'a self, row: &'a Row, is_in: fn(&Column) -> bool) -> impl Iterator<Item = (&'a Column, &'a Cell)> {
        iter::zip(&self.columns, &row.cells).filter(move |(column, _)| is_in(column))
    }

    /// All tables in this form, with an empty line between them.
    pub fn all(tables: &[Table], form: impl Fn(&Table) -> String) -> String {
        tables.iter().map(form).collect::<Vec<_>>().join("\n")
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
