//! The live screen of a run: it owns the terminal while the run plays, and gives it back in every case.

use std::{
    fs::File,
    io::{self, ErrorKind, IsTerminal, stdin, stdout},
    os::fd::AsFd,
    panic,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle, sleep},
    time::Duration,
};

use loadtest::{buyer::ending::Ending, render::screen};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
    sys::signal::{Signal, raise},
    unistd::{getpgrp, tcgetpgrp},
};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        event::{self, Event, KeyCode, KeyEvent, KeyModifiers},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size},
    },
};

mod sampler;

pub(super) use self::sampler::Sampler;

/// The time between two pictures.
const EVERY: Duration = Duration::from_millis(100);

/// Whether the screen is shown. Whoever draws or leaves holds the lock, so that nothing is drawn after the screen was left.
static SHOWN: Mutex<bool> = Mutex::new(false);

/// A screen that moves until it is dropped. A thread of its own draws it, so that it does not wait for the buyers.
pub(super) struct Screen {
    over: Arc<AtomicBool>,
    drawing: Option<JoinHandle<()>>,
}

impl Screen {
    /// Shows the screen; `None` if the terminal is too small for it, cannot be controlled, or belongs to another job. The system would
    /// stop a background job that takes the terminal.
    pub(super) fn open(sampler: Sampler, ending: &Ending) -> Option<Screen> {
        let (columns, rows) = size().ok()?;
        let is_in_background = tcgetpgrp(stdout()).is_ok_and(|foreground| foreground != getpgrp());
        if is_in_background || !screen::fits((columns, rows).into()) || enter().is_err() {
            leave();
            return None;
        }
        let (over, ending) = (Arc::new(AtomicBool::new(false)), ending.clone());
        let is_over = over.clone();
        let drawing = thread::Builder::new().name("screen".into()).spawn(move || {
            let _ = draw(sampler, &ending, &is_over); // without a terminal there is nobody to tell
            leave(); // so that Ctrl-C is a signal again, if the run goes on without a screen
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
        leave();
    }
}

/// Whether the screen is shown, so that a printed line would tear it.
pub(super) fn is_shown() -> bool {
    SHOWN.lock().is_ok_and(|shown| *shown)
}

fn enter() -> io::Result<()> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |why| {
            leave(); // so that the message can be read
            before(why);
        }));
    });
    let mut shown = SHOWN.lock().map_err(|_| io::Error::other("the screen has failed before"))?;
    *shown = true;
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide)
}

/// Gives the terminal back as it was.
fn leave() {
    // A panic while drawing holds the lock already, and nothing is drawn after it.
    let was_shown = match SHOWN.try_lock() {
        Ok(mut shown) => std::mem::take(&mut *shown),
        Err(_) => true,
    };
    if was_shown {
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Draws until the run is over, and obeys the keys.
fn draw(mut sampler: Sampler, ending: &Ending, is_over: &AtomicBool) -> io::Result<()> {
    let (mut terminal, keyboard) = (Terminal::new(CrosstermBackend::new(stdout()))?, keyboard());
    while !is_over.load(Relaxed) {
        let numbers = sampler.sample();
        match SHOWN.lock() {
            Ok(shown) if *shown => terminal.draw(|frame| screen::draw(frame, &numbers))?,
            Ok(_) | Err(_) => break,
        };
        match &keyboard {
            Ok(keyboard) => obey_keys(keyboard, ending)?,
            Err(_) => sleep(EVERY),
        }
    }
    Ok(())
}

/// The terminal that keys come from, as crossterm finds it.
fn keyboard() -> io::Result<File> {
    match stdin().is_terminal() {
        true => stdin().as_fd().try_clone_to_owned().map(File::from),
        false => File::open("/dev/tty"),
    }
}

/// Obeys keys until the next picture is due. crossterm would read from a closed terminal for ever, so it is asked only if there is
/// something to read.
fn obey_keys(keyboard: &File, ending: &Ending) -> io::Result<()> {
    let mut keyboard = [PollFd::new(keyboard.as_fd(), PollFlags::POLLIN)];
    match poll(&mut keyboard, EVERY.as_millis() as u16) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(why) => return Err(why.into()),
    }
    match keyboard[0].revents() {
        Some(PollFlags::POLLIN) => {}
        Some(events) if !events.is_empty() => return Err(ErrorKind::BrokenPipe.into()),
        Some(_) | None => return Ok(()),
    }
    while event::poll(Duration::ZERO)? {
        obey(&event::read()?, ending);
    }
    Ok(())
}

/// `q` ends the run. The terminal no longer turns Ctrl-C into a signal, so it is sent from here.
fn obey(event: &Event, ending: &Ending) {
    match event.as_key_press_event() {
        Some(KeyEvent { code: KeyCode::Char('q'), .. }) => ending.request(),
        Some(KeyEvent { code: KeyCode::Char('c'), modifiers: KeyModifiers::CONTROL, .. }) => {
            let _ = raise(Signal::SIGINT);
        }
        Some(_) | None => {}
    }
}
