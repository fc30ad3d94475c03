//! The keeper process, which owns the private servers: the other end of the pipe.

use std::{
    collections::HashMap,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    thread,
};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::block_in_place,
};

use super::{Answer, Order, Server, process::Process, rabbitmq, redis};

/// The processes of each server, in the order in which the orders number them.
type Processes = HashMap<Server, Vec<Process>>;

/// Starts the servers, or with `replicated` their clusters, reports their URLs and carries out commands. Stops the servers when
/// standard input closes or a signal arrives.
///
/// # Errors
/// No signal handler can be installed, or the parent does not read.
pub async fn run(servers: Vec<Server>, replicated: bool) -> anyhow::Result<ExitCode> {
    // From here on, a signal must not end the keeper before its servers.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let (orders, mut ordered) = mpsc::unbounded_channel();
    thread::spawn(move || io::stdin().lines().map_while(Result::ok).try_for_each(|line| orders.send(line)));

    let folder = tempfile::Builder::new().prefix("oversold-servers-").tempdir()?;
    let mut processes = match block_in_place(|| start(&servers, replicated, folder.path())) {
        Ok(processes) => processes,
        Err(why) => return say(&Answer::Failed(format!("{why:#}"))).map(|()| ExitCode::SUCCESS),
    };
    let urls = |nodes: &Vec<Process>| nodes.iter().map(|node| node.url.clone()).collect();
    let mut answer = Answer::Up(processes.iter().map(|(server, nodes)| (*server, urls(nodes))).collect());
    while say(&answer).is_ok() {
        let order = tokio::select! {
            order = ordered.recv() => order,
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            _ = hang_up.recv() => None,
        };
        let Some(order) = order else { break }; // The parent has ended.
        answer = match block_in_place(|| obey(&mut processes, &order)) {
            Ok(answer) => answer,
            Err(why) => Answer::Failed(format!("{why:#}")),
        };
    }
    processes.values().flatten().for_each(Process::ask_to_end); // all at once; dropping `processes` waits for each
    Ok(ExitCode::SUCCESS)
}

/// Starts the servers in parallel, since each one mostly waits.
fn start(servers: &[Server], replicated: bool, folder: &Path) -> anyhow::Result<Processes> {
    thread::scope(|scope| {
        let start = |server: &Server| {
            let server = *server;
            scope.spawn(move || {
                let nodes = if replicated { server.start_replicated(folder)? } else { server.start_nodes(folder)? };
                Ok((server, nodes))
            })
        };
        let starting: Vec<_> = servers.iter().map(start).collect();
        // Wait for all of them before the first error is returned, so that those that did start are stopped.
        let started: Vec<_> = starting.into_iter().map(|thread| thread.join()).collect();
        started.into_iter().map(|started| started.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn obey(processes: &mut Processes, order: &str) -> anyhow::Result<Answer> {
    match serde_json::from_str(order)? {
        Order::Kill(server, node) => of(processes, server, node)?.kill()?,
        Order::StartAgain(server, node) => of(processes, server, node)?.start_again()?,
        Order::EmptyRedis => redis::empty(of(processes, Server::Redis, 0)?.folder_at_rest()?)?,
        Order::CutRedis => redis::cut(of(processes, Server::Redis, 0)?.folder_at_rest()?)?,
        Order::RedisBytes => {
            return Ok(Answer::Bytes(redis::bytes(of(processes, Server::Redis, 0)?.folder_at_rest()?)?));
        }
        Order::BlockRabbitMq(block) => rabbitmq::block(of(processes, Server::RabbitMq, 0)?, block)?,
        Order::HasOnDisk(queue) => {
            return Ok(Answer::Is(rabbitmq::has_on_disk(of(processes, Server::RabbitMq, 0)?.folder(), &queue)?));
        }
        Order::Leader(queue) => {
            let nodes = processes.get(&Server::RabbitMq).context("RabbitMQ is not one of these servers")?;
            let (node, members) = rabbitmq::cluster::leader(nodes, &queue)?;
            return Ok(Answer::Leader { node, members });
        }
    }
    Ok(Answer::Done)
}

fn of(processes: &mut Processes, server: Server, node: usize) -> anyhow::Result<&mut Process> {
    let nodes = processes.get_mut(&server).with_context(|| format!("{server} is not one of these servers"))?;
    nodes.get_mut(node).with_context(|| format!("{server} has no node {node}"))
}

fn say(answer: &Answer) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{}", serde_json::to_string(answer)?)?)
}
