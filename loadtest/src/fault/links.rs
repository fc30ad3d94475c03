//! The proxies between one instance and its servers.

use anyhow::Context;

use super::network::Network;
use crate::lab::servers::Server;

/// The proxies between one instance and its servers.
pub(super) struct Links {
    pub(super) postgres: Network,
    pub(super) redis: Network,
    pub(super) rabbitmq: Network,
    pub(super) provider: Network,
}

impl Links {
    /// Opens a proxy in front of each server that `args` name, and changes `args` to the proxies' addresses.
    ///
    /// # Errors
    /// An argument for a server is missing, or no port is free.
    pub(super) async fn between(args: &mut [String]) -> anyhow::Result<Links> {
        Ok(Links {
            postgres: network(args, "--database-url").await?,
            redis: network(args, "--redis-url").await?,
            rabbitmq: network(args, "--amqp-url").await?,
            provider: network(args, "--provider-url").await?,
        })
    }

    /// The proxy in front of this server; `None` if no shop uses it.
    pub(super) fn to(&self, server: Server) -> Option<&Network> {
        match server {
            Server::Postgres => Some(&self.postgres),
            Server::Redis => Some(&self.redis),
            Server::RabbitMq => Some(&self.rabbitmq),
            Server::Provider => Some(&self.provider),
            Server::RedisCluster | Server::MariaDb | Server::Memcached | Server::ZooKeeper => None,
        }
    }

    pub(super) fn all(&self) -> [&Network; 4] {
        [&self.postgres, &self.redis, &self.rabbitmq, &self.provider]
    }
}

/// A proxy in front of the server that `flag` names.
async fn network(args: &mut [String], flag: &str) -> anyhow::Result<Network> {
    let at = args.iter().position(|arg| arg == flag);
    let url =
        at.and_then(|at| args.get_mut(at + 1)).with_context(|| format!("the instance's arguments lack {flag}"))?;
    let server = url.parse()?;
    let network = Network::to(&server).await?;
    *url = network.instead_of(&server).into();
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_instance_is_given_the_networks_in_place_of_its_servers() {
        let words = "--database-url postgres://me:secret@127.0.0.1:1/shop --pool-size 16 --redis-url redis://:secret@127.0.0.1:2/ \
                     --amqp-url amqp://me:secret@127.0.0.1:3/%2f --provider-url http://me:secret@127.0.0.1:4/";
        let before: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let mut args = before.clone();
        let links = Links::between(&mut args).await.unwrap();
        for (at, server) in [(1, Server::Postgres), (5, Server::Redis), (7, Server::RabbitMq), (9, Server::Provider)] {
            assert_eq!(args[at], links.to(server).unwrap().instead_of(&before[at].parse().unwrap()).to_string());
            assert_ne!(args[at], before[at]);
        }
        assert_eq!((&args[2..5], &args[6]), (&before[2..5], &before[6]), "and nothing else is changed");
        assert!(Links::between(&mut before[..4].to_vec()).await.is_err(), "which Redis?");
    }
}
