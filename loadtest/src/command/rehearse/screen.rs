//! A rehearsal on the whole terminal.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use loadtest::{
    rehearse::{session::Session, sitting::Key},
    render::rehearse::{Scroll, draw},
};
use nix::sys::signal::{Signal, raise};
use ratatui::crossterm::event::{Event, KeyCode, KeyModifiers};

use super::Reader;
use crate::command::terminal::{self, Canvas, Keyboard};

/// The time between two pictures, of which the clock is one.
const EVERY: Duration = Duration::from_millis(100);
/// The place where each picture begins.
const START: Scroll = Scroll { down: None, right: 0 };

/// Gives the terminal back, whatever happens.
struct Taken;

impl Drop for Taken {
    fn drop(&mut self) {
        terminal::leave();
    }
}

/// Draws, and obeys the keys. The terminal has been taken.
pub(super) fn rehearse(mut reader: Reader, stop: &AtomicBool) -> anyhow::Result<Session> {
    let taken = Taken;
    let (mut canvas, mut keyboard) = (Canvas::new()?, Keyboard::open()?);
    let (mut scroll, mut before) = (START, None);
    'pictures: while !stop.load(Relaxed) {
        let Some(view) = reader.view() else { break };
        let shown = Some((view.cue.clone(), view.answer.clone()));
        if shown != before {
            (scroll, before) = (START, shown);
        }
        if !canvas.draw(|frame| draw(frame, &view, &mut scroll))? {
            break;
        }
        let Ok(events) = keyboard.events(EVERY) else { break }; // the terminal was closed
        for event in events {
            if obey(&event, &mut reader, &mut scroll)? {
                break 'pictures;
            }
        }
    }
    drop(taken);
    Ok(reader.end())
}

/// Obeys a key. Returns whether the session is over. The terminal no longer turns Ctrl-C into a signal, so it is sent from here.
fn obey(event: &Event, reader: &mut Reader, scroll: &mut Scroll) -> anyhow::Result<bool> {
    let Some(key) = event.as_key_press_event() else { return Ok(false) };
    let down = scroll.down.unwrap_or_default();
    match key.code {
        _ if terminal::is_ctrl_c(&key) => {
            let _ = raise(Signal::SIGINT);
        }
        KeyCode::Up => scroll.down = Some(down.saturating_sub(1)),
        KeyCode::Down => scroll.down = Some(down + 1),
        KeyCode::PageUp => scroll.down = Some(down.saturating_sub(10)),
        KeyCode::PageDown => scroll.down = Some(down + 10),
        KeyCode::Left => scroll.right = scroll.right.saturating_sub(8),
        KeyCode::Right => scroll.right += 8,
        KeyCode::Enter => return reader.press(Key::Enter),
        KeyCode::Backspace => return reader.press(Key::Backspace),
        KeyCode::Esc => return reader.press(Key::Char('q')),
        KeyCode::Char(c) if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => {
            return reader.press(Key::Char(c));
        }
        _ => {}
    }
    Ok(false)
}
