//! The servers of the page: opened when they are needed, and opened again if they are gone.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::anyhow;
use sqlx::{AnyConnection, Connection};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

use crate::lab::{Backend, Lab};

/// How long a server may take to answer before it counts as gone.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a server is asked whether it is there.
const EVERY: Duration = Duration::from_millis(500);

/// One lab for the whole page.
pub(super) struct Labs {
    pub(super) program: PathBuf,
    pub(super) backend: Option<Backend>,
    lab: Mutex<Option<Arc<Lab>>>,
}

impl Labs {
    pub(super) fn new(program: PathBuf, backend: Option<Backend>) -> Labs {
        Labs { program, backend, lab: Mutex::default() }
    }

    /// The lab. Starts its servers on the first call, and again if the database no longer answers.
    ///
    /// # Errors
    /// A server does not start or does not answer.
    pub(super) async fn open(&self) -> anyhow::Result<Arc<Lab>> {
        let mut open = self.lab.lock().await;
        if let Some(lab) = open.as_ref() {
            if answers(lab).await {
                return Ok(lab.clone());
            }
            close(open.take()).await;
        }
        let lab = Arc::new(match &self.backend {
            Some(backend) => Lab::open(self.program.clone(), backend).await?,
            None => Lab::open_best(self.program.clone()).await?,
        });
        Ok(open.insert(lab).clone())
    }

    /// Stops the servers.
    pub(super) async fn close(&self) {
        close(self.lab.lock().await.take()).await;
    }
}

/// Works as long as the lab's database answers.
///
/// # Errors
/// The work fails, or the database goes away.
pub(super) async fn while_it_answers<T>(lab: &Lab, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let gone = async {
        while answers(lab).await {
            sleep(EVERY).await;
        }
    };
    let is_gone = || anyhow!("PostgreSQL does not answer any more");
    tokio::select! {
        done = work => match done {
            Err(_) if !answers(lab).await => Err(is_gone()),
            done => done,
        },
        () = gone => Err(is_gone()),
    }
}

/// A connection of its own: a pool tries a server that refuses it again and again.
async fn answers(lab: &Lab) -> bool {
    let Some(admin) = lab.admin() else { return true };
    let answer = timeout(PATIENCE, AnyConnection::connect_with(&admin.connect_options())).await;
    answer.is_ok_and(|answer| answer.is_ok())
}

/// Stops the servers, unless other work still uses them. Then that work stops them when it ends.
async fn close(lab: Option<Arc<Lab>>) {
    if let Some(lab) = lab.and_then(|lab| Arc::try_unwrap(lab).ok()) {
        lab.close().await;
    }
}
