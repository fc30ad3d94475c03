//! The keeper of the private servers: the other end of the pipe.

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

type Processes = HashMap<Server, Process>;

/// Starts the servers, says where they are, obeys orders, and stops the servers when standard input is closed or a
/// signal says so.
///
/// # Errors
/// No signal handler can be installed, or nobody listens.
pub async fn run(servers: Vec<Server>) -> anyhow::Result<ExitCode> {
    // From here on no signal ends the keeper before its servers.
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
    let mut answer = Answer::Up(processes.iter().map(|(server, process)| (*server, process.url.clone())).collect());
    while say(&answer).is_ok() {
        let order = tokio::select! {
            order = ordered.recv() => order,
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            _ = hang_up.recv() => None,
        };
        let Some(order) = order else { break }; // The parent is gone.
        answer = match block_in_place(|| obey(&mut processes, &order)) {
            Ok(answer) => answer,
            Err(why) => Answer::Failed(format!("{why:#}")),
        };
    }
    processes.values().for_each(Process::ask_to_end); // all at once, and with the value each is waited for
    Ok(ExitCode::SUCCESS)
}

/// Starts them side by side: each spends its time in a different way.
fn start(servers: &[Server], folder: &Path) -> anyhow::Result<Processes> {
    thread::scope(|scope| {
        let start = |server: &Server| {
            let server = *server;
            scope.spawn(move || Ok((server, server.start(folder)?)))
        };
        let starting: Vec<_> = servers.iter().map(start).collect();
        // All are waited for, and only then the first error counts: an error here stops those that have started.
        let started: Vec<_> = starting.into_iter().map(|thread| thread.join()).collect();
        started.into_iter().map(|started| started.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn obey(processes: &mut Processes, order: &str) -> anyhow::Result<Answer> {
    match serde_json::from_str(order)? {
        Order::Kill(server) => of(processes, server)?.kill()?,
        Order::StartAgain(server) => of(processes, server)?.start_again()?,
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

fn say(answer: &Answer) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{}", serde_json::to_string(answer)?)?)
}
