use std::process::ExitCode;

use loadtest::lab::{
    machines::Machines,
    servers::{Server, Services},
};
use url::Url;
use v1_naive::shop::stop_signal;

use super::{
    database::this_program,
    machines::MachinesArgs,
    print::{note, say},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    machines: MachinesArgs,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(machines) = args.machines.start().await? {
        return show(&machines).await;
    }
    let stop = stop_signal()?;
    let program = this_program()?;
    let (installed, missing): (Vec<_>, Vec<_>) = Server::OF_SHOPS.into_iter().partition(|server| server.is_installed());
    for server in missing {
        note(format_args!("{server} is not installed; `make services` installs it"));
    }
    let services = tokio::task::spawn_blocking(move || Services::start(&program, &installed)).await??;
    for server in Server::OF_SHOPS {
        if let Some(url) = services.url(server) {
            say(format_args!("{}={url}", server.variable()));
        }
    }
    note("Up until Ctrl-C. In another terminal: DATABASE_URL=… cargo run -p v1-naive");
    stop.await;
    Ok(ExitCode::SUCCESS) // dropping `services` stops the servers
}

/// Prints where the servers of three machines are, and how to get there.
async fn show(machines: &Machines) -> anyhow::Result<ExitCode> {
    let stop = stop_signal()?;
    say(format_args!("DATABASE_URL={}", machines.postgres()?));
    say(format_args!("REDIS_URL={}", list(&machines.redis()?)));
    say(format_args!("AMQP_URL={}", list(&machines.amqp()?)));
    say(format_args!("PROVIDER_URL={}", machines.provider()?));
    for machine in machines.all() {
        let init = machine.init().unwrap_or_default();
        say(format_args!("{} {}: nsenter --target {init} --all --preserve-credentials", machine.name(), machine.ip()));
    }
    note(format_args!(
        "Up until Ctrl-C. Only processes inside reach these addresses. A shell there: nsenter --target {} --user --net --mount \
         --preserve-credentials",
        std::process::id()
    ));
    stop.await;
    Ok(ExitCode::SUCCESS)
}

/// Nodes of one cluster, as a shop takes them.
fn list(nodes: &[Url]) -> String {
    let nodes: Vec<&str> = nodes.iter().map(Url::as_str).collect();
    nodes.join(",")
}
