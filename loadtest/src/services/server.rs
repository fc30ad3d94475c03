use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{postgres, process::Process, rabbitmq, redis};

/// A server that the keeper can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
pub enum Server {
    /// The database of every chapter.
    Postgres,
    /// Chapter 6's stock in memory.
    Redis,
    /// Chapter 6's queue.
    #[value(name = "rabbitmq")]
    RabbitMq,
}

impl Server {
    /// All of them.
    pub const ALL: [Server; 3] = [Server::Postgres, Server::Redis, Server::RabbitMq];

    /// Whether its programs are on this machine.
    pub fn is_installed(self) -> bool {
        self.programs().is_ok()
    }

    /// The environment variable that a shop reads its URL from.
    pub fn variable(self) -> &'static str {
        match self {
            Server::Postgres => "DATABASE_URL",
            Server::Redis => "REDIS_URL",
            Server::RabbitMq => "AMQP_URL",
        }
    }

    /// As an argument of the keeper.
    pub(super) fn word(self) -> &'static str {
        match self {
            Server::Postgres => "postgres",
            Server::Redis => "redis",
            Server::RabbitMq => "rabbitmq",
        }
    }

    /// The folder with its programs.
    ///
    /// # Errors
    /// It is not installed; with the line that says what to do.
    pub(super) fn programs(self) -> anyhow::Result<PathBuf> {
        let folder = match self {
            Server::Postgres => postgres::programs(),
            Server::Redis => redis::programs(),
            Server::RabbitMq => rabbitmq::programs(),
        };
        folder.with_context(|| format!("{self} is not installed; `make services` installs it"))
    }

    /// Starts it with its data in `folder` and waits until it answers.
    pub(super) fn start(self, folder: &Path) -> anyhow::Result<Process> {
        let programs = self.programs()?;
        match self {
            Server::Postgres => postgres::start(&programs, folder),
            Server::Redis => redis::start(&programs, folder),
            Server::RabbitMq => rabbitmq::start(&programs, folder),
        }
    }

    /// Removes its data from `folder`.
    pub(super) fn empty(self, folder: &Path) -> anyhow::Result<()> {
        match self {
            Server::Redis => redis::empty(folder),
            _ => bail!("{self} keeps its data: only Redis may lose it"),
        }
    }

    /// Has it take no more messages, or take them again.
    pub(super) fn block(self, process: &Process, block: bool) -> anyhow::Result<()> {
        match self {
            Server::RabbitMq => rabbitmq::block(process, block),
            Server::Postgres | Server::Redis => bail!("{self} has no publishers"),
        }
    }

    /// Cuts the end of its log in `folder` off.
    pub(super) fn cut(self, folder: &Path) -> anyhow::Result<()> {
        match self {
            Server::Redis => redis::cut(folder),
            _ => bail!("{self} keeps its data: only Redis may lose it"),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Server::Postgres => "PostgreSQL",
            Server::Redis => "Redis",
            Server::RabbitMq => "RabbitMQ",
        })
    }
}

/// Finds the folder that holds `program`: one of `folders`, where the last in order wins, or one on the PATH.
pub(super) fn folder_of(program: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut known: Vec<_> = folders.into_iter().collect();
    known.sort();
    known.into_iter().rev().chain(std::env::split_paths(&path)).find(|folder| folder.join(program).is_file())
}

/// The folders named `inside` in all folders in these: packages keep their programs there, one folder for each version.
pub(super) fn in_each_of<'a>(parents: &'a [&str], inside: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    let versions = parents.iter().flat_map(|parent| fs::read_dir(parent).into_iter().flatten().flatten());
    versions.map(move |version| version.path().join(inside))
}
