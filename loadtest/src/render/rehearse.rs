//! A rehearsal: one picture on a screen, the same as plain lines, and the list of cards.

use ratatui::{
    Frame,
    layout::{
        Constraint::{Fill, Length},
        Layout, Size,
    },
    style::{Style, Stylize},
    text::Line,
    widgets::Paragraph,
};

use super::{
    table::{Cell, Mark, Row, Table, left, right},
    text::{minutes, wrapped},
};
use crate::rehearse::{
    card::Card,
    deck::Deck,
    markdown::Block,
    session::in_days,
    view::{Ask, Clock, View},
};

/// The smallest terminal that a card is drawn on.
const SMALLEST: Size = Size { width: 40, height: 12 };
/// The most columns of a line of text: longer ones are hard to read.
const WIDEST: usize = 100;

/// Whether a terminal of this size has room for a card.
pub fn fits(size: Size) -> bool {
    size.width >= SMALLEST.width && size.height >= SMALLEST.height
}

/// What part of a long card is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scroll {
    /// Lines above the screen; `None` to show where the answer begins.
    pub down: Option<usize>,
    /// Columns of drawings to the left of the screen.
    pub right: usize,
}

/// Draws one picture. Sets `scroll` to what is shown.
pub fn draw(frame: &mut Frame, view: &View, scroll: &mut Scroll) {
    let all = frame.area();
    if !fits(all.as_size()) {
        frame.render_widget(Paragraph::new("Too small: 40 × 12 are needed. q ends."), all);
        return;
    }
    let asks = asks(&view.ask);
    let heights = [Length(1), Length(1), Length(1), Fill(1), Length(1), Length(asks.len() as u16)];
    let [title, progress, _, body, more, keys] = Layout::vertical(heights).areas(all);
    frame.render_widget(Line::from(view.heading.as_str()).bold(), title);
    if let Some(clock) = &view.clock {
        let style = if clock.is_over() { Style::new().red().bold() } else { Style::new() };
        let clock = Line::styled(format!("  {}", time(clock)), style);
        let [_, right] = Layout::horizontal([Fill(1), Length(clock.width() as u16)]).areas(title);
        frame.render_widget(clock, right);
    }
    frame.render_widget(Line::from(view.progress.as_str()).dim(), progress);

    let (width, height) = (usize::from(body.width), usize::from(body.height));
    let (cue, answer) = (lines(&view.cue, width.min(WIDEST)), lines(&view.answer, width.min(WIDEST)));
    let answer_at = if answer.is_empty() { 0 } else { cue.len() + 1 };
    let gap = Some(Written::Text(String::new())).filter(|_| !answer.is_empty());
    let count = cue.len();
    let written: Vec<_> = cue.into_iter().chain(gap).chain(answer).collect();
    let widest = written.iter().map(Written::drawn).max().unwrap_or_default();
    scroll.right = scroll.right.min(widest.saturating_sub(width));
    let last = written.len().saturating_sub(height);
    scroll.down = Some(scroll.down.unwrap_or(answer_at.min(last)).min(last));
    let top = scroll.down.unwrap_or_default();
    let shown = written.iter().enumerate().skip(top).take(height).map(|(n, line)| {
        let line = line.styled(scroll.right);
        if n < count { line.bold() } else { line }
    });
    frame.render_widget(Paragraph::new(shown.collect::<Vec<_>>()), body);
    let arrows = [(top > 0, "↑"), (top < last, "↓ more"), (widest > width, "←→ the drawing is wider")];
    let arrows: Vec<_> = arrows.into_iter().filter_map(|(is, arrow)| is.then_some(arrow)).collect();
    frame.render_widget(Line::from(arrows.join("  ")).dim(), more);
    let asks: Vec<_> = asks.into_iter().map(|line| Line::from(line).dim()).collect();
    frame.render_widget(Paragraph::new(asks), keys);
}

/// A line of a card.
enum Written {
    Text(String),
    /// Of a drawing, which is not wrapped but can be moved.
    Drawing(String),
}

impl Written {
    /// The columns of a line of a drawing.
    fn drawn(&self) -> usize {
        match self {
            Written::Text(_) => 0,
            Written::Drawing(line) => line.chars().count(),
        }
    }

    fn styled(&self, column: usize) -> Line<'static> {
        match self {
            Written::Text(line) => Line::from(line.clone()),
            Written::Drawing(line) => Line::from(line.chars().skip(column).collect::<String>()).cyan(),
        }
    }
}

