//! The folder that a reader works in.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{Check, Exercise, catalogue::named, manifest};

/// What the name of an exercise's folder begins with.
const PREFIX: &str = "oversold-exercise-";
/// The file with the state of an exercise.
const STATE: &str = ".exercise.json";
/// The lock file, copied from the clone, so that the versions are the same.
const LOCK: &str = "Cargo.lock";

/// The folder of an exercise that was started.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub exercise: &'static Exercise,
    state: State,
}

/// What is remembered between two commands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    exercise: String,
    /// The hints that were shown.
    hints: usize,
    has_passed: bool,
}

impl Folder {
    /// The folder of an exercise if none is named.
    pub fn default_path(exercise: &Exercise) -> PathBuf {
        format!("{PREFIX}{}", exercise.name).into()
    }

    /// Writes an exercise into a new folder. A folder that has it unchanged is written again.
    ///
    /// # Errors
    /// The folder has work in it or belongs to something else, or cannot be written.
    pub fn start(exercise: &'static Exercise, path: &Path) -> anyhow::Result<Folder> {
        let shown = path.display();
        match Folder::open(path) {
            Ok(folder) if folder.exercise.name == exercise.name => ensure!(
                !folder.is_changed()?,
                "{shown} has your work on {}, which is kept. `cargo loadtest exercise watch {shown}` continues it; another \
                 folder starts again: `cargo loadtest exercise start {} FOLDER`",
                exercise.name,
                exercise.name
            ),
            Ok(folder) => bail!("{shown} is the folder of {}; name another one", folder.exercise.name),
            Err(_) => ensure!(is_free(path)?, "{shown} is there and is no empty folder; name another one"),
        }
        let cannot_write = || format!("cannot write the exercise to {shown}");
        fs::create_dir_all(path).with_context(cannot_write)?;
        let path = path.canonicalize().with_context(cannot_write)?;
        let state = State { exercise: exercise.name.into(), ..State::default() };
        let folder = Folder { path, exercise, state };
        folder.save().with_context(cannot_write)?;
        folder.write_all().with_context(cannot_write)?;
        Ok(folder)
    }

    /// Opens the folder of an exercise that was started.
    ///
    /// # Errors
    /// It is none.
    pub fn open(path: &Path) -> anyhow::Result<Folder> {
        let is_none = || format!("{} is not the folder of an exercise", path.display());
        let text = fs::read(path.join(STATE)).with_context(is_none)?;
        let state: State = serde_json::from_slice(&text).with_context(is_none)?;
        let exercise = named(&state.exercise).map_err(anyhow::Error::msg).with_context(is_none)?;
        let path = path.canonicalize().with_context(is_none)?;
        Ok(Folder { path, exercise, state })
    }

    /// The exercise that a command is about if no folder is named: that of the current folder, or the one below it whose file was
    /// saved last.
    ///
    /// # Errors
    /// There is none.
    pub fn find() -> anyhow::Result<Folder> {
        if Path::new(STATE).exists() {
            return Folder::open(Path::new("."));
        }
        let entries = fs::read_dir(".").context("cannot read the current folder")?;
        let is_one = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PREFIX);
        let folders = entries.filter_map(Result::ok).filter(is_one);
        let folders = folders.filter_map(|entry| Folder::open(&entry.path()).ok());
        folders
            .max_by_key(|folder| folder.saved())
            .context("there is no exercise here; `cargo loadtest exercise start NAME` writes one")
    }

    /// The file that the reader changes.
    pub fn work(&self) -> PathBuf {
        self.path.join(self.exercise.work())
    }

    /// When the reader's file was saved; `None` while there is no such file.
    pub fn saved(&self) -> Option<SystemTime> {
        fs::metadata(self.work()).and_then(|file| file.modified()).ok()
    }

    /// Whether the check has passed once.
    pub fn has_passed(&self) -> bool {
        self.state.has_passed
    }

    /// Remembers that the check has passed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn pass(&mut self) -> anyhow::Result<()> {
        self.state.has_passed = true;
        self.save()
    }

    /// The number of the next hint, from 1, and its text; all of them again after the last one.
    ///
    /// # Errors
    /// It cannot be written which hints were shown.
    pub fn next_hints(&mut self) -> anyhow::Result<Vec<(usize, String)>> {
        let hints: Vec<_> = (1..).zip(self.exercise.hints()).collect();
        let shown = self.state.hints;
        if shown >= hints.len() {
            return Ok(hints);
        }
        self.state.hints += 1;
        self.save()?;
        Ok(hints.into_iter().skip(shown).take(1).collect())
    }

    /// Whether the reader has changed a file of the exercise. A file that is not there is no work, and cargo writes the lock file.
    fn is_changed(&self) -> anyhow::Result<bool> {
        for (name, text) in self.files()?.into_iter().filter(|(name, _)| name != LOCK) {
            match fs::read(self.path.join(&name)) {
                Ok(found) if found != text.as_bytes() => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
            }
        }
        Ok(false)
    }

    fn save(&self) -> anyhow::Result<()> {
        let file = self.path.join(STATE);
        let text = serde_json::to_string(&self.state)?;
        fs::write(&file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }

    fn write_all(&self) -> anyhow::Result<()> {
        for (name, text) in self.files()? {
            let file = self.path.join(name);
            fs::create_dir_all(file.parent().unwrap_or(&self.path))?;
            fs::write(file, text)?;
        }
        Ok(())
    }

    /// The files of the exercise at its start, each with its text.
    fn files(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut all = vec![
            (self.exercise.work().to_owned(), self.exercise.start.to_owned()),
            ("TASK.md".into(), self.exercise.task.into()),
            (".gitignore".into(), "*\n".into()),
        ];
        if let Check::Program { files, dependencies } = self.exercise.check {
            let lock = manifest::clone().join(LOCK);
            let lock = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
            all.push((LOCK.into(), lock));
            let name = format!("{PREFIX}{}", self.exercise.name);
            all.push(("Cargo.toml".into(), manifest::manifest(&name, dependencies)?));
            all.push((".cargo/config.toml".into(), manifest::config()?));
            all.push(("src/main.rs".into(), manifest::main(files)));
            all.extend(files.iter().map(|(name, text)| (format!("src/{name}"), (*text).to_owned())));
        }
        Ok(all)
    }
}

