//! A listener outside the namespaces, for browsers. A socket stays in the network that it was opened in.

use std::{
    io::{self, stdin},
    net::SocketAddr,
    os::fd::AsFd,
};

use anyhow::Context;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use super::namespaces::{enter_with, is_inside};

/// Listens at an address of the network outside. The command starts again inside its namespaces, with the listener as its standard
/// input.
///
/// # Errors
/// The address is taken, or the command cannot [enter](super::enter) its namespaces.
pub fn open(address: SocketAddr) -> anyhow::Result<TcpListener> {
    if !is_inside() {
        let listener = std::net::TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        enter_with(Some(listener.into()))?;
    }
    let listener = std::net::TcpListener::from(stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}

/// Leads each connection to a server inside, for as long as it is polled.
///
/// # Errors
/// The listener fails.
pub async fn forward(door: TcpListener, to: SocketAddr) -> io::Result<()> {
    loop {
        let (mut outside, _) = door.accept().await?;
        tokio::spawn(async move {
            let mut inside = TcpStream::connect(to).await?;
            copy_bidirectional(&mut outside, &mut inside).await
        });
    }
}