fn lines(blocks: &[Block], columns: usize) -> Vec<Written> {
    let mut lines = Vec::new();
    for (n, block) in blocks.iter().enumerate() {
        let is_list = |n: usize| matches!(blocks.get(n), Some(Block::Item(_)));
        if n > 0 && !(is_list(n) && is_list(n - 1)) {
            lines.push(Written::Text(String::new()));
        }
        match block {
            Block::Text(text) => lines.extend(wrapped(text, columns).into_iter().map(Written::Text)),
            Block::Item(text) => {
                let wrapped = wrapped(text, columns.saturating_sub(2)).into_iter().enumerate();
                lines.extend(
                    wrapped.map(|(n, line)| Written::Text(format!("{}{line}", if n == 0 { "- " } else { "  " }))),
                );
            }
            Block::Verbatim(text) => {
                lines.extend(text.iter().flat_map(|line| verbatim(line, columns)).map(Written::Drawing));
            }
        }
    }
    lines
}

/// A line of a drawing as it is. A command that is too wide continues on the next line, as a shell reads it; what is said about it
/// stands above it then.
fn verbatim(line: &str, columns: usize) -> Vec<String> {
    let is_command = ["cargo ", "make "].iter().any(|program| line.starts_with(program));
    if !is_command || line.chars().count() <= columns {
        return vec![line.into()];
    }
    let (command, about) = line.split_once(" # ").unwrap_or((line, ""));
    let about = wrapped(about, columns.saturating_sub(2)).into_iter().filter(|part| !part.is_empty());
    let mut lines: Vec<_> = about.map(|part| format!("# {part}")).collect();
    let parts = wrapped(command.trim_end(), columns.saturating_sub(4));
    let last = parts.len().saturating_sub(1);
    lines.extend(parts.iter().enumerate().map(|(n, part)| {
        let (indent, more) = (if n == 0 { "" } else { "  " }, if n == last { "" } else { " \\" });
        format!("{indent}{part}{more}")
    }));
    lines
}

/// What the reader can do, in words.
fn asks(ask: &Ask) -> Vec<String> {
    match ask {
        Ask::GoOn(what) => vec![format!("Enter: {what} · q: end")],
        Ask::Mark { unclear } => {
            let again = unclear.then(|| "Type y or n.".into());
            again.into_iter().chain(["y: had it · n: missed it · q: end".into()]).collect()
        }
        Ask::Wait => vec!["q: end".into()],
        Ask::Predict { typed, refused } => vec![
            format!("Your prediction: {typed}▏"),
            match refused {
                Some(why) => format!("This is {why}."),
                None => "Enter: play the run · Enter alone: skip it".into(),
            },
        ],
    }
}

fn time(clock: &Clock) -> String {
    format!("{} / {}", minutes(clock.spent), minutes(clock.limit))
}

/// The blocks as plain lines, at most `columns` wide; drawings are as they are.
pub fn plain(blocks: &[Block], columns: usize) -> String {
    let text = |line: Written| match line {
        Written::Text(line) | Written::Drawing(line) => line + "\n",
    };
    lines(blocks, columns.min(WIDEST)).into_iter().map(text).collect()
}

/// What the reader can do, as the last plain line before the answer.
pub fn plain_ask(ask: &Ask) -> Option<String> {
    match ask {
        Ask::Wait => None,
        Ask::Predict { refused, .. } => {
            let why = refused.map_or(String::new(), |why| format!("This is {why}.\n"));
            Some(format!("{why}Your prediction, or nothing to skip it · q: end"))
        }
        Ask::GoOn(_) | Ask::Mark { .. } => Some(asks(ask).join("\n")),
    }
}

/// All cards, with when each is due.
pub fn list(cards: &[Card], deck: &Deck, now: u64) -> Table {
    let columns = [left("card", 4), left("title", 46), left("due", 10), right("missed", 6)];
    let rows = cards.iter().map(|card| {
        let due = match deck.is_due(card.number, now) {
            true if deck.is_new(card.number) => Cell::from("new"),
            true => Cell::from("now").marked(Mark::Bad),
            false => Cell::from(in_days(deck.days_until(card.number, now))).marked(Mark::Good),
        };
        Row::new([card.number.into(), card.title.as_str().into(), due, deck.of(card.number).missed.len().into()])
    });
    Table::new(columns, rows)
}

#[cfg(test)]
mod tests;
