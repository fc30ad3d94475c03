use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::Context;
use loadtest::{lab_page::Page, record::file::check_writable};
use tokio::net::TcpListener;

use super::{
    database::{Database, this_program},
    ending::Interrupts,
    exit::Exit,
    print::say,
};

/// What `--help` says about the page.
const TABS: &str = "Stampede: a crowd buys, and stock and orders are shown as they move. You are the scheduler: you decide which buyer's \
                    statement the real database executes next. Faults: you kill the servers of chapter 6 in the middle of a sale. \
                    Ctrl-C ends the page, its runs and its servers.";

#[derive(clap::Args)]
#[command(after_help = TABS)]
pub(crate) struct Args {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 3100)]
    port: u16,

    /// Write the figures of all runs to this file, after each run
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    #[command(flatten)]
    database: Database,
}

/// Serves the page until interrupted. The servers stop in every case.
pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let mut interrupts = Interrupts::listen()?;
    args.json.iter().try_for_each(|file| check_writable(file))?;
    let page = Page::new(this_program()?, args.database.backend()?, args.json);
    let address = (Ipv4Addr::LOCALHOST, args.port);
    let taken =
        || format!("cannot listen on 127.0.0.1:{}: is a lab running there? --port 0 takes a free port", args.port);
    let listener = TcpListener::bind(address).await.with_context(taken)?;
    say(format_args!("the lab is at http://{} (Ctrl-C ends it)", listener.local_addr()?));
    let ended = tokio::select! {
        served = page.serve(listener) => served.map(|()| Exit::AsPromised),
        interrupted = interrupts.next() => Ok(interrupted),
    };
    page.close().await;
    ended
}
