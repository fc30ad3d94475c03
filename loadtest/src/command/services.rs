use std::process::ExitCode;

use loadtest::lab::servers::{Server, Services};
use v1_naive::shop::stop_signal;

use super::{
    database::this_program,
    print::{note, say},
};

pub(crate) async fn run() -> anyhow::Result<ExitCode> {
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
