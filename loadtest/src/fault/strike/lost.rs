//! Instances whose hosts are lost or frozen: nobody gets a FIN.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::target::{LOOK_EVERY, Target};
use crate::buyer::client::Connection;

/// What a transaction ends with. Before that, a worker's has inserted its orders and locked the sale's row.
const COMMIT: &[u8] = b"COMMIT";
/// How long a worker may take to get there.
const TO_COMMIT: Duration = Duration::from_secs(10);
/// How long there may be no leader before the strike.
const TO_LEAD: Duration = Duration::from_secs(10);
/// An instance that accepts a connection and says nothing for so long is frozen.
const SILENCE: Duration = Duration::from_millis(300);

impl Target<'_> {
    /// Chooses the instance that leads. If none of ours does, the first one is struck, and the fault does not come into place.
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

    /// Chooses one that does not lead: the sale is not to wait for a leader, too.
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

    /// Lets the next buyers in, and waits until the chosen instance holds the sale's row and is about to commit orders. All its
    /// commits are kept on their way.
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

    /// The chosen instance's host is gone, and nobody hears of it.
    pub(super) async fn lose(&mut self) -> anyhow::Result<()> {
        let links = &self.links[self.chosen];
        links.all().iter().for_each(|network| network.silence());
        self.ports = links.postgres.ports();
        self.shops[self.chosen].kill().await?;
        links.all().iter().for_each(|network| network.lose_open_connections());
        Ok(())
    }

    /// Starts it again, where new connections work.
    pub(super) async fn start_lost(&mut self) -> anyhow::Result<()> {
        self.links[self.chosen].all().iter().for_each(|network| network.restore());
        self.shops[self.chosen].start_again().await
    }

    /// The chosen instance stands still, with its connections open.
    pub(super) fn freeze(&mut self) -> anyhow::Result<()> {
        self.ports = self.links.get(self.chosen).map(|links| links.postgres.ports()).unwrap_or_default();
        self.shops[self.chosen].freeze()
    }

    /// It goes on, and its commit arrives.
    pub(super) fn thaw(&mut self) -> anyhow::Result<()> {
        if let Some(links) = self.links.get(self.chosen) {
            links.postgres.restore();
        }
        self.shops[self.chosen].thaw()
    }

    /// Whether PostgreSQL still has sessions of the chosen instance; `with_row`: and one of them holds the sale's row in a transaction.
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

    /// Whether the chosen instance accepts connections and answers nothing.
    pub(super) async fn says_nothing(&mut self) -> bool {
        let address = self.shops[self.chosen].address;
        let asking = async { Connection::open(address).await?.get("/healthz", None).await };
        if self.seen.is_empty() {
            self.seen = format!("instance {} says nothing", self.chosen + 1);
        }
        timeout(SILENCE, asking).await.is_err()
    }
}

/// The process that holds a lease, from how the lease names it: `process 4711 (89abcdef)`.
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
