use std::{convert::Infallible, process, sync::Arc, time::Duration};

use loadtest::lab::machines::{self, Machines};
use tokio::{task::spawn_blocking, time::sleep};

use super::{database::this_program, ending::Interrupts, print::note};

/// How often to check whether somebody has killed a machine, and after how long its servers start again.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const OFF_FOR: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct MachinesArgs {
    /// Run chapter 6 on three machines, of which any one may die: each has a node of Redis Cluster, RabbitMQ, PostgreSQL under
    /// Patroni, ZooKeeper and HAProxy. They are network namespaces on this machine and need no root; `make machines` installs the
    /// programs
    #[arg(long, value_name = "3", value_parser = clap::value_parser!(u8).range(3..=3))]
    machines: Option<u8>,
}

impl MachinesArgs {
    /// Whether machines are asked for.
    pub(crate) fn are_asked_for(&self) -> bool {
        self.machines.is_some()
    }

    /// How many instances of the shop there are at least: one on each machine.
    pub(crate) fn instances(&self) -> usize {
        self.machines.unwrap_or_default().into()
    }

    /// Starts the machines, if they are asked for. The command first starts again inside namespaces of its own, so this comes
    /// before anything else. An interrupt ends the process at once, and with it the machines.
    pub(crate) async fn start(&self) -> anyhow::Result<Option<Arc<Machines>>> {
        if !self.are_asked_for() {
            return Ok(None);
        }
        machines::enter()?;
        let mut interrupts = Interrupts::listen()?;
        note("starting three machines, which takes half a minute …");
        let program = this_program()?;
        tokio::select! {
            machines = spawn_blocking(move || Machines::start(&program)) => Ok(Some(Arc::new(machines??))),
            interrupted = interrupts.next() => process::exit(interrupted.code().into()),
        }
    }
}

/// Says how to kill each machine.
pub(crate) fn say_how_to_kill(machines: &Machines) {
    for machine in machines.all() {
        let init = machine.init().unwrap_or_default();
        let enter = format!("nsenter --target {init} --all --preserve-credentials");
        note(format_args!("a shell on {}: {enter}; kill all of its processes: {enter} kill -9 -1", machine.name()));
    }
}

/// Brings each machine back all of whose processes somebody kills, after ten seconds. Then calls `is_back` with its number.
///
/// # Errors
/// It does not come back.
pub(crate) async fn bring_back_killed(
    machines: &Arc<Machines>,
    mut is_back: impl AsyncFnMut(u8) -> anyhow::Result<()>,
) -> anyhow::Result<Infallible> {
    loop {
        sleep(LOOK_EVERY).await;
        let Some(number) = machines.died() else { continue };
        note(format_args!("machine {number} is dead; its servers start again in {} s", OFF_FOR.as_secs()));
        sleep(OFF_FOR).await;
        let machines = machines.clone();
        spawn_blocking(move || machines.start_all_again(number)).await??;
        is_back(number).await?;
        note(format_args!("machine {number} is back"));
    }
}
