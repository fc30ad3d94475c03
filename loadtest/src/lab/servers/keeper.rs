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
use url::Url;

use super::{Answer, Order, Server, process::Process, rabbitmq, redis};

type Processes = HashMap<Server, Process>;

/// Starts the servers, reports their URLs and carries out commands. Stops the servers when standard input closes or a signal
/// arrives.
///
/// # Errors
/// No signal handler can be installed, or the parent does not read.
pub async fn run(servers: Vec<Server>) -> anyhow::Result<ExitCode> {
    // From here on, a signal must not end the keeper before its servers.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let (orders, mut ordered) = mpsc::unbounded_channel();
    thread::spawn(move || io::stdin().lines().map_while(Result::ok).try_for_each(|line| orders.send(line)));

    let folder = tempfile::Builder::new().prefix("oversold-servers-").tempdir()?;
    let mut processes = match block_in_place(|| start(&servers, folder.path())) {
        Ok(processes) => processes,
        Err(why) => return say(&Answer::Failed(format!("{why:#}"))).map(|()| ExitCode::SUCCESS),
    };
    let mut answer = Answer::Up(processes.iter().map(|(server, process)| (*server, urls(process))).collect());
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
    processes.values().for_each(Process::ask_to_end); // all at once; dropping `processes` waits for each
    Ok(ExitCode::SUCCESS)
}

/// Starts the servers in parallel, since each one mostly waits.
fn start(servers: &[Server], folder: &Path) -> anyhow::Result<Processes> {
    thread::scope(|scope| {
        let start = |server: &Server| {
            let server = *server;
            scope.spawn(move || Ok((server, server.start(folder)?)))
        };
        let starting: Vec<_> = servers.iter().map(start).collect();
        // Wait for all of them before the first error is returned, so that those that did start are stopped.
        let started: Vec<_> = starting.into_iter().map(|thread| thread.join()).collect();
        started.into_iter().map(|started| started.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn obey(processes: &mut Processes, order: &str) -> anyhow::Result<Answer> {
    match serde_json::from_str(order)? {
        Order::Kill(server, node) => of(processes, server)?.node(node)?.kill()?,
        Order::StartAgain(server, node) => of(processes, server)?.node(node)?.start_again()?,
        Order::EmptyRedis => redis::empty(of(processes, Server::Redis)?.folder_at_rest()?)?,
        Order::CutRedis => redis::cut(of(processes, Server::Redis)?.folder_at_rest()?)?,
        Order::RedisBytes => {
            return Ok(Answer::Bytes(redis::bytes(of(processes, Server::Redis)?.folder_at_rest()?)?));
        }
        Order::BlockRabbitMq(block) => rabbitmq::block(of(processes, Server::RabbitMq)?, block)?,
        Order::HasOnDisk(queue) => {
            return Ok(Answer::Is(rabbitmq::has_on_disk(of(processes, Server::RabbitMq)?.folder(), &queue)?));
        }
    }
    Ok(Answer::Done)
}

fn of(processes: &mut Processes, server: Server) -> anyhow::Result<&mut Process> {
    processes.get_mut(&server).with_context(|| format!("{server} is not one of these servers"))
}

/// The URLs of its nodes; of a server that is no cluster, one.
fn urls(process: &Process) -> Vec<Url> {
    [process].into_iter().chain(&process.peers).map(|node| node.url.clone()).collect()
}

fn say(answer: &Answer) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{}", serde_json::to_string(answer)?)?)
}
