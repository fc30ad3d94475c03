//! The proxy behind a wire: between one instance and the database. It forwards everything, and holds each statement of a purchase
//! until it is released.
//!
//! The messages of sqlx 0.9 are as follows. A statement is Parse, Describe, Sync the first time, then Bind, Execute, Close, Sync.
//! BEGIN, COMMIT and ROLLBACK are simple queries. The pool's ping is a bare Sync. So the proxy holds everything from a Bind up to
//! its Sync, or a Query.

use std::{collections::HashMap, net::SocketAddr};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

use super::{Came, Wires, frames::Frames, statement::Statement};

/// Listens for the instance of buyer `n`, in front of `server`, as long as `tasks` lives.
pub(crate) async fn listen(
    n: usize,
    server: String,
    wires: Wires,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tasks.spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, wires) = (server.clone(), wires.clone());
            tokio::spawn(async move {
                let mut own = 0;
                wires.send_modify(|wires| {
                    wires[n].connection += 1;
                    own = wires[n].connection;
                });
                // Whatever ends it, both sides are closed and waiters are notified.
                let _ = connect(n, client, &server, &wires).await;
                wires.send_modify(|wires| {
                    if wires[n].connection == own {
                        wires[n].gone();
                    }
                });
            });
        }
    });
    Ok(address)
}

async fn connect(n: usize, client: TcpStream, server: &str, wires: &Wires) -> anyhow::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        ended = up(n, from_client, to_server, wires) => ended,
        ended = down(n, from_server, to_client, wires) => ended,
    }
}

/// Forwards from the instance to the database.
async fn up(n: usize, mut client: OwnedReadHalf, mut server: OwnedWriteHalf, wires: &Wires) -> anyhow::Result<()> {
    let (mut bytes, mut frames) = (vec![0; 16 * 1024], Frames::of_client());
    // The SQL of each prepared statement, the bytes since the last Sync, and the statement that they bind.
    let (mut parsed, mut batch, mut bound) = (HashMap::new(), Vec::new(), None);
    loop {
        let length = client.read(&mut bytes).await?;
        anyhow::ensure!(length > 0, "the instance has closed the connection");
        frames.push(&bytes[..length]);
        while let Some(message) = frames.next()? {
            match message.kind {
                b'P' => parsed.extend(message.parsed()),
                b'B' => {
                    let (name, values) = message.bound().unwrap_or_default();
                    bound = recognise(n, parsed.get(&name).map_or("", String::as_str), values, wires);
                }
                b'Q' => bound = recognise(n, &message.query().unwrap_or_default(), Vec::new(), wires),
                _ => {}
            }
            let kind = message.kind;
            batch.extend(message.bytes);
            match kind {
                b'S' | b'Q' => pass(n, bound.take(), wires).await?,
                b'P' | b'B' | b'C' | b'D' | b'E' => continue, // more comes
                _ => {}                                       // startup, password, termination
            }
            server.write_all(&batch).await?;
            batch.clear();
        }
    }
}

/// The statement, if it is one that can be held.
fn recognise(n: usize, sql: &str, values: Vec<Option<i64>>, wires: &Wires) -> Option<Statement> {
    let statement = Statement::new(sql, values);
    if statement.is_none() {
        wires.send_modify(|wires| wires[n].unheld(sql));
    }
    statement
}

/// Returns when the statement may pass: at once, or when it is released.
async fn pass(n: usize, statement: Option<Statement>, wires: &Wires) -> anyhow::Result<()> {
    let mut held = false;
    wires.send_modify(|wires| match statement {
        Some(statement) if wires[n].holds(&statement) => {
            wires[n].held = Some(statement);
            held = true;
        }
        statement => wires[n].pass(statement),
    });
    if held {
        wires.subscribe().wait_for(|wires| wires[n].held.is_none()).await.context("the scheduler has ended")?;
    }
    Ok(())
}

/// Forwards from the database to the instance.
async fn down(n: usize, mut server: OwnedReadHalf, mut client: OwnedWriteHalf, wires: &Wires) -> anyhow::Result<()> {
    let (mut bytes, mut frames, mut came) = (vec![0; 16 * 1024], Frames::of_server(), Came::default());
    loop {
        let length = server.read(&mut bytes).await?;
        anyhow::ensure!(length > 0, "the database has closed the connection");
        frames.push(&bytes[..length]);
        while let Some(message) = frames.next()? {
            match message.kind {
                b'K' => wires.send_modify(|wires| wires[n].pid = message.pid()),
                b'C' => came.rows = message.rows(),
                b'D' if came.columns.is_empty() => came.columns = message.columns(),
                b'E' => came.error = message.code(),
                b'Z' => {
                    let came = std::mem::take(&mut came);
                    wires.send_modify(|wires| wires[n].ready(came, message.in_transaction()));
                }
                _ => {}
            }
        }
        client.write_all(&bytes[..length]).await?;
    }
}
