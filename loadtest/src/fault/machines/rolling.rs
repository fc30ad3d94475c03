//! A restart of all machines, one after the other, as an operator plans it.

use super::Target;
use crate::lab::machines::MACHINES;

impl Target<'_> {
    /// Empties a machine and switches it off: another one leads PostgreSQL and Redis first, and the instance finishes its requests.
    pub(super) async fn take_out(&mut self, machine: u8) -> anyhow::Result<()> {
        self.chosen = machine;
        self.work(move |machines| machines.empty(machine)).await?;
        for shop in self.shops_on(machine) {
            self.shops[shop].ask_to_stop();
            self.shops[shop].wait().await;
        }
        self.kill_machine().await
    }

    /// Brings the machine back that is out, then restarts all others.
    pub(super) async fn roll(&mut self) -> anyhow::Result<()> {
        self.bring_machine_back().await?;
        for machine in 2..=MACHINES {
            self.take_out(machine).await?;
            self.bring_machine_back().await?;
        }
        self.seen = "all machines, one after the other".into();
        Ok(())
    }
}
