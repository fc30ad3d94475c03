//! A rehearsal in plain lines: for a pipe, and for a terminal without room for a screen.

use std::{
    io::{Write, stdin},
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread::{self, sleep},
    time::Duration,
};

use loadtest::{
    rehearse::{
        session::Session,
        sitting::Key,
        view::{Ask, View},
    },
    render::rehearse::{plain, plain_ask},
};

use super::Reader;
use crate::command::print::{note, print, room, say};

/// The time between two looks at the clock, at a run, and at Ctrl-C.
const EVERY: Duration = Duration::from_millis(50);

/// Prints what is new, and obeys one line after the other.
pub(super) fn rehearse(mut reader: Reader, stop: &AtomicBool) -> anyhow::Result<Session> {
    let (lines, mut before, mut is_asked, mut is_late) = (lines(), None, false, false);
    while !stop.load(Relaxed) {
        let Some(view) = reader.view() else { break };
        is_asked &= !show(before.as_ref(), &view);
        if !is_asked && let Some(asks) = plain_ask(&view.ask) {
            say(asks);
            print("> ");
            let _ = std::io::stdout().flush();
            is_asked = true;
        }
        if let Some(clock) = view.clock.filter(|clock| clock.is_over() && !is_late) {
            say(format_args!("\n{} minutes are over.", clock.limit.as_secs() / 60));
        }
        is_late = view.clock.is_some_and(|clock| clock.is_over());
        let ask = view.ask.clone();
        before = Some(view);
        if ask == Ask::Wait {
            sleep(EVERY); // lines that are typed meanwhile answer what follows
            continue;
        }
        match lines.recv_timeout(EVERY) {
            Ok(line) if obey(&mut reader, &ask, line.trim())? => break,
            Ok(_) => is_asked = false,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                note("The input has ended, and so does the rehearsal.");
                break;
            }
        }
    }
    if stop.load(Relaxed) {
        print("\n"); // after ^C
    }
    Ok(reader.end())
}

/// The lines of standard input. A thread reads them, because a read cannot be interrupted. It does not keep the program from its end.
fn lines() -> Receiver<String> {
    let (send, lines) = channel();
    thread::spawn(move || {
        let mut all = stdin().lines().map_while(Result::ok);
        all.try_for_each(|line| send.send(line))
    });
    lines
}

/// Prints what was not shown before. Returns whether there was anything.
fn show(before: Option<&View>, view: &View) -> bool {
    let is_new_card = before.is_none_or(|before| before.heading != view.heading);
    let is_new_cue = is_new_card || before.is_none_or(|before| before.cue != view.cue);
    let is_new_answer =
        !view.answer.is_empty() && before.is_none_or(|before| is_new_cue || before.answer != view.answer);
    if is_new_card {
        say(format_args!("\n== {} == {}", view.heading, view.progress));
    }
    if is_new_cue {
        print(format_args!("\n{}", plain(&view.cue, room())));
    }
    if is_new_answer {
        print(format_args!("\n{}\n", plain(&view.answer, room())));
    }
    is_new_cue || is_new_answer
}

/// Obeys a line. Returns whether the session is over.
fn obey(reader: &mut Reader, ask: &Ask, line: &str) -> anyhow::Result<bool> {
    let typed = line.chars().map(Key::Char);
    let keys: Vec<Key> = match ask {
        Ask::Predict { typed: before, .. } => {
            let cleared = before.chars().map(|_| Key::Backspace); // a line is typed as a whole
            cleared.chain(typed).chain([Key::Enter]).collect()
        }
        Ask::Mark { .. } => typed.chain([Key::Enter]).take(1).collect(),
        Ask::GoOn(_) if line.starts_with('q') => vec![Key::Char('q')],
        Ask::GoOn(_) | Ask::Wait => vec![Key::Enter],
    };
    for key in keys {
        if reader.press(key)? {
            return Ok(true);
        }
    }
    Ok(false)
}
