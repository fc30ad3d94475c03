//! Results that the payment provider knows only later.

use std::{
    io::{self, Write},
    time::Duration,
};

use http_body_util::Empty;
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::sleep};
use url::Url;

use super::{Callbacks, Provider, Standing};

/// How long the bank takes to decide.
const A_WHILE: Duration = Duration::from_millis(500);

/// Accepts the card after a delay, then calls the shop as the switches say.
pub(super) fn decide_later(provider: Provider, reference: String, to: Url) {
    tokio::spawn(async move {
        sleep(A_WHILE).await;
        if let Err(error) = provider.ledger.change(&reference, Standing::Authorised).await {
            let _ = writeln!(io::stderr(), "{reference}: {error}");
        }
        match provider.switches.callbacks() {
            Callbacks::Never => return,
            Callbacks::Late(ms) => sleep(Duration::from_millis(ms)).await,
            Callbacks::Once | Callbacks::Twice => {}
        }
        let times = if provider.switches.callbacks() == Callbacks::Twice { 2 } else { 1 };
        for _ in 0..times {
            if let Err(error) = call(&to).await {
                let _ = writeln!(io::stderr(), "callback {to}: {error:#}");
            }
        }
    });
}

/// Notifies the shop that there is a result. It does not contain the result, because anyone could send such a call; the shop has
/// to ask.
async fn call(to: &Url) -> anyhow::Result<()> {
    let addresses = to.socket_addrs(|| None)?;
    let stream = TcpStream::connect(&*addresses).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::post(to.path()).header(header::HOST, to.authority()).body(Empty::<Bytes>::new())?;
    sender.send_request(request).await?;
    Ok(())
}