/// Whether there is nothing at this path, or an empty folder.
fn is_free(path: &Path) -> anyhow::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> (tempfile::TempDir, Folder) {
        let folder = tempfile::tempdir().unwrap();
        let exercise = Folder::start(named("ack").unwrap(), &folder.path().join("work")).unwrap();
        (folder, exercise)
    }

    fn refusal(name: &str, path: &Path) -> String {
        Folder::start(named(name).unwrap(), path).unwrap_err().to_string()
    }

    #[test]
    fn work_is_kept_and_an_unchanged_exercise_is_written_again() {
        let (_folder, started) = started();
        fs::remove_file(started.path.join("Cargo.toml")).unwrap();
        Folder::start(started.exercise, &started.path).unwrap();
        assert!(started.path.join("Cargo.toml").exists());
        fs::write(started.work(), "// my work\n").unwrap();
        let refused = refusal("ack", &started.path);
        assert!(refused.contains("has your work on ack, which is kept"), "{refused}");
        assert_eq!(fs::read_to_string(started.work()).unwrap(), "// my work\n");
        fs::write(started.work(), started.exercise.start).unwrap();
        fs::write(started.path.join("src/check.rs"), "// my check\n").unwrap();
        assert!(refusal("ack", &started.path).contains("has your work"));
        assert!(refusal("outbox", &started.path).contains("is the folder of ack"));
    }

    #[test]
    fn what_is_not_an_exercise_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Folder::open(folder.path()).unwrap_err().to_string();
        assert!(refused.ends_with("is not the folder of an exercise"), "{refused}");
        fs::write(folder.path().join("thesis.txt"), "a").unwrap();
        assert!(refusal("ack", folder.path()).contains("is no empty folder"));
        assert!(refusal("ack", &folder.path().join("thesis.txt")).contains("is no empty folder"));
        fs::write(folder.path().join(STATE), "{").unwrap();
        assert!(Folder::open(folder.path()).is_err(), "its state is no JSON");
        assert!(refusal("ack", folder.path()).contains("is no empty folder"));
        let text = fs::read_to_string(folder.path().join("thesis.txt")).unwrap();
        assert_eq!((text.as_str(), fs::read_dir(folder.path()).unwrap().count()), ("a", 2));
    }

    #[test]
    fn hints_come_one_by_one_and_then_all_again() {
        let (_folder, mut started) = started();
        let numbers = |folder: &mut Folder| -> Vec<usize> {
            folder.next_hints().unwrap().into_iter().map(|(number, _)| number).collect()
        };
        assert_eq!(numbers(&mut started), [1]);
        let mut again = Folder::open(&started.path).unwrap();
        assert_eq!([numbers(&mut again), numbers(&mut again)], [[2], [3]]);
        assert_eq!(numbers(&mut again), [1, 2, 3]);
    }

    #[test]
    fn that_it_has_passed_is_remembered() {
        let (_folder, mut started) = started();
        assert!(!started.has_passed());
        started.pass().unwrap();
        assert!(Folder::open(&started.path).unwrap().has_passed());
    }
}
