use std::{
    future::pending,
    path::{Path, PathBuf},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use anyhow::ensure;
use loadtest::{
    exercise::{
        Check, Exercise,
        catalogue::{EXERCISES, named},
        check::{Checker, Outcome},
        folder::Folder,
    },
    lab::Lab,
    render::{
        exercises::{paragraphs, table},
        text::wrapped,
    },
};
use tokio::time::sleep;

use super::{
    database::{Database, in_lab},
    ending::Interrupts,
    exit::Exit,
    explore::with_a_wire,
    print::{print, result, room, say},
    progress::spinner,
};

const GREEN: Style = AnsiColor::Green.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();

/// How often `watch` looks whether the file was saved.
const LOOKS: Duration = Duration::from_millis(200);
/// A check that takes longer than this is building.
const BUILDS: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Write an exercise into a new folder
    Start {
        /// Its name, as the list has it
        #[arg(value_parser = named)]
        name: &'static Exercise,

        /// The new folder [default: oversold-exercise-NAME]
        folder: Option<PathBuf>,
    },
    /// Check it once: exit code 0 if it passes, otherwise 1
    Check(Checked),
    /// Check it each time you save it, until it passes
    Watch(Checked),
    /// The next of three hints
    Hint(Started),
    /// One way to do it, after it has passed
    Solution {
        #[command(flatten)]
        started: Started,

        /// Show it although the check has not passed
        #[arg(long)]
        anyway: bool,
    },
}

#[derive(clap::Args)]
struct Started {
    /// The exercise's folder [default: this one, or the exercise in it that you saved last]
    folder: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Checked {
    #[command(flatten)]
    started: Started,

    /// Where a schedule is played; a program needs no database
    #[command(flatten)]
    database: Database,
}

impl Started {
    fn folder(&self) -> anyhow::Result<Folder> {
        self.folder.as_deref().map_or_else(Folder::find, Folder::open)
    }
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.action {
        None => list(),
        Some(Action::Start { name, folder }) => start(name, folder)?,
        Some(Action::Check(checked)) => return check(checked, false).await,
        Some(Action::Watch(checked)) => return check(checked, true).await,
        Some(Action::Hint(started)) => hint(started.folder()?)?,
        Some(Action::Solution { started, anyway }) => solution(&started.folder()?, anyway)?,
    }
    Ok(Exit::AsPromised)
}

fn list() {
    print(table(&EXERCISES).terminal(room()));
    print("\n");
    say(
        "`cargo loadtest exercise start NAME` writes one into a folder here. Then `cargo loadtest exercise watch` checks it each time you save.",
    );
}

fn start(exercise: &'static Exercise, path: Option<PathBuf>) -> anyhow::Result<()> {
    let path = path.unwrap_or_else(|| Folder::default_path(exercise));
    let folder = Folder::start(exercise, &path)?;
    for line in paragraphs(exercise.task) {
        if line.is_empty() { print("\n") } else { say(line) }
    }
    print("\n");
    say(format_args!("Change {} and keep this running:", shown(&folder.work())));
    say(format_args!("  cargo loadtest exercise watch {}", path.display()));
    if let Check::Program { dependencies: [_, ..], .. } = exercise.check {
        say(
            "The first check builds what the exercise depends on, which takes a minute or more. Later ones take seconds.",
        );
    }
    Ok(())
}

/// Checks an exercise once, or until it passes.
async fn check(checked: Checked, watches: bool) -> anyhow::Result<Exit> {
    let mut folder = checked.started.folder()?;
    if let Check::Schedule(_) = folder.exercise.check {
        let database = with_a_wire(checked.database)?;
        return in_lab(&database, async |lab| work(&mut folder, Some(lab), watches).await).await;
    }
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        done = work(&mut folder, None, watches) => done,
        interrupted = interrupts.next() => Ok(interrupted),
    }
}

async fn work(folder: &mut Folder, lab: Option<&Lab>, watches: bool) -> anyhow::Result<Exit> {
    let checker = Checker::new(folder, lab).await?;
    let passed = match watches {
        false => once(folder, &checker).await,
        true => watch(folder, &checker).await,
    };
    let closed = checker.close(lab).await;
    let exit = if passed? { Exit::AsPromised } else { Exit::ThresholdMissed };
    closed?;
    Ok(exit)
}

/// Checks until it passes, each time the file was saved.
async fn watch(folder: &mut Folder, checker: &Checker) -> anyhow::Result<bool> {
    let mut checked = None;
    loop {
        let saved = folder.saved();
        if saved.is_some() && saved != checked {
            checked = saved;
            if once(folder, checker).await? {
                return Ok(true);
            }
            say(format_args!("Save {} to check again. `cargo loadtest exercise hint` helps.", shown(&folder.work())));
        }
        sleep(LOOKS).await;
    }
}

/// Checks once, and shows the result. True if it passes.
async fn once(folder: &mut Folder, checker: &Checker) -> anyhow::Result<bool> {
    let bar = spinner(&format!("checking {}", folder.exercise.name));
    bar.enable_steady_tick(Duration::from_millis(100));
    let builds = async {
        sleep(BUILDS).await;
        bar.set_message(format!("checking {}: the first check builds what it depends on", folder.exercise.name));
        pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = checker.check(folder) => outcome,
        () = builds => unreachable!("it only says so"),
    };
    bar.finish_and_clear();
    match outcome? {
        Outcome::Passed(line) => {
            folder.pass()?;
            say_result(GREEN, "passed", &line);
            say("`cargo loadtest exercise solution` shows one way to do it.");
            return Ok(true);
        }
        Outcome::Failed(line) => say_result(RED, "not yet", &line),
        Outcome::DoesNotCompile(message) => {
            say(format_args!("{RED}does not compile{RED:#}"));
            // Not wrapped: its lines point at columns.
            print(format_args!("{message}\n"));
        }
    }
    Ok(false)
}

/// Prints the result in colour, and why. Wrapped before it is coloured, because colours have no width.
fn say_result(style: Style, result: &str, why: &str) {
    let lines = wrapped(&format!("{result}: {why}"), room()).join("\n");
    print(format_args!("{}\n", lines.replacen(result, &format!("{style}{result}{style:#}"), 1)));
}

fn hint(mut folder: Folder) -> anyhow::Result<()> {
    let most = folder.exercise.hints().len();
    for (number, hint) in folder.next_hints()? {
        say(format_args!("Hint {number} of {most}: {hint}"));
    }
    Ok(())
}

fn solution(folder: &Folder, anyway: bool) -> anyhow::Result<()> {
    let name = folder.exercise.name;
    ensure!(
        anyway || folder.has_passed(),
        "{name} has not passed yet: `cargo loadtest exercise hint` helps, and `solution --anyway` shows the solution"
    );
    Ok(result(folder.exercise.solution)?)
}

/// A path as the reader would type it here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here.canonicalize().ok()?).ok().map(Path::to_owned));
    below.as_deref().unwrap_or(path).display().to_string()
}
