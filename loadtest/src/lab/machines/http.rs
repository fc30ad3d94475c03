//! A request over HTTP/1.0, for the few questions that the engines answer that way.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context;

/// How long an engine may take to accept a connection, and to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Connects to a server of a machine.
pub(super) fn connect(ip: Ipv4Addr, port: u16) -> anyhow::Result<TcpStream> {
    let address = SocketAddr::from((ip, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(|| format!("no answer at {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a request and returns the status and the body. `within` is how long the answer may take.
pub(super) fn ask(
    (ip, port): (Ipv4Addr, u16),
    method: &str,
    path: &str,
    body: &str,
    within: Option<Duration>,
) -> anyhow::Result<(u16, String)> {
    let mut stream = connect(ip, port)?;
    stream.set_read_timeout(Some(within.unwrap_or(PATIENCE)))?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {ip}\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    let (head, body) = said.split_once("\r\n\r\n").context("the answer breaks off")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("an answer without a status")?;
    Ok((status, body.into()))
}
