//! Kills or stops servers and instances.

use std::io;

use anyhow::Context;
use tokio::{net::TcpStream, task::block_in_place};

use super::target::Target;
use crate::lab::servers::{Server, Services};

impl Target<'_> {
    /// Waits until RabbitMQ has the shop's queues on disk. A shop declares them at its start, long before a real sale opens.
    pub(super) async fn wait_for_queues(&mut self) -> anyhow::Result<()> {
        let last = format!("{}.orders", self.stores.namespace);
        block_in_place(|| self.services.wait_for_queue(&last))
    }

    /// Kills servers, one right after the other.
    pub(super) fn kill(&mut self, servers: &[Server]) -> anyhow::Result<()> {
        block_in_place(|| servers.iter().try_for_each(|server| self.services.kill(*server)))
    }

    pub(super) fn start(&mut self, server: Server) -> anyhow::Result<()> {
        block_in_place(|| self.services.start_again(server))
    }

    /// Kills Redis, then damages its data with `damage`.
    pub(super) fn kill_and_damage(
        &mut self,
        damage: impl FnOnce(&mut Services) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.kill(&[Server::Redis])?;
        self.bytes = self.bytes()?;
        block_in_place(|| damage(self.services))
    }

    /// The size of Redis's log in bytes.
    pub(super) fn bytes(&mut self) -> anyhow::Result<u64> {
        block_in_place(|| self.services.redis_bytes())
    }

    /// Whether Redis's log has become shorter since Redis was killed.
    pub(super) fn is_shorter(&mut self) -> anyhow::Result<bool> {
        Ok(self.bytes()? < self.bytes)
    }

    /// Whether the shop can no longer connect to the server.
    pub(super) async fn is_away(&self, server: Server) -> anyhow::Result<bool> {
        let url = self.url(server).with_context(|| format!("no shop uses {server}"))?;
        let (host, port) = (url.host_str().context("a server's URL has no host")?, url.port());
        refuses_at(&format!("{host}:{}", port.context("a server's URL has no port")?)).await
    }

    /// Whether buyers can no longer connect to the instance.
    pub(super) async fn has_stopped(&self) -> anyhow::Result<bool> {
        refuses_at(&self.shops[0].address.to_string()).await
    }
}

/// Whether no process listens at an address. If a connection is reset, it was still waiting to be accepted when the listener
/// closed, so try again. Any other error is returned.
async fn refuses_at(address: &str) -> anyhow::Result<bool> {
    match TcpStream::connect(address).await {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot tell whether a process listens at {address}")),
    }
}
