use std::{
    convert::Infallible,
    fmt::Display,
    future::Future,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tower::{Service, ServiceExt};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt,
    layer::{Identity, SubscriberExt},
    util::SubscriberInitExt,
};

use super::{Config, stop_signal};

/// The exit code of a program that could not start.
pub const SET_UP: u8 = 4;

/// How long a connection may take to send the head of a request, and how long it may be idle between two requests. A client that
/// is slower is disconnected.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests under way may take to finish after the shop is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Runs a chapter's shop until one of the [`StopSignals`](super::StopSignals). Prints `listening on http://…` when it accepts connections.
pub async fn run(config: &Config, app: impl Future<Output = anyhow::Result<Router>>) -> ExitCode {
    let running = async {
        start_log(&config.log, Identity::new());
        let stop = stop_signal()?;
        let app = app.await?;
        serve(listen(config.listen).await?, app, stop).await;
        anyhow::Ok(())
    };
    conclude(running.await)
}

/// The exit code for a result. An error is printed, and means that the program could not start.
pub fn conclude(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}"); // the reader may have gone
            ExitCode::from(SET_UP)
        }
    }
}

/// Starts the log on standard error, filtered by `filter`. `listener` gets every event, whatever the filter says. A second shop in
/// one process uses the log of the first one.
pub fn start_log(filter: &str, listener: impl Layer<Registry> + Send + Sync) {
    let log = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // A log that cannot be written is lost. Otherwise the subscriber would report that on the same standard error, and panic.
    let log = log.log_internal_errors(false).with_filter(EnvFilter::new(filter));
    let _ = tracing_subscriber::registry().with(listener).with(log).try_init();
}

/// Prints a line to standard output. The reader may have gone (`| head -1`), and that does not stop the program.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Binds the address and prints `listening on http://…`.
///
/// # Errors
/// The address is in use, or not allowed.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let taken = || format!("cannot listen on {address}; LISTEN=127.0.0.1:0 takes a free port");
    let listener = TcpListener::bind(address).await.with_context(taken)?;
    say(format_args!("listening on http://{}", listener.local_addr()?));
    Ok(listener)
}

/// Serves HTTP/1.1 on `listener` until `shutdown` is ready, then lets the requests under way finish.
pub async fn serve<S>(listener: TcpListener, app: S, shutdown: impl Future<Output = ()>)
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connection(stream, app.clone(), &graceful),
                Err(error) => {
                    // Most likely there are too many open files. Finished connections free some.
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            },
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("stopped with requests still under way");
    }
}

fn connection<S>(stream: TcpStream, app: S, graceful: &GracefulShutdown)
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let (Ok(peer), Ok(())) = (stream.peer_addr(), stream.set_nodelay(true)) else {
        return; // the client has disconnected
    };
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (app, mut request) = (app.clone(), request.map(Body::new));
        async move {
            request.extensions_mut().insert(ConnectInfo(peer));
            Ok::<_, Infallible>(app.oneshot(request).await.unwrap_or_else(|never| match never {}))
        }
    });
    let watcher = graceful.watcher();
    tokio::spawn(async move {
        let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        let connection = watcher.watch(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
}
