//! Connections that go silent for good.

use super::target::Target;
use crate::{fault::network::Network, lab::servers::Server};

impl Target<'_> {
    /// Silences all open connections of all instances to a server.
    pub(super) fn silence(&mut self, server: Server) -> anyhow::Result<()> {
        let networks = || self.links.iter().filter_map(|links| links.to(server));
        let open: usize = networks().map(Network::open).sum();
        networks().for_each(Network::lose_open_connections);
        self.seen = format!("{open} connections to {server}");
        Ok(())
    }

    /// Whether data is held on such a connection of every instance, so that each is affected.
    pub(super) fn is_silent(&self, server: Server) -> bool {
        !self.links.is_empty() && self.links.iter().all(|links| links.to(server).is_some_and(Network::is_holding))
    }
}
