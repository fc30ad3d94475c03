//! The terminal as one screen: `live` and `rehearse` take it, and give it back in every case.

use std::{
    fs::File,
    io::{self, ErrorKind, IsTerminal, Stdout, stdin, stdout},
    os::fd::AsFd,
    panic,
    sync::{Mutex, Once},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
    sys::termios::{SetArg, tcgetattr, tcsetattr},
    unistd::{getpgrp, tcgetpgrp},
};
use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        event::{self, Event, KeyCode, KeyEvent, KeyModifiers},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size},
    },
};

/// Whether the screen is shown. Whoever draws or leaves holds the lock, so that nothing is drawn after the screen was left.
static SHOWN: Mutex<bool> = Mutex::new(false);

/// Whether the screen is shown, so that a printed line would tear it.
pub(super) fn is_shown() -> bool {
    SHOWN.lock().is_ok_and(|shown| *shown)
}

/// Takes the terminal. Returns whether it was taken: not if it is too small for the screen, cannot be controlled, or belongs to
/// another job. The system would stop a background job that takes the terminal.
pub(super) fn take(fits: fn(ratatui::layout::Size) -> bool) -> bool {
    let has_room = size().is_ok_and(|size| fits(size.into()));
    let is_in_background = tcgetpgrp(stdout()).is_ok_and(|foreground| foreground != getpgrp());
    let taken = has_room && !is_in_background && enter().is_ok();
    if !taken {
        leave();
    }
    taken
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
pub(super) fn leave() {
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

/// What draws on the terminal that was taken.
pub(super) struct Canvas(Terminal<CrosstermBackend<Stdout>>);

impl Canvas {
    pub(super) fn new() -> io::Result<Canvas> {
        Terminal::new(CrosstermBackend::new(stdout())).map(Canvas)
    }

    /// Draws one picture. Returns whether the screen is still shown.
    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Frame)) -> io::Result<bool> {
        match SHOWN.lock() {
            Ok(shown) if *shown => self.0.draw(picture).map(|_| true),
            Ok(_) | Err(_) => Ok(false),
        }
    }
}

/// The time between two looks at the terminal's size.
const LOOK: Duration = Duration::from_millis(10);

/// The terminal that keys come from, as crossterm finds it.
pub(super) struct Keyboard {
    terminal: File,
    /// Columns and rows when they were looked at last.
    size: Option<(u16, u16)>,
}

impl Keyboard {
    pub(super) fn open() -> io::Result<Keyboard> {
        match stdin().is_terminal() {
            true => stdin().as_fd().try_clone_to_owned().map(File::from),
            false => File::open("/dev/tty"),
        }
        .map(|terminal| Keyboard { terminal, size: size().ok() })
    }

    /// Waits for events, at most this long. crossterm would read from a closed terminal for ever, so it is asked only if there is
    /// something to read, or if the size has changed.
    pub(super) fn events(&mut self, most: Duration) -> io::Result<Vec<Event>> {
        let until = Instant::now() + most;
        loop {
            let is_typed = self.is_typed(LOOK.min(most))?;
            let now = size().ok();
            let is_resized = std::mem::replace(&mut self.size, now) != now;
            if is_typed || is_resized {
                let all = read()?;
                if all.is_empty() && self.is_typed(Duration::ZERO)? {
                    self.report_again()?;
                    return read();
                }
                return Ok(all);
            }
            if Instant::now() >= until {
                return Ok(Vec::new());
            }
        }
    }

    /// Makes the system report a key again that crossterm has not read. crossterm learns of a key only when it arrives. If it finds
    /// a new size at the same time, it returns that one and forgets the key, which would then wait for the next one. When a terminal's
    /// settings are set, Linux reports anew what can be read, so they are set to what they are.
    fn report_again(&self) -> io::Result<()> {
        match SHOWN.lock() {
            Ok(shown) if *shown => Ok(tcsetattr(&self.terminal, SetArg::TCSANOW, &tcgetattr(&self.terminal)?)?),
            Ok(_) | Err(_) => Ok(()), // the terminal was given back
        }
    }

    /// Whether there is something to read within this time.
    fn is_typed(&self, within: Duration) -> io::Result<bool> {
        let mut keyboard = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
        match poll(&mut keyboard, within.as_millis() as u16) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(why) => return Err(why.into()),
        }
        match keyboard[0].revents() {
            Some(PollFlags::POLLIN) => Ok(true),
            Some(events) if !events.is_empty() => Err(ErrorKind::BrokenPipe.into()),
            Some(_) | None => Ok(false),
        }
    }
}

/// The events that crossterm has.
fn read() -> io::Result<Vec<Event>> {
    let mut all = Vec::new();
    while event::poll(Duration::ZERO)? {
        all.push(event::read()?);
    }
    Ok(all)
}

/// Whether this key is Ctrl-C, which a terminal in raw mode does not turn into a signal.
pub(super) fn is_ctrl_c(key: &KeyEvent) -> bool {
    key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL
}
