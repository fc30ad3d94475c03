//! Instances whose hosts are lost or frozen: their peers get no FIN.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::target::{LOOK_EVERY, Target};
use crate::buyer::client::Connection;

/// The bytes of a commit. At that point a worker has inserted its orders and locked the sale's row.
const COMMIT: &[u8] = b"COMMIT";
/// How long a worker may take until it commits.
const TO_COMMIT: Duration = Duration::from_secs(10);
/// How long there may be no leader before the strike.
const TO_LEAD: Duration = Duration::from_secs(10);
/// An instance that accepts a connection and does not answer within this time is frozen.
const SILENCE: Duration = Duration::from_millis(300);

impl Target<'_> {
    /// Chooses the leader. If none of our instances leads, the first one is struck, and the fault does not come into place.
    pub(super) async fn choose_leader(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            if let Some(leader) = self.leader().await? {
                self.chosen = leader;
                return Ok(());
            }
            if began.elapsed() > TO_LEAD {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Chooses an instance that does not lead, so that the sale does not also have to wait for a leader.
    pub(super) async fn choose_another(&mut self) -> anyhow::Result<()> {
        self.choose_leader().await?;
        self.chosen = (self.chosen + 1) % self.shops.len();
        Ok(())
    }

    async fn leader(&self) -> anyhow::Result<Option<usize>> {
        let query = "select holder from leases where name = 'upkeep' and expires_at > now_ms()";
        let holder: Option<String> = self.ask(query.into()).await?;
        let Some(pid) = holder.as_deref().and_then(process_of) else { return Ok(None) };
        Ok(self.shops.iter().position(|shop| shop.pid() == Some(pid)))
    }

    /// Lets in the next buyers, and waits until the chosen instance has locked the sale's row and is about to commit. All of its
    /// commits are held in the proxy.
    pub(super) async fn catch_commit(&mut self) -> anyhow::Result<()> {
        let links = self.links;
        let network = &links[self.chosen].postgres;
        network.hold_request(COMMIT);
        self.let_next_in();
        let began = Instant::now();
        loop {
            self.ports = network.ports();
            let is_caught = network.holds(COMMIT) && self.left_sessions(true).await?;
            if is_caught || began.elapsed() > TO_COMMIT {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Loses the chosen instance's host: no peer notices.
    pub(super) async fn lose(&mut self) -> anyhow::Result<()> {
        let links = &self.links[self.chosen];
        links.all().iter().for_each(|network| network.silence());
        self.ports = links.postgres.ports();
        self.shops[self.chosen].kill().await?;
        links.all().iter().for_each(|network| network.lose_open_connections());
        Ok(())
    }

    /// Restarts the lost instance. New connections work.
    pub(super) async fn start_lost(&mut self) -> anyhow::Result<()> {
        self.links[self.chosen].all().iter().for_each(|network| network.restore());
        self.shops[self.chosen].start_again().await
    }

    /// Freezes the chosen instance; its connections stay open.
    pub(super) fn freeze(&mut self) -> anyhow::Result<()> {
        self.ports = self.links.get(self.chosen).map(|links| links.postgres.ports()).unwrap_or_default();
        self.shops[self.chosen].freeze()
    }

    /// Resumes the frozen instance, and its commit arrives.
    pub(super) fn thaw(&mut self) -> anyhow::Result<()> {
        if let Some(links) = self.links.get(self.chosen) {
            links.postgres.restore();
        }
        self.shops[self.chosen].thaw()
    }

    /// Whether PostgreSQL still has sessions of the chosen instance. With `with_row`, one of them must also hold the lock on the
    /// sale's row.
    pub(super) async fn left_sessions(&mut self, with_row: bool) -> anyhow::Result<bool> {
        if self.ports.is_empty() {
            return Ok(false);
        }
        let ports = self.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let all = format!("select count(*) from pg_stat_activity where client_port in ({ports})");
        let holding = format!(
            "{all} and state = 'idle in transaction' and pid in (
                 select pid from pg_locks where relation = 'sales'::regclass and mode = 'RowExclusiveLock' and granted)"
        );
        let all: i64 = self.ask(all).await?.unwrap_or_default();
        let holding: i64 = self.ask(holding).await?.unwrap_or_default();
        self.seen = format!("instance {}: {all} sessions, {holding} with the sale's row", self.chosen + 1);
        Ok(all > 0 && (holding > 0 || !with_row))
    }

    /// Whether the chosen instance accepts connections and does not answer.
    pub(super) async fn says_nothing(&mut self) -> bool {
        let address = self.shops[self.chosen].address;
        let asking = async { Connection::open(address).await?.get("/healthz", None).await };
        if self.seen.is_empty() {
            self.seen = format!("instance {} says nothing", self.chosen + 1);
        }
        timeout(SILENCE, asking).await.is_err()
    }
}

/// The process id of a lease's holder, from its name: `process 4711 (89abcdef)`.
fn process_of(holder: &str) -> Option<u32> {
    holder.strip_prefix("process ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_names_the_process_that_holds_it() {
        assert_eq!(process_of("process 4711 (89abcdef)"), Some(4711));
        assert_eq!(["", "process", "process x (1)", "4711"].map(process_of), [None; 4]);
    }
}
