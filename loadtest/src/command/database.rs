use std::{path::PathBuf, sync::Arc};

use loadtest::{
    buyer::ending::Ending,
    lab::{Backend, Lab, machines::Machines},
};

use super::{
    ending::{Interrupts, say_nothing_to_report},
    exit::Exit,
    machines::{bring_back_killed, say_how_to_kill},
};

#[derive(clap::Args)]
pub(crate) struct Database {
    /// sqlite, postgres (a private server), or the postgres:// URL of a server
    /// [default: postgres if it is installed, else sqlite]
    #[arg(long, env = "DATABASE_URL", hide_env = true, hide_env_values = true, value_name = "DATABASE")]
    pub(crate) database: Option<String>,
}

impl Database {
    /// Parsed here and not by clap, because clap would print a refused URL with its password.
    pub(crate) fn backend(&self) -> anyhow::Result<Option<Backend>> {
        let backend = self.database.as_ref().map(|text| text.parse::<Backend>()).transpose();
        backend.map_err(|why| anyhow::anyhow!("--database {why}"))
    }
}

/// The path of this program, which is started again as a shop or as the servers' keeper.
pub(crate) fn this_program() -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?)
}

/// Opens a lab and works in it until done or interrupted. Cleans up in both cases. Without a name, the lab uses PostgreSQL if it
/// is installed, otherwise SQLite.
pub(crate) async fn in_lab(
    database: &Database,
    work: impl AsyncFnOnce(&Lab) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let mut interrupts = Interrupts::listen()?;
    let lab = match open(database, &mut interrupts).await? {
        Ok(lab) => lab,
        Err(interrupted) => return Ok(interrupted),
    };
    let result = tokio::select! {
        result = work(&lab) => result,
        interrupted = interrupts.next() => Ok(interrupted),
    };
    lab.close().await;
    result
}

/// As [`in_lab`], but the first interrupt only requests the end of the run, so that `work` can report what there is.
pub(crate) async fn in_lab_until_ended(
    database: &Database,
    work: impl AsyncFnOnce(&Lab, &Ending) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let (mut interrupts, ending) = (Interrupts::listen()?, Ending::default());
    let lab = match open(database, &mut interrupts).await? {
        Ok(lab) => lab,
        Err(interrupted) => {
            say_nothing_to_report();
            return Ok(interrupted);
        }
    };
    let result = interrupts.end(&ending, work(&lab, &ending)).await;
    lab.close().await;
    result
}

/// As [`in_lab_until_ended`], on three machines.
pub(crate) async fn on_machines_until_ended(
    machines: Arc<Machines>,
    work: impl AsyncFnOnce(&Lab, &Ending) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let (mut interrupts, ending) = (Interrupts::listen()?, Ending::default());
    let lab = Lab::on_machines(this_program()?, machines.clone()).await?;
    say_how_to_kill(&machines);
    let result = tokio::select! {
        result = interrupts.end(&ending, work(&lab, &ending)) => result,
        failed = bring_back_killed(&machines, async |_| Ok(())) => match failed? {},
    };
    lab.close().await;
    result
}

/// Opens the lab; the inner error is the exit code if that is interrupted.
async fn open(database: &Database, interrupts: &mut Interrupts) -> anyhow::Result<Result<Lab, Exit>> {
    let lab = async {
        match database.backend()? {
            Some(backend) => Lab::open(this_program()?, &backend).await,
            None => Lab::open_best(this_program()?).await,
        }
    };
    tokio::select! {
        lab = lab => lab.map(Ok),
        interrupted = interrupts.next() => Ok(Err(interrupted)),
    }
}
