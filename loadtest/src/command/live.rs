//! The live screen of a run: it owns the terminal while the run plays, and gives it back in every case.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle, sleep},
    time::Duration,
};

use loadtest::{buyer::ending::Ending, render::screen};
use nix::sys::signal::{Signal, raise};
use ratatui::crossterm::event::{Event, KeyCode};

use super::terminal::{self, Canvas, Keyboard};

mod sampler;

pub(super) use self::sampler::Sampler;

/// The time between two pictures.
const EVERY: Duration = Duration::from_millis(100);

/// A screen that moves until it is dropped. A thread of its own draws it, so that it does not wait for the buyers.
pub(super) struct Screen {
    over: Arc<AtomicBool>,
    drawing: Option<JoinHandle<()>>,
}

impl Screen {
    /// Shows the screen; `None` if the terminal is too small for it, cannot be controlled, or belongs to another job.
    pub(super) fn open(sampler: Sampler, ending: &Ending) -> Option<Screen> {
        if !terminal::take(screen::fits) {
            return None;
        }
        let (over, ending) = (Arc::new(AtomicBool::new(false)), ending.clone());
        let is_over = over.clone();
        let drawing = thread::Builder::new().name("screen".into()).spawn(move || {
            let _ = draw(sampler, &ending, &is_over); // without a terminal there is nobody to tell
            terminal::leave(); // so that Ctrl-C is a signal again, if the run goes on without a screen
        });
        Some(Screen { over, drawing: drawing.ok() })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(drawing) = self.drawing.take() {
            let _ = drawing.join();
        }
        terminal::leave();
    }
}

/// Draws until the run is over, and obeys the keys.
fn draw(mut sampler: Sampler, ending: &Ending, is_over: &AtomicBool) -> io::Result<()> {
    let (mut canvas, mut keyboard) = (Canvas::new()?, Keyboard::open());
    while !is_over.load(Relaxed) {
        let numbers = sampler.sample();
        if !canvas.draw(|frame| screen::draw(frame, &numbers))? {
            break;
        }
        match &mut keyboard {
            Ok(keyboard) => keyboard.events(EVERY)?.iter().for_each(|event| obey(event, ending)),
            Err(_) => sleep(EVERY),
        }
    }
    Ok(())
}

/// `q` ends the run. The terminal no longer turns Ctrl-C into a signal, so it is sent from here.
fn obey(event: &Event, ending: &Ending) {
    match event.as_key_press_event() {
        Some(key) if terminal::is_ctrl_c(&key) => {
            let _ = raise(Signal::SIGINT);
        }
        Some(key) if key.code == KeyCode::Char('q') => ending.request(),
        Some(_) | None => {}
    }
}
