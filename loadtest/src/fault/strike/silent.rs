//! Connections that go silent for good.

use super::target::Target;
use crate::lab::servers::Server;

impl Target<'_> {
    /// Silences all open connections of all instances to a server.
    pub(super) fn silence(&mut self, server: Server) -> anyhow::Result<()> {
        let open: usize = self.links.iter().map(|links| links.to(server).open()).sum();
        self.links.iter().for_each(|links| links.to(server).lose_open_connections());
        self.seen = format!("{open} connections to {server}");
        Ok(())
    }

    /// Whether data is held on such a connection of every instance, so that each is affected.
    pub(super) fn is_silent(&self, server: Server) -> bool {
        !self.links.is_empty() && self.links.iter().all(|links| links.to(server).is_holding())
    }
}
