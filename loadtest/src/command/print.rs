//! What commands print.
//!
//! The reader may have gone: `| head -1` closes the pipe, and a closed terminal refuses every line. That must not keep a run from its
//! audit and its files, so `print`, `say` and `note` drop what cannot be written.

use std::{
    fmt::Display,
    io::{self, ErrorKind, IsTerminal, Write},
};

use loadtest::render::text::wrapped;
use ratatui::crossterm::terminal::size;

/// Prints a text to standard output, without its colours if that is no terminal.
pub(crate) fn print(text: impl Display) {
    let _ = write!(anstream::stdout(), "{text}");
}

/// Prints a line to standard output. On a terminal, it is wrapped between words.
pub(crate) fn say(line: impl Display) {
    print(lines(line, room()));
}

/// Prints a line to standard error. On a terminal, it is wrapped between words.
pub(crate) fn note(line: impl Display) {
    let _ = write!(io::stderr(), "{}", lines(line, columns(&io::stderr())));
}

/// Prints the text that is the result of a command.
///
/// # Errors
/// It cannot be written, for example because the disk is full. A reader who has gone is no error.
pub(crate) fn result(text: impl Display) -> io::Result<()> {
    let mut out = anstream::stdout();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => Err(why),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The columns of the terminal; without limit if standard output is none.
pub(crate) fn room() -> usize {
    columns(&io::stdout())
}

fn columns(output: &impl IsTerminal) -> usize {
    let size = output.is_terminal().then(|| size().ok()).flatten();
    size.map_or(usize::MAX, |(columns, _)| columns.max(1).into())
}

/// The text with line ends, each line wrapped.
fn lines(text: impl Display, columns: usize) -> String {
    let text = text.to_string();
    text.lines().flat_map(|line| wrapped(line, columns)).map(|line| line + "\n").collect()
}
